"""`python -m uwsgi_reload_hook`."""

import sys

from uwsgi_reload_hook.cli import main

sys.exit(main())

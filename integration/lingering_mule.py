"""A mule that ignores its master's wish that it ends."""

from __future__ import annotations

import signal
import threading

signal.signal(signal.SIGHUP, signal.SIG_IGN)
threading.Event().wait()

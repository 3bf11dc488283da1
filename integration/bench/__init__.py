"""Measures rolls on a real site: this hook beside the old external script and uWSGI's own chain reload."""

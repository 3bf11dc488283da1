"""A rolling reload for the vassals of a uWSGI Emperor, driven from inside its process tree."""

__version__ = "0.1.0"

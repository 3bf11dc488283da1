"""Whoever asks from outside: follows a roll by the status file."""

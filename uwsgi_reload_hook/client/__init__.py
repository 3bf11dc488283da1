"""Follows a roll from outside the hook, by the status file."""

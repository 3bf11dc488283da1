"""The records of a roll: its events, journal, log lines, status and history, and the only module that writes files."""

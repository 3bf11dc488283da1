"""Errors, named for what the caller must do. Each carries a whole sentence for an operator."""


class HookError(Exception):
    """Anything this package raises on purpose."""


class ConfigError(HookError):
    """Say it once and stop: only an operator can mend this (an option, a path, a permission)."""


class UnavailableError(HookError):
    """Try again at the next look: something outside does not answer at the moment."""


class ActionError(HookError):
    """Stop the roll: an act on one vassal was refused by the system."""

    def __init__(self, vassal: str, reason: str) -> None:
        """`vassal` is its id at the Emperor."""
        super().__init__(f"{vassal}: {reason}")
        self.vassal = vassal
        self.reason = reason

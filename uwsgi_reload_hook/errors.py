"""Errors, named for what the caller must do. Each carries a whole sentence for an operator."""


class HookError(Exception):
    """The base of all errors that this package raises on purpose."""


class ConfigError(HookError):
    """Report it once and stop, because only an operator can fix it (an option, a path, a permission)."""


class UnavailableError(HookError):
    """Try again at the next look, because something outside does not answer now."""


class ActionError(HookError):
    """Stop the roll, because the system refused an act on a vassal."""

    def __init__(self, vassal: str, reason: str) -> None:
        """`vassal` is its id at the Emperor."""
        super().__init__(f"{vassal}: {reason}")
        self.vassal = vassal
        self.reason = reason

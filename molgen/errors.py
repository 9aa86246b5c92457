"""Errors that molgen raises for its users: what went wrong, where, and what to type next."""

from __future__ import annotations


class MolgenError(Exception):
    """Base of every error that molgen raises on purpose.

    Args:
        message: What is wrong and where, without a final full stop.
        hint: What the user can do next; empty when there is nothing to suggest.

    Attributes:
        exit_code: Exit status of the command line for this error.
    """

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message and the hint on one line."""
        text = f"{self.message}. {self.hint}" if self.hint else self.message
        return " ".join(text.split())


class UsageError(MolgenError):
    """The request itself is wrong: an argument, an option or a name."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or an override does not describe a valid run."""


class DataError(MolgenError):
    """Input data is missing, truncated or not what its name says."""


class CheckpointError(MolgenError):
    """Model weights are missing, truncated or of an unknown format."""


class OutputError(MolgenError):
    """A result cannot be written: the place exists, is read-only or is full."""


class BusyError(OutputError):
    """Another process is writing the result."""


class ChemistryError(MolgenError):
    """A molecule cannot be represented or converted."""

"""Where a run's records go, and when a file may be trusted to be whole.

A run writes to ``name.partial.ext`` beside its output and renames it at the end. The partial file
is an ordinary file of the same format, so a killed run leaves something readable, and nothing
that carries the final name is ever incomplete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from molgen.errors import OutputError, UsageError
from molgen.names import unknown

SUFFIXES: Final = (".sdf", ".sdf.gz", ".smi", ".xyz")
"""What can be written; the suffix decides."""

STDOUT: Final = "-"


@dataclass(frozen=True)
class Destination:
    """A file to be written.

    Attributes:
        path: The final name.
        suffix: One of :data:`SUFFIXES`.
    """

    path: Path
    suffix: str

    @property
    def partial(self) -> Path:
        """The name that the file carries while it is being written."""
        stem = self.path.name.removesuffix(self.suffix)
        return self.path.with_name(f"{stem}.partial{self.suffix}")

    def finish(self) -> None:
        """Give the finished file its final name.

        Raises:
            OutputError: If the file cannot be renamed.
        """
        try:
            self.partial.replace(self.path)
        except OSError as error:
            raise OutputError(
                f"cannot rename {self.partial} to {self.path} ({error.strerror})",
                "The records are complete; rename the file by hand",
            ) from error


def destination(name: str) -> Destination:
    """The destination that a file name stands for.

    Raises:
        UsageError: If the suffix is not one of :data:`SUFFIXES`.

    Example:
        >>> destination("runs/molecules.sdf.gz").partial.name
        'molecules.partial.sdf.gz'
    """
    path = Path(name)
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.endswith(suffix) and path.name != suffix:
            return Destination(path, suffix)
    message, hint = unknown("output format", path.suffix or path.name, SUFFIXES)
    raise UsageError(f"{message} in {name}", f"{hint}; or - for SDF on stdout")


def check_free(target: Destination, *, force: bool) -> None:
    """Refuse to touch results that are already there.

    Args:
        target: Where the run wants to write.
        force: Whether the caller agreed to replace what is there.

    Raises:
        OutputError: If the file, or the partial file of an earlier run, exists, or if the folder
            cannot be written.
    """
    if not force and target.path.exists():
        raise OutputError(
            f"{target.path} exists", "Use --force to replace it, or choose another --out"
        )
    if not force and target.partial.exists():
        raise OutputError(
            f"{target.partial} of an earlier run exists",
            "Use --resume to complete it, or --force to start again",
        )
    check_writable(target.path)


def check_writable(path: Path) -> None:
    """Find out now, rather than after the run, that a file cannot be written.

    Raises:
        OutputError: If the folder is missing or read-only, or the path is a folder.
    """
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"{path} is a folder", "Name a file in it")
    if not folder.is_dir():
        raise OutputError(f"folder {folder} does not exist", f"Type: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write in {folder}", "Check its permissions or choose another")

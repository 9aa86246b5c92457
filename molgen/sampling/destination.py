"""Where a run's records go, and when a file may be trusted to be whole.

A run writes to ``name.partial.ext`` beside its output and renames it at the end. The partial file
is an ordinary file of the same format, so a killed run leaves something readable, and nothing
that carries the final name is ever incomplete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from molgen.did_you_mean import unknown
from molgen.errors import OutputError, UsageError

SUFFIXES: Final = (".sdf", ".sdf.gz", ".smi", ".xyz")
"""What can be written; the suffix decides."""

WITHOUT_TAGS: Final = (".smi",)
"""Formats whose records have no room for the run that they are of; it lies beside the file."""

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

    @property
    def sidecar(self) -> Path:
        """What says of which run the records are, for a format that has no room for it."""
        return self.path.with_name(f"{self.path.name}.molgen.json")

    @property
    def needs_sidecar(self) -> bool:
        """Whether the format has no room for the run."""
        return self.suffix in WITHOUT_TAGS

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that writing makes."""
        return (self.path, self.partial, *([self.sidecar] if self.needs_sidecar else []))

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
    check_new(target.path, "--out", force=force)
    if not force and os.path.lexists(target.partial):
        raise OutputError(
            f"{target.partial} of an earlier run exists",
            "Use --resume to complete it, or --force to start again",
        )


def check_new(path: Path, option: str, *, force: bool) -> None:
    """Refuse to replace a file without being told to, or to write where nothing can be written.

    Args:
        path: Where something is to be written.
        option: What the caller named it with.
        force: Whether to replace a file that is there.

    Raises:
        OutputError: The file exists, is no regular file, or its folder cannot be written.
    """
    if not force and os.path.lexists(path):
        raise OutputError(
            f"{path} exists", f"Use --force to replace it, or choose another {option}"
        )
    check_writable(path)


def check_apart(outputs: Sequence[Path], inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse outputs that would overwrite an input or one another.

    Args:
        outputs: Every file that a command will write, partial files too.
        inputs: Every file that it reads; None for an option that was left out.

    Raises:
        UsageError: Two of them are one file, by whatever names.
    """
    taken: dict[object, str] = {}
    for given in inputs:
        if given is not None and given != STDOUT:
            taken |= dict.fromkeys(_identities(Path(given)), f"the input {given}")
    for path in outputs:
        if path.is_symlink():
            raise UsageError(f"{path} is a link", "Name the file that is to be written")
        for identity in _identities(path):
            if identity in taken:
                raise UsageError(
                    f"{path} would overwrite {taken[identity]}", "Name different files"
                )
        taken |= dict.fromkeys(_identities(path), f"the output {path}")


def _identities(path: Path) -> set[object]:
    """What tells a file from others: its resolved name and, when it is there, device and inode."""
    try:
        found: set[object] = {path.resolve()}
        state = path.stat()
    except FileNotFoundError:
        return found
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot use {str(path)!r} ({reason})", "Choose another name") from error
    return {*found, (state.st_dev, state.st_ino)}


def check_writable(path: Path) -> None:
    """Find out now, rather than after the run, that a file cannot be written.

    Raises:
        OutputError: If the folder is missing or read-only, or the path is no regular file.
    """
    folder = path.parent
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder", "Name a file in it")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file", "Name a file, or - for stdout")
        is_folder = folder.is_dir()
    except ValueError as error:  # a NUL in the name
        raise OutputError(f"cannot write {str(path)!r} ({error})", "Choose another name") from None
    if not is_folder:
        raise OutputError(f"folder {folder} does not exist", f"Type: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write in {folder}", "Check its permissions or choose another")

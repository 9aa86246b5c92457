"""A store's manifest: what the folder holds, where it came from, how to tell that it is whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from molgen.errors import DataError

VERSION: Final = 2
FILE_NAME: Final = "manifest.json"


@dataclass(frozen=True)
class FileEntry:
    """Size and SHA-256 of one file of the folder."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store's folder holds.

    Attributes:
        version: Format of the folder.
        source: Where the molecules came from.
        rule: How bonds were settled, in one sentence.
        split_rule: How the split was drawn.
        tools: Versions of the libraries that decided the bonds.
        counts: ``read``, ``kept``, ``bonds_from_smiles``, ``bonds_from_geometry``,
            ``left_out`` and ``atoms``, ``bonds``, ``conformers`` of the kept.
        left_out: Number of molecules left out for each reason.
        splits: Number of kept molecules in each part.
        files: Size and checksum of every other file.
    """

    version: int
    source: str
    rule: str
    split_rule: str
    tools: dict[str, str]
    counts: dict[str, int]
    left_out: dict[str, int]
    splits: dict[str, int]
    files: dict[str, FileEntry]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Manifest:
        """The inverse of `to_dict`."""
        files = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
        return cls(**{**raw, "files": files})


def file_entry(path: Path) -> FileEntry:
    """Measure one file."""
    return FileEntry(path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; it comes last, so that a folder without one is known to be unfinished."""
    text = json.dumps(manifest.to_dict(), indent=2) + "\n"
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def read_manifest(folder: Path, hint: str) -> Manifest:
    """Read a folder's manifest and check it against the files' sizes.

    Args:
        folder: The store.
        hint: What the user can type if the store is unusable.

    Raises:
        DataError: There is no folder or no manifest, its version is unknown, or a file is
            missing or has another size.
    """
    path = folder / FILE_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != VERSION:
            old = f"{folder} is a store of version {raw['version']}, this molgen reads {VERSION}"
            raise DataError(old, f"Make it again. {hint}")
        manifest = Manifest.from_dict(raw)
    except FileNotFoundError:
        what = "holds no finished store" if folder.is_dir() else "does not exist"
        raise DataError(f"{folder} {what}", hint) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", hint) from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is not a store's manifest", hint) from None
    for name, entry in manifest.files.items():
        _check_size(folder / name, entry.n_bytes, hint)
    return manifest


def _check_size(path: Path, n_bytes: int, hint: str) -> None:
    try:
        found = path.stat().st_size
    except OSError:
        raise DataError(f"{path} is missing", hint) from None
    if found != n_bytes:
        raise DataError(f"{path} has {found} bytes, its manifest says {n_bytes}", hint)

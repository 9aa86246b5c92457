"""The folder of a run in shards: a manifest that says of which run, and a file per finished shard.

A shard's file is written under another name and renamed when it is whole, so what is there is all
that there is to know: no list of rows is kept, in memory or on disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from molgen.atomic import atomic_path
from molgen.bulk.shards import MAX_SHARDS, Shard, cut
from molgen.errors import DataError, OutputError, UsageError

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1

SUFFIXES: Final = (".sdf.gz",)
"""Of files of shards."""


@dataclass(frozen=True)
class Manifest:
    """What the shards of a folder are of.

    Attributes:
        command: Name of the command.
        model: Name of the model, or its file.
        fingerprint: Equal for runs that make the same records row by row: of options, weights and
            input.
        n_rows: Rows of the run.
        n_shards: Files.
        suffix: Format of the files.
        tables: Whether each has a status table beside it.
    """

    command: str
    model: str
    fingerprint: str
    n_rows: int
    n_shards: int
    suffix: str
    tables: bool = False

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All of them, in order."""
        return cut(self.n_rows, self.n_shards)


@dataclass(frozen=True)
class Failed:
    """A shard that was given up.

    Attributes:
        shard: Which.
        reason: Why.
    """

    shard: Shard
    reason: str


@dataclass(frozen=True)
class Folder:
    """A folder of shards.

    Attributes:
        path: Where.
        manifest: Of which run.
    """

    path: Path
    manifest: Manifest

    def part(self, shard: Shard) -> Path:
        """The file of a shard."""
        return self.path / shard.file_name(self.manifest.suffix)

    def missing(self, shards: Sequence[Shard]) -> list[Shard]:
        """Those that have no file yet."""
        there = {one.name for one in self.path.iterdir()}
        return [one for one in shards if one.file_name(self.manifest.suffix) not in there]

    def give_up(self, failed: Failed) -> None:
        """Write down that a shard failed."""
        with atomic_path(self._failure(failed.shard)) as beside:
            beside.write_text(json.dumps({"reason": failed.reason}) + "\n")

    def take_up(self, shard: Shard) -> None:
        """Forget that a shard failed."""
        self._failure(shard).unlink(missing_ok=True)

    def failed(self) -> list[Failed]:
        """Shards that were given up, with reasons."""
        found = []
        for shard in self.manifest.shards if any(self.path.glob("*.failed.json")) else ():
            path = self._failure(shard)
            if path.is_file():
                found.append(Failed(shard, str(json.loads(path.read_text())["reason"])))
        return found

    def _failure(self, shard: Shard) -> Path:
        return self.path / shard.file_name(".failed.json")


def open_folder(path: Path, wanted: Manifest) -> Folder:
    """Begin a run in a folder, or go on with the one that is there.

    Raises:
        UsageError: Another run is there, or there are more shards than rows.
        OutputError: The folder cannot be written.
    """
    cut(wanted.n_rows, wanted.n_shards)
    try:
        path.mkdir(parents=True, exist_ok=True)
        place = path / MANIFEST
        if not place.exists():
            if any(not one.name.startswith(".") for one in path.iterdir()):
                raise UsageError(f"{path} holds other files", "Give --out a new folder")
            _write_once(place, {"format": FORMAT, **asdict(wanted)})
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror})", "Choose another --out"
        ) from None
    found = read_folder(path)
    theirs, ours = asdict(found.manifest), asdict(wanted)
    differing = [name for name, value in ours.items() if theirs[name] != value]
    if differing:
        name = differing[0]
        raise UsageError(
            f"{path} holds another run: its {name} is {theirs[name]}, not {ours[name]}",
            "Repeat that run's options, or choose another --out",
        )
    return found


def read_folder(path: Path) -> Folder:
    """The run that a folder holds.

    Raises:
        DataError: There is none.
    """
    place = path / MANIFEST
    try:
        tree: Mapping[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        rest = {name: value for name, value in tree.items() if name != "format"}
        if tree.get("format") != FORMAT:
            raise DataError(f"{place} is of another version", "Use the molgen that wrote it")
        manifest = Manifest(**rest)
        _check(manifest)
    except FileNotFoundError:
        raise DataError(f"{path} holds no run in shards", "Make one with --shards") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:80]
        raise DataError(f"{place} is damaged ({reason})", "Remove it and start again") from None
    return Folder(path, manifest)


def _check(manifest: Manifest) -> None:
    """Refuse a manifest that somebody has changed.

    Raises:
        ValueError: A value is none that `open_folder` writes.
    """
    kinds = {one.name: one.type for one in fields(Manifest)}
    for name, value in asdict(manifest).items():
        if type(value).__name__ != kinds[name]:
            raise ValueError(f"{name} is no {kinds[name]}")
    if manifest.suffix not in SUFFIXES:
        raise ValueError(f"suffix is {manifest.suffix[:20]}")
    if not 1 <= manifest.n_shards <= min(manifest.n_rows, MAX_SHARDS):
        raise ValueError(f"{manifest.n_shards} shards")


def _write_once(place: Path, tree: Mapping[str, Any]) -> None:
    """Write a file that several processes may want to write at once; the first one wins."""
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    partial.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    try:
        os.link(partial, place)
    except FileExistsError:
        pass
    finally:
        partial.unlink()

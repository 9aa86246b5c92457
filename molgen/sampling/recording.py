"""A run into a file: started, continued after a kill, and given its name when it is whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from molgen.atomic import atomic_path
from molgen.chem.io import STDOUT, Record, open_writer, suffix_of
from molgen.chem.render import RUN
from molgen.chem.resume import read_back, whole_chunks
from molgen.errors import OutputError, UsageError
from molgen.sampling.destination import WITHOUT_TAGS, Destination
from molgen.sampling.run import Run, Sample, TagValue, Tally


class Recordable(Protocol):
    """A run that numbers its molecules: sampling or variations."""

    @property
    def n_records(self) -> int:
        """Number of records to make."""

    @property
    def first(self) -> int:
        """Number of the first molecule."""

    @property
    def leaves_gaps(self) -> bool:
        """Whether the numbers of the records may skip molecules."""

    @property
    def fingerprint(self) -> str:
        """Equal for runs that make the same molecules index by index."""

    def title(self, index: int) -> str:
        """Unique name of one record; ends with a hyphen and the number."""

    def tags(self, sample: Sample) -> Mapping[str, TagValue]:
        """What is stored beside one molecule."""

    def stream(
        self, tally: Tally, *, first: int | None = None, n_done: int = 0
    ) -> Iterator[Sample]:
        """Molecules from number ``first`` on, until all records but ``n_done`` are made."""


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    Attributes:
        n_done: Records that are there already.
        first: Number of the next molecule; None for the run's first.
        keep_bytes: Length of the whole records; None for a new file.
    """

    n_done: int = 0
    first: int | None = None
    keep_bytes: int | None = None


def find_start(run: Recordable, target: Destination) -> Start | None:
    """Where to continue, given what earlier runs left behind.

    Args:
        run: The run that wants to write.
        target: Its output.

    Returns:
        The start; None when the output is complete already.

    Raises:
        UsageError: If what is there was made by another request.
        DataError: If it cannot be read.
    """
    if target.path.exists():
        _check_complete(run, target)
        return None
    if not target.partial.exists():
        return Start()
    start = _start_after(run, target, target.partial)
    if start.n_done > run.n_records:
        raise UsageError(
            f"{target.partial} holds {start.n_done} records, more than n = {run.n_records}",
            f"Use --n {start.n_done} or more, or --force in place of --resume",
        )
    return start


def _check_complete(run: Recordable, target: Destination) -> None:
    """Refuse a file under the final name that does not hold this run, whole and nothing else."""
    done = _start_after(run, target, target.path)
    if done.keep_bytes != target.path.stat().st_size:
        raise UsageError(
            f"{target.path} is damaged after record {done.n_done}",
            "Use --force in place of --resume to make it again",
        )
    if done.n_done != run.n_records:
        raise UsageError(
            f"{target.path} is complete with {done.n_done} records, not {run.n_records}",
            f"Use --n {done.n_done}, or --force in place of --resume",
        )


def record(
    run: Recordable,
    target: Destination | None,
    tally: Tally,
    start: Start,
    on_written: Callable[[int], None],
) -> None:
    """Draw what is missing and write it, record by record, to the partial file.

    Args:
        run: What to draw.
        target: Where to write; None for SDF on standard output.
        tally: Counts everything that is drawn.
        start: Where to begin.
        on_written: Called with the number of records that are there.

    Raises:
        OutputError: If a record cannot be written; what was written before stays readable.
    """
    path: str | Path = target.partial if target is not None else STDOUT
    if target is not None and target.needs_sidecar and start.keep_bytes is None:
        write_sidecar(target.sidecar, run.fingerprint)
    try:
        with open_writer(path, keep_bytes=start.keep_bytes) as writer:
            # What draws many molecules renders their records where it finishes them.
            source = replace(run, form=writer.form) if isinstance(run, Run) else run
            samples = source.stream(tally, first=start.first, n_done=start.n_done)
            for n_written, sample in enumerate(samples, start=start.n_done + 1):
                if sample.record is None:
                    writer.write(sample.mol, run.title(sample.index), run.tags(sample))
                else:
                    writer.append(sample.record)
                on_written(n_written)
    finally:
        if target is not None:
            _remove_if_empty(target.partial)
    if target is not None:
        target.finish()


def _remove_if_empty(path: Path) -> None:
    """A run that failed before its first record leaves nothing to resume."""
    if path.exists() and path.stat().st_size == 0:
        path.unlink()


def _start_after(run: Recordable, target: Destination, path: Path) -> Start:
    """Where the last good record of a file ends: intact, of this run, in its place.

    Raises:
        UsageError: A record is intact and of another run, or the first one is damaged.
    """
    n_done, n_bytes, last = 0, 0, run.first - 1
    for chunk in whole_chunks(path):
        if n_done == 0 and target.needs_sidecar:
            _check_sidecar(run, target, path)
        found = [one for text in chunk.texts if (one := read_back(path, text)) is not None]
        if len(found) < len(chunk.texts):
            if not n_done:
                raise UsageError(
                    f"{path} begins with a damaged record", "Use --force in place of --resume"
                )
            break
        for place, one in enumerate(found, start=n_done):
            last = _verified_index(run, path, one, place, last)
        n_done, n_bytes = n_done + len(found), chunk.n_bytes
    return Start(n_done=n_done, first=last + 1, keep_bytes=n_bytes)


def _verified_index(run: Recordable, path: Path, one: Record, place: int, previous: int) -> int:
    """Molecule number of a record, which is checked to be of this run."""
    index = _index(one)
    has_place = run.leaves_gaps or index == run.first + place
    is_same_run = suffix_of(path) in WITHOUT_TAGS or one.tags.get(RUN) == run.fingerprint
    if _name(one) != run.title(index) or not has_place or not is_same_run or index <= previous:
        raise UsageError(
            f'record {place + 1} of {path} ("{_name(one)[:60]}") is of another run',
            "Repeat that run's options, or use --force in place of --resume",
        )
    return index


def write_sidecar(path: Path, fingerprint: str) -> None:
    """Write of which run the records of a file are.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with atomic_path(path) as partial:
            partial.write_text(json.dumps({RUN: fingerprint}) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror})") from error


def _check_sidecar(run: Recordable, target: Destination, path: Path) -> None:
    try:
        found = json.loads(target.sidecar.read_text())[RUN]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{target.sidecar}, which says of which run {path} is, is missing or damaged",
            "Use --force in place of --resume",
        ) from None
    if found != run.fingerprint:
        raise UsageError(
            f"{path} is of another run",
            "Repeat that run's options, or use --force in place of --resume",
        )


def _name(one: Record) -> str:
    return one.title.partition(" ")[0]  # an XYZ comment goes on with the tags


def _index(one: Record) -> int:
    digits = _name(one).rpartition("-")[2]
    return int(digits) if _DIGITS.fullmatch(digits) else -1


_DIGITS: Final = re.compile("[0-9]{1,12}")

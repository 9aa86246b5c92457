"""A run into a file: started, continued after a kill, and given its name when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from molgen.chem.io import STDOUT, Record, completed_records, open_writer, read_records
from molgen.errors import UsageError
from molgen.sampling.destination import Destination
from molgen.sampling.run import Run, Sample, TagValue, Tally


class Recordable(Protocol):
    """A run that numbers its molecules: sampling or variations."""

    @property
    def n_records(self) -> int:
        """Number of records to make."""

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

    def stream(self, tally: Tally, *, first: int = 0, n_done: int = 0) -> Iterator[Sample]:
        """Molecules from number ``first`` on, until all records but ``n_done`` are made."""


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    Attributes:
        n_done: Records that are there already.
        first: Number of the next molecule.
        keep_bytes: Length of the whole records; None for a new file.
    """

    n_done: int = 0
    first: int = 0
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
        done = _start_after(run, target.path)
        if done.n_done != run.n_records:
            raise UsageError(
                f"{target.path} is complete with {done.n_done} records, not {run.n_records}",
                f"Use --n {done.n_done}, or --force in place of --resume",
            )
        return None
    if not target.partial.exists():
        return Start()
    start = _start_after(run, target.partial)
    if start.n_done > run.n_records:
        raise UsageError(
            f"{target.partial} holds {start.n_done} records, more than n = {run.n_records}",
            f"Use --n {start.n_done} or more, or --force in place of --resume",
        )
    return start


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


def _start_after(run: Recordable, path: Path) -> Start:
    n_records, n_bytes = completed_records(path)
    first = max(_verified_indices(run, path, n_records), default=-1) + 1
    return Start(n_done=n_records, first=first, keep_bytes=n_bytes)


def _verified_indices(run: Recordable, path: Path, n_records: int) -> Iterator[int]:
    """Molecule numbers of the whole records of a file, each checked to be of this run."""
    previous = -1
    for one in islice(read_records(path), n_records) if n_records else ():
        index = _index(one)
        if not _belongs(run, one, index) or index <= previous:
            raise UsageError(
                f'record {one.index + 1} of {path} ("{_name(one)}") is of another run',
                "Repeat that run's options, or use --force in place of --resume",
            )
        previous = index
        yield index


def _name(one: Record) -> str:
    return one.title.partition(" ")[0]  # an XYZ comment goes on with the tags


def _index(one: Record) -> int:
    digits = _name(one).rpartition("-")[2]
    return int(digits) if digits.isdecimal() else -1


def _belongs(run: Recordable, one: Record, index: int) -> bool:
    has_place = run.leaves_gaps or index == one.index
    is_same_run = one.tags.get("molgen_run", run.fingerprint) == run.fingerprint
    return _name(one) == run.title(index) and has_place and is_same_run

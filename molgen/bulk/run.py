"""Make the shards of a run that are missing, each once, whoever dies meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from molgen.bulk.folder import Failed, Folder
from molgen.bulk.jobs import Job
from molgen.bulk.shards import Shard
from molgen.errors import BusyError
from molgen.locks import lock

STRIKES: Final = 3
"""Workers that a shard may kill before it is given up."""

BUSY_S: Final = 1.0
"""Seconds to wait for shards that others are making."""


class Outcome(Enum):
    """What became of a shard."""

    MADE = auto()
    BUSY = auto()
    """Another process is making it."""
    DIED = auto()
    """The worker died."""


@dataclass(frozen=True)
class Work:
    """Makes a shard wherever it is called.

    Attributes:
        job: What is made.
        folder: Where it goes.
    """

    job: Job
    folder: Folder

    def __call__(self, shard: Shard) -> Outcome:
        """Make a shard that is not there yet.

        Raises:
            MolgenError: It cannot be made, nor could another.
        """
        path = self.folder.part(shard)
        try:
            with lock(path):
                if not path.exists():
                    self.job.make(shard, path)
        except BusyError:
            return Outcome.BUSY
        return Outcome.MADE


class Engine(Protocol):
    """Workers somewhere."""

    def __call__(self, work: Work, shards: Sequence[Shard]) -> Iterable[tuple[Shard, Outcome]]:
        """Have shards made, each by one worker; outcomes as they come."""


def run_shards(
    work: Work, shards: Sequence[Shard], engine: Engine, on_rows: Callable[[int], None]
) -> list[Failed]:
    """Make those that are missing.

    Args:
        work: What is made of a shard, and where.
        shards: Of the run, or some of them.
        engine: Who makes them.
        on_rows: Told the number of rows of these shards that are there.

    Returns:
        Shards that killed `STRIKES` workers and were given up; written down in the folder, too.

    Raises:
        MolgenError: A shard cannot be made, nor could another.
    """
    folder, deaths, failed = work.folder, Counter[Shard](), list[Failed]()
    left = folder.missing(shards)
    n_rows = sum(one.n_rows for one in shards) - sum(one.n_rows for one in left)
    on_rows(n_rows)
    for shard in left:
        folder.take_up(shard)
    while left:
        again: list[Shard] = []
        made = False
        for shard, outcome in engine(work, left):
            if outcome is Outcome.MADE:
                made, n_rows = True, n_rows + shard.n_rows
                on_rows(n_rows)
                continue
            deaths[shard] += outcome is Outcome.DIED
            if deaths[shard] < STRIKES:
                again.append(shard)
            else:
                failed.append(Failed(shard, f"killed {STRIKES} workers"))
                folder.give_up(failed[-1])
        if again and not made:
            time.sleep(BUSY_S)
        left = again
    return failed


def in_this_process(work: Work, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
    """The engine of a single shard: an array of jobs has workers enough."""
    for shard in shards:
        yield shard, work(shard)

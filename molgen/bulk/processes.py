"""Workers on this machine: processes that are replaced when they die."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from molgen.bulk.run import Outcome, Work
from molgen.bulk.shards import Shard
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.cores import available_cores

NO_LIMIT_S: Final = 1e7

THREADS: Final = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Processes:
    """The engine ``processes``.

    Attributes:
        n: Processes, which share the cores.
    """

    n: int

    def __call__(self, work: Work, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
        """Have shards made; outcomes in their order."""
        with _threads(max(1, available_cores() // self.n)):
            answers = run_with_limit(work, shards, NO_LIMIT_S, self.n, chunk_size=1, nested=True)
            for shard, answer in zip(shards, answers, strict=True):
                yield shard, Outcome.DIED if isinstance(answer, Unfinished) else answer


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """The number of threads that processes begin with, unless the user has set one."""
    own = os.environ.get(THREADS)
    os.environ[THREADS] = own or str(n)
    try:
        yield
    finally:
        if own is None:
            del os.environ[THREADS]

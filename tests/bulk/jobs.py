"""Jobs without a model, for workers in other processes."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from molgen.atomic import atomic_path
from molgen.bulk.folder import Manifest
from molgen.bulk.shards import Shard
from molgen.errors import OutputError


@dataclass(frozen=True)
class Numbers:
    """Writes the numbers of its rows; kills its worker where a row is bad.

    Attributes:
        n_rows: Rows.
        bad: Row that kills.
        times: How often it does so before it gives in.
        counter: A file that grows with every death.
        broken: Row at which nothing can be written.
    """

    n_rows: int
    bad: int = -1
    times: int = 10**6
    counter: str = ""
    broken: int = -1

    def manifest(self, n_shards: int) -> Manifest:
        return Manifest("count", "none", "f", self.n_rows, n_shards, ".sdf.gz")

    def make(self, shard: Shard, path: Path) -> None:
        if shard.first <= self.broken < shard.last:
            raise OutputError("the disk is full", "Free some space")
        with atomic_path(path) as beside:
            rows = range(shard.first, shard.last)
            beside.write_text("".join(f"{row}\n" for row in rows))
            if self.bad in rows and self._deaths() < self.times:
                with Path(self.counter).open("a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)

    def _deaths(self) -> int:
        place = Path(self.counter)
        return place.stat().st_size if place.exists() else 0

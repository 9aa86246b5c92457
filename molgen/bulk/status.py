"""How far a run in shards has come."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

from molgen.bulk.folder import MANIFEST, Failed, Folder


@dataclass(frozen=True)
class Status:
    """What is there.

    Attributes:
        n_rows: Rows in finished shards.
        n_shards: Finished shards.
        n_running: Shards that are being made.
        failed: Shards that were given up.
        rate: Rows per second from the start of the run to its last shard; None before the first.
    """

    n_rows: int
    n_shards: int
    n_running: int
    failed: tuple[Failed, ...]
    rate: float | None


def status(folder: Folder) -> Status:
    """Look at a folder; nothing is changed or held.

    Times are those of files, so pauses count as time.
    """
    shards = folder.manifest.shards
    missing = set(folder.missing(shards))
    made = [one for one in shards if one not in missing]
    n_rows = sum(one.n_rows for one in made)
    began = (folder.path / MANIFEST).stat().st_mtime
    ends = [folder.part(one).stat().st_mtime for one in made]
    seconds = max(ends, default=began) - began
    return Status(
        n_rows=n_rows,
        n_shards=len(made),
        n_running=sum(map(_is_held, folder.path.glob(".part-*.lock"))),
        failed=tuple(folder.failed()),
        rate=n_rows / seconds if seconds > 0 else None,
    )


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

"""The cores that this process may really use, and OpenMP threads that leave them to others.

Imported before torch, whose OpenMP reads its settings once, when it is loaded.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_WAITING: Final = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def available_cores() -> int:
    """Cores that this process may use: by its affinity, and by its container's quota of time."""
    quota = _quota(_GROUPS, _own_groups())
    return _allowed() if quota is None else max(1, min(_allowed(), int(quota)))


def keep_threads_modest() -> None:
    """Let OpenMP's threads sleep while they wait, and have no more of them than cores.

    By default a thread that waits spins. Beside other work, or under a quota, it so takes the time
    of the thread that it waits for. What the user has set stays; once torch is loaded it is too
    late.
    """
    if "torch" in sys.modules:
        return
    if not any(name in os.environ for name in _WAITING):
        os.environ.update({"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"})
    if available_cores() < _allowed():
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _own_groups() -> list[str]:
    """Paths of this process's control groups, of both versions, and of all above them."""
    paths = {"/"}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            own = Path(line.split(":", 2)[-1])
            paths |= {str(own), *map(str, own.parents)}
    return sorted(paths)


def _quota(root: Path, groups: list[str]) -> float | None:
    """Processors' worth of time that control groups allow; None without a limit."""
    limits = []
    for group in groups:
        place = group.strip("/")
        with suppress(OSError, ValueError):  # version 2: "max 100000" or "150000 100000"
            quota, period = (root / place / "cpu.max").read_text().split()
            limits.append(int(quota) / int(period))
        with suppress(OSError, ValueError):  # version 1: -1 is no limit
            folder = root / "cpu" / place
            values = [folder / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
            quota_us, period_us = (int(value.read_text()) for value in values)
            limits.append(quota_us / period_us)
    return min((limit for limit in limits if limit > 0), default=None)

"""How much memory this process may still take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files of a container's limit and use, by version of control groups."""


def available_memory() -> int | None:
    """Bytes that the machine and the process's container still have; None where nobody says."""
    free = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        free.append(1024 * int(line.split()[1]))
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):  # no such limit, or "max"
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(0, min(free)) if free else None

"""Where tensors live, and how the CPU's memory is kept for the next batch."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import torch

from molgen.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # parameter numbers of glibc's malloc.h


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` is a GPU where there is one.

    Raises:
        UsageError: The name is not a device, or the machine lacks it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"unknown device {name[:40]!r}", f"Use {_devices(count)}")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UsageError(f"torch sees no GPU {name!r}", f"Use {_devices(count)}")
    return device


def _devices(n_gpus: int) -> str:
    """Devices that work here, for a message."""
    return ", ".join(("auto", "cpu", *(f"cuda:{index}" for index in range(n_gpus))))


@cache
def keep_freed_memory() -> None:
    """Let glibc reuse freed memory instead of giving it back after every tensor.

    By default each activation above a threshold is mapped, zeroed page by page and unmapped again;
    keeping the pages makes a forward pass on the CPU 2 to 4 times faster. The setting belongs to
    the process, changes no result, and bounds what is kept. Does nothing outside Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)

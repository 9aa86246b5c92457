"""Where tensors live."""

from __future__ import annotations

import torch

from molgen.errors import UsageError


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` is a GPU where there is one.

    Raises:
        UsageError: The name is not a device, or the machine lacks it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}", "Use auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {name!r} asked for, but torch sees no GPU", "Use --device cpu")
    return device

"""States of the flow: one tensor, or a dict with one tensor per modality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

State: TypeAlias = Tensor | dict[str, Tensor]
"""Dense padded tensors: ``[B, N, F]`` for molecules, ``[B, C, H, W]`` for images."""

Clock: TypeAlias = Callable[[float], Tensor]
"""Level(s) of a modality when the main half-log-SNR is the argument: float64, leading shape."""

Lead: TypeAlias = float | Tensor | Clock
"""How far a modality is ahead of the main half-log-SNR.

A number or a tensor (``[B]`` or ``[B, N]``) is added to the main level; infinity marks clean rows
that no solver moves. A clock maps the main level to any levels.
"""

Offsets: TypeAlias = Mapping[str, Lead]
"""Lead of each modality, 0 where absent; a bare tensor's is under the empty name."""


def level(lead: Lead, lam: float) -> Tensor:
    """Half-log-SNR of a modality when the main one is ``lam``; float64."""
    if isinstance(lead, Tensor):
        lead = lead.to(torch.float64)
        # Rows held clean stay clean even where the main level is pure noise, -inf.
        return torch.where(lead.isposinf(), lead, lam + lead)
    if callable(lead):
        return lead(lam)
    return torch.tensor(lead if lead == math.inf else lam + lead, dtype=torch.float64)


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device.

    A number of the host goes along with the kernel that fills a tensor there. Copying it would wait
    for all that the device has been told to do, and no graph could record that. The bits are the
    same, since filling casts no differently.
    """
    is_number = value.dim() == 0 and value.device.type == "cpu" and not value.requires_grad
    if device.type == "cpu" or not is_number:
        return value.to(device)
    return torch.full((), value.item(), dtype=value.dtype, device=device)


def append_dims(value: Tensor, x: Tensor) -> Tensor:
    """Give ``value`` the device of ``x`` and as many trailing dimensions, keeping its dtype."""
    return sent(value, x.device).reshape(value.shape + (1,) * (x.dim() - value.dim()))


def expand_like(value: Tensor, x: Tensor) -> Tensor:
    """``value`` with the dtype and the device of ``x`` and as many trailing dimensions.

    Its shape, ``()``, ``[B]`` or ``[B, N]``, leads that of ``x``, such as ``[B, N, F]``.
    """
    return append_dims(value.to(x.dtype), x)


def tree_map(fn: Callable[..., Tensor], *states: State) -> State:
    """Apply ``fn`` to the matching tensors of one or more states."""
    return map_modalities(lambda _, *leaves: fn(*leaves), *states)


def map_modalities(
    fn: Callable[..., Tensor], *states: State, offsets: Offsets | None = None
) -> State:
    """Apply ``fn(lead, *leaves)`` per modality."""
    leads = offsets or {}
    if isinstance(states[0], Tensor):
        return fn(leads.get("", 0.0), *states)
    trees = [state for state in states if isinstance(state, dict)]
    return {name: fn(leads.get(name, 0.0), *(tree[name] for tree in trees)) for name in trees[0]}

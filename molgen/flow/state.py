"""States of the flow: one tensor, or a dict with one tensor per modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import Tensor

State: TypeAlias = Tensor | dict[str, Tensor]
"""Dense padded tensors: ``[B, N, F]`` for molecules, ``[B, C, H, W]`` for images."""

Offsets: TypeAlias = Mapping[str, float]
"""Lead of each modality in half-log-SNR, ``lam_modality = lam + lead``; 0 where absent."""


def append_dims(value: Tensor, x: Tensor) -> Tensor:
    """Give ``value`` the device of ``x`` and as many trailing dimensions, keeping its dtype."""
    return value.to(x.device).reshape(value.shape + (1,) * (x.dim() - value.dim()))


def expand_like(value: Tensor, x: Tensor) -> Tensor:
    """Give ``value`` the dtype and the device of ``x`` and as many trailing dimensions.

    Args:
        value: Shape ``()``, ``[B]`` or ``[B, N]``: leading dimensions of ``x``.
        x: Floating tensor, for instance ``[B, N, F]`` or ``[B, C, H, W]``.

    Returns:
        ``value``, broadcastable against ``x``.
    """
    return append_dims(value.to(x.dtype), x)


def tree_map(fn: Callable[..., Tensor], *states: State) -> State:
    """Apply ``fn`` to the matching tensors of one or more states."""
    return map_modalities(lambda _, *leaves: fn(*leaves), *states)


def map_modalities(
    fn: Callable[..., Tensor], *states: State, offsets: Offsets | None = None
) -> State:
    """Apply ``fn(lead, *leaves)`` per modality; a bare tensor has lead 0."""
    if isinstance(states[0], Tensor):
        return fn(0.0, *states)
    leads, trees = offsets or {}, [state for state in states if isinstance(state, dict)]
    return {name: fn(leads.get(name, 0.0), *(tree[name] for tree in trees)) for name in trees[0]}

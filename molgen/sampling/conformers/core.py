"""A core is kept while conformers are drawn: every estimate of the network gets it anew.

This is inpainting for a straight path: noise and time enter through the estimate alone, so the
rest of the molecule is drawn around a core that is always right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molgen.chem.conformers.core import Core
from molgen.flow.harmonic import turned_onto
from molgen.tasks.conformers import Keep, as_it_is


def keeper(cores: Sequence[Core], mask: Tensor) -> Keep:
    """What puts the cores into estimates ``[B, N, 3]``; nothing where there are none.

    Args:
        cores: One for each of the batch; none for a batch without.
        mask: Real atoms, ``[B, N]`` bool.
    """
    if not cores:
        return as_it_is
    is_core = torch.zeros_like(mask)
    pos = torch.zeros((*mask.shape, 3), device=mask.device)
    for row, core in enumerate(cores):
        rows = torch.from_numpy(core.rows)
        is_core[row, rows] = True
        own = torch.from_numpy(core.pos - core.pos.mean(axis=0))
        pos[row, rows] = own.to(pos)
    return lambda estimate: with_core(estimate, pos, is_core)


def with_core(estimate: Tensor, core: Tensor, is_core: Tensor) -> Tensor:
    """Conformers whose core is another one, turned and moved onto what was there.

    Args:
        estimate: ``[B, N, 3]``.
        core: Centred positions of the core, zero elsewhere, ``[B, N, 3]``.
        is_core: ``[B, N]`` bool.
    """
    share = is_core[..., None].to(estimate)
    middle = (estimate * share).sum(dim=1, keepdim=True) / share.sum(dim=1, keepdim=True)
    turned = turned_onto(core, (estimate - middle) * share) + middle
    return torch.where(is_core[..., None], turned, estimate)

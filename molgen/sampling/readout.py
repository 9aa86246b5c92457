"""From the network's last estimate to beliefs about single molecules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molgen.chem.beliefs import Beliefs
from molgen.models.info import ModelInfo
from molgen.nn.network import Estimate


def beliefs_of(
    info: ModelInfo, estimate: Estimate, pos: np.ndarray, sizes: Sequence[int] | np.ndarray
) -> list[Beliefs]:
    """Beliefs of every molecule, without padding.

    Args:
        info: Its vocabulary.
        estimate: Of the network, whose logits count.
        pos: Positions in Å, ``[B, N, 3]``.
        sizes: Numbers of atoms, ``[B]``.
    """
    element, charge, bond = (
        logits.float().log_softmax(dim=-1).cpu().numpy()
        for logits in (estimate.element, estimate.charge, estimate.bond)
    )
    return [
        Beliefs(
            vocabulary=info.vocabulary,
            pos=pos[row, :n],
            element_log_prob=element[row, :n],
            charge_log_prob=charge[row, :n],
            bond_log_prob=bond[row, :n, :n],
        )
        for row, n in enumerate(sizes)
    ]

"""Targets whose classes are decided: the teacher's molecule after decoding, not its doubts.

A student that copies the probabilities of a teacher copies its contradictions: atoms whose most
probable bonds break a valence. The decoder settles them jointly, so a student of decided targets
learns graphs that hold together. Decoding is host work, a few milliseconds for a molecule that
contradicts itself, so this suits teachers that rarely do, and training on a CPU.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import decode_map
from molgen.chem.elements import AROMATIC, N_BOND_CLASSES, Vocabulary
from molgen.chem.molecule import Molecule
from molgen.train.distil_loss import Target

FLOOR = 1e-9
"""Smallest probability whose logarithm is taken."""


def decided(target: Target, mask: Tensor, vocabulary: Vocabulary) -> Target:
    """The target with the classes of the molecule that its probabilities decode to.

    Where the teacher sees an aromatic bond, a decoded single or double one is only one of its
    Kekulé forms: there the probabilities stay.

    Args:
        target: Probabilities of a teacher.
        mask: Real atoms, ``[B, N]``.
        vocabulary: Meaning of the classes.
    """
    sizes = mask.sum(dim=1).tolist()
    element, charge, bond = (
        values.clamp_min(FLOOR).log().cpu().numpy()
        for values in (target.element, target.charge, target.bond)
    )
    classes = [np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int64)]
    orders = np.zeros(target.bond.shape[:3], np.int64)
    for row, n in enumerate(sizes):
        molecule = decode_map(
            Beliefs(
                vocabulary=vocabulary,
                pos=np.zeros((n, 3), np.float32),  # decoding does not look at it
                element_log_prob=element[row, :n],
                charge_log_prob=charge[row, :n],
                bond_log_prob=bond[row, :n, :n],
            )
        )
        for out, values in zip(classes, _classes(molecule, vocabulary), strict=True):
            out[row, :n] = values
        begin, end, order = molecule.bonds.T
        orders[row, begin, end] = orders[row, end, begin] = order
    decoded = torch.from_numpy(orders).to(mask.device)
    aromatic = (target.bond.argmax(dim=-1) == AROMATIC) & (decoded > 0)
    settled = functional.one_hot(decoded, N_BOND_CLASSES).to(target.bond)
    return replace(
        target,
        element=_one_hot(classes[0], target.element),
        charge=_one_hot(classes[1], target.charge),
        bond=torch.where(aromatic[..., None], target.bond, settled),
    )


def _classes(molecule: Molecule, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Element and charge class of every atom."""
    elements = {number: place for place, number in enumerate(vocabulary.atomic_numbers)}
    charges = {charge: place for place, charge in enumerate(vocabulary.charges)}
    return (
        np.array([elements[int(number)] for number in molecule.atomic_numbers]),
        np.array([charges[int(charge)] for charge in molecule.formal_charge]),
    )


def _one_hot(classes: np.ndarray, like: Tensor) -> Tensor:
    places = torch.from_numpy(classes).to(like.device)
    return functional.one_hot(places, like.shape[-1]).to(like)

"""Targets that are decided: the teacher's molecule after decoding and relaxing, not its doubts.

A student that copies the probabilities of a teacher copies its contradictions: atoms whose most
probable bonds break a valence. The decoder settles them jointly, so a student of decided targets
learns graphs that hold together. It copies the teacher's geometry likewise, and a force field that
knows the decoded graph mends bonds and angles before the student sees them: so the student can
become better than its teacher, where the teacher is weak. Both are host work, a few milliseconds
for a molecule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import DECODERS
from molgen.chem.elements import AROMATIC, N_BOND_CLASSES, Vocabulary
from molgen.chem.molecule import Molecule
from molgen.config import DistilConfig
from molgen.train.distil_loss import Target

FLOOR = 1e-9
"""Smallest probability whose logarithm is taken."""


@dataclass(frozen=True)
class Decision:
    """How a molecule is made of a teacher's last estimate.

    Attributes:
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of position.
        decoder: A name of :data:`molgen.chem.decode.DECODERS`.
        relax: Iterations of the force field on the decoded molecule; 0 keeps the positions.
        restraint: Force constant, in kcal/mol/Å², that keeps its atoms near where they were.
    """

    vocabulary: Vocabulary
    pos_scale: float
    decoder: str = "map"
    relax: int = 0
    restraint: float = 0.0


def decision_of(part: DistilConfig, vocabulary: Vocabulary, pos_scale: float) -> Decision | None:
    """The decision that a recipe asks for; None where the teacher's probabilities stay."""
    if part.decoder is None:
        return None
    return Decision(vocabulary, pos_scale, part.decoder, part.relax, part.restraint)


def decided(target: Target, mask: Tensor, decision: Decision) -> Target:
    """The target with the classes and positions of the molecule that it decodes to.

    Where the teacher sees an aromatic bond, a decoded single or double one is only one of its
    Kekulé forms: there the probabilities stay. Positions stay where there is no relaxing them.

    Args:
        target: Positions and probabilities of a teacher.
        mask: Real atoms, ``[B, N]``.
        decision: How it is decided.
    """
    if decision.relax:
        # Recipes without it train on machines without RDKit.
        from molgen.chem.force_field import relaxed_pos  # noqa: PLC0415
    decode, vocabulary = DECODERS[decision.decoder], decision.vocabulary
    element, charge, bond = (
        values.clamp_min(FLOOR).log().cpu().numpy()
        for values in (target.element, target.charge, target.bond)
    )
    pos = target.pos.double().cpu().numpy() * decision.pos_scale
    classes = [np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int64)]
    orders = np.zeros(target.bond.shape[:3], np.int64)
    for row, n in enumerate(mask.sum(dim=1).tolist()):
        molecule = decode(
            Beliefs(
                vocabulary=vocabulary,
                pos=pos[row, :n].astype(np.float32),
                element_log_prob=element[row, :n],
                charge_log_prob=charge[row, :n],
                bond_log_prob=bond[row, :n, :n],
            )
        )
        for out, values in zip(classes, _classes(molecule, vocabulary), strict=True):
            out[row, :n] = values
        begin, end, order = molecule.bonds.T
        orders[row, begin, end] = orders[row, end, begin] = order
        if decision.relax:
            relaxed = relaxed_pos(molecule, decision.relax, decision.restraint)
            pos[row, :n] = pos[row, :n] if relaxed is None else relaxed
    decoded = torch.from_numpy(orders).to(mask.device)
    aromatic = (target.bond.argmax(dim=-1) == AROMATIC) & (decoded > 0)
    settled = functional.one_hot(decoded, N_BOND_CLASSES).to(target.bond)
    return replace(
        target,
        pos=torch.from_numpy(pos / decision.pos_scale).to(target.pos)
        if decision.relax
        else target.pos,
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

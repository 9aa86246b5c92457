"""Decided targets: the decoded molecule of a teacher in place of its doubts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molgen.chem.elements import AROMATIC, QM9
from molgen.data.loader import Batch, load_split
from molgen.data.store import MoleculeStore
from molgen.train.decided import decided
from molgen.train.distil_loss import Target

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


def real_molecules() -> Batch:
    data = load_split(MoleculeStore.open(str(SAMPLE)), "train", QM9)
    return data.batch(torch.arange(24))


def soft(classes: Tensor, n_classes: int, doubt: float) -> Tensor:
    """Probabilities that favour some classes."""
    return functional.one_hot(classes, n_classes) * (1 - doubt) + doubt / n_classes


def target_of(batch: Batch, doubt: float = 0.1) -> Target:
    return Target(
        pos=batch.pos,
        element=soft(batch.element, 5, doubt),
        charge=soft(batch.charge, 3, doubt),
        bond=soft(batch.bond, 5, doubt),
    )


def test_a_teacher_that_is_right_everywhere_is_only_made_sure() -> None:
    batch = real_molecules()
    target = decided(target_of(batch), batch.mask, QM9)
    pairs = batch.mask[:, :, None] & batch.mask[:, None, :]
    settled = pairs & (batch.bond != AROMATIC)
    assert torch.equal(target.element.argmax(-1)[batch.mask], batch.element[batch.mask])
    assert torch.equal(target.charge.argmax(-1)[batch.mask], batch.charge[batch.mask])
    assert torch.equal(target.bond.argmax(-1)[pairs], batch.bond[pairs])
    assert float(target.bond[settled].amax(-1).min()) == 1.0
    assert float(target.element[batch.mask].amax(-1).min()) == 1.0
    assert torch.equal(target.pos, batch.pos)


def test_aromatic_bonds_are_not_turned_into_one_of_their_forms() -> None:
    batch = real_molecules()
    aromatic = batch.bond == AROMATIC
    assert bool(aromatic.any())
    before = target_of(batch)
    assert torch.equal(decided(before, batch.mask, QM9).bond[aromatic], before.bond[aromatic])


def test_a_broken_valence_is_settled() -> None:
    """Methane with a double bond to one hydrogen, which the teacher half doubts."""
    mask = torch.ones(1, 5, dtype=torch.bool)
    element = soft(torch.tensor([[1, 0, 0, 0, 0]]), 5, 0.01)
    charge = soft(torch.ones(1, 5, dtype=torch.int64), 3, 0.01)
    bond = torch.zeros(1, 5, 5, dtype=torch.int64)
    bond[0, 0, 1:] = bond[0, 1:, 0] = 1
    probability = soft(bond, 5, 0.01)
    for row, column in ((0, 1), (1, 0)):
        probability[0, row, column] = torch.tensor([0.0, 0.45, 0.55, 0.0, 0.0])
    target = decided(Target(torch.zeros(1, 5, 3), element, charge, probability), mask, QM9)
    assert torch.equal(target.bond.argmax(-1), bond)
    assert float(target.bond[0, 0, 1].max()) == 1.0


def test_rows_of_probabilities_still_add_up_to_one_on_real_atoms() -> None:
    batch = real_molecules()
    generator = torch.Generator().manual_seed(0)
    doubtful = target_of(batch, 0.6)
    noise = 0.5 * torch.randn(doubtful.bond.shape, generator=generator)
    mixed = (doubtful.bond.log() + noise + noise.transpose(1, 2)).softmax(-1)
    target = decided(Target(batch.pos, doubtful.element, doubtful.charge, mixed), batch.mask, QM9)
    pairs = batch.mask[:, :, None] & batch.mask[:, None, :]
    for values, real in ((target.element, batch.mask), (target.bond, pairs)):
        sums = values.sum(-1)[real].numpy()
        np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    torch.testing.assert_close(target.bond, target.bond.transpose(1, 2))

"""Decided targets: the decoded molecule of a teacher in place of its doubts."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import Decoder, decode_argmax
from molgen.chem.decode_relax import DecodeRelax
from molgen.chem.elements import AROMATIC, QM9
from molgen.chem.molecule import Molecule
from molgen.config import DistilConfig
from molgen.data.distances import shipped_distances
from molgen.data.loader import Batch, load_split
from molgen.data.store import MoleculeStore
from molgen.errors import MolgenError
from molgen.train.distil_loss import Target
from molgen.train.target_decoder import TargetDecoder, target_decoder_of

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"

SCALE = 1.4
MAP = DecodeRelax()


def decided(target: Target, mask: Tensor, decode_relax: DecodeRelax) -> Target:
    return TargetDecoder(decode_relax, QM9, SCALE)(target, mask)


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
    target = decided(target_of(batch), batch.mask, MAP)
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
    assert torch.equal(decided(before, batch.mask, MAP).bond[aromatic], before.bond[aromatic])


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
    target = decided(Target(torch.zeros(1, 5, 3), element, charge, probability), mask, MAP)
    assert torch.equal(target.bond.argmax(-1), bond)
    assert float(target.bond[0, 0, 1].max()) == 1.0


def test_rows_of_probabilities_still_add_up_to_one_on_real_atoms() -> None:
    batch = real_molecules()
    generator = torch.Generator().manual_seed(0)
    doubtful = target_of(batch, 0.6)
    noise = 0.5 * torch.randn(doubtful.bond.shape, generator=generator)
    mixed = (doubtful.bond.log() + noise + noise.transpose(1, 2)).softmax(-1)
    target = decided(Target(batch.pos, doubtful.element, doubtful.charge, mixed), batch.mask, MAP)
    pairs = batch.mask[:, :, None] & batch.mask[:, None, :]
    for values, real in ((target.element, batch.mask), (target.bond, pairs)):
        sums = values.sum(-1)[real].numpy()
        np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    torch.testing.assert_close(target.bond, target.bond.transpose(1, 2))


def stretched(batch: Batch, scale: float = 1.4, by: float = 1.05) -> Target:
    """Real molecules in units of the model, all distances too long."""
    return replace(target_of(batch, 0.01), pos=batch.pos * by / scale)


def bonds_of(pos: Tensor, batch: Batch) -> Tensor:
    """Lengths of the bonds, in the units of the positions."""
    distance = (pos[:, :, None] - pos[:, None]).norm(dim=-1)
    return distance[batch.bond > 0]


def test_relaxing_mends_bonds_and_keeps_what_was_decided() -> None:
    batch = real_molecules()
    before = stretched(batch)
    plain = decided(before, batch.mask, MAP)
    relaxed = decided(before, batch.mask, replace(MAP, relax=200, restraint=1.0))
    real, long, mended = (
        bonds_of(pos, batch) for pos in (batch.pos, before.pos * 1.4, relaxed.pos * 1.4)
    )
    assert float((long - real).abs().mean()) > 0.05
    assert float((mended - real).abs().mean()) < 0.015
    assert torch.equal(plain.pos, before.pos)
    assert torch.equal(plain.bond, relaxed.bond)
    assert torch.equal(plain.element, relaxed.element)


def test_relaxing_neither_moves_a_molecule_nor_touches_the_padding() -> None:
    batch = real_molecules()
    before = stretched(batch)
    relaxed = decided(before, batch.mask, replace(MAP, relax=50, restraint=10.0))
    assert torch.equal(relaxed.pos[~batch.mask], before.pos[~batch.mask])
    n_atoms = batch.mask.sum(dim=1)[:, None]
    shift = (relaxed.pos - before.pos).sum(dim=1) / n_atoms
    assert float(shift.abs().max()) < 1e-5


def test_a_stronger_restraint_moves_atoms_less() -> None:
    batch = real_molecules()
    before = stretched(batch)
    moved = [
        float(
            (
                decided(before, batch.mask, replace(MAP, relax=50, restraint=force)).pos
                - before.pos
            ).norm()
        )
        for force in (0.0, 10.0, 1000.0)
    ]
    assert moved[0] > moved[1] > moved[2] > 0


def test_the_decoder_is_the_one_that_is_named() -> None:
    """Methane at real distances, with a network that takes one of its bonds for none."""
    mask = torch.ones(1, 5, dtype=torch.bool)
    corners = torch.tensor([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    pos = corners[None] * 1.09 / 3**0.5
    element = soft(torch.tensor([[1, 0, 0, 0, 0]]), 5, 0.01)
    charge = soft(torch.ones(1, 5, dtype=torch.int64), 3, 0.01)
    bond = torch.zeros(1, 5, 5, dtype=torch.int64)
    bond[0, 0, 1:] = bond[0, 1:, 0] = 1
    seen: list[Beliefs] = []

    def watched(decoder: Decoder, beliefs: Beliefs) -> Molecule:
        assert decoder.name == "geometry"
        seen.append(beliefs)
        return decode_argmax(beliefs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "__call__", watched)
        target = Target(pos / 1.4, element, charge, soft(bond, 5, 0.01))
        decided(target, mask, replace(MAP, decoder=Decoder("geometry")))
    np.testing.assert_allclose(seen[0].pos, pos[0].numpy(), atol=1e-6)


def test_a_recipe_says_how_targets_are_decided() -> None:
    distances = shipped_distances("qm9")
    part = DistilConfig(decoder="geometry", relax=7, restraint=3.0)
    target_decoder = target_decoder_of(part, QM9, 2.0, distances)
    assert target_decoder is not None
    assert target_decoder.decode_relax == DecodeRelax(Decoder("geometry", 0, distances), 7, 3.0)
    assert target_decoder.pos_scale == 2.0
    assert target_decoder_of(DistilConfig(), QM9, 2.0) is None


@pytest.mark.slow
def test_other_processes_decide_the_same() -> None:
    batch = real_molecules()
    before, decode_relax = (
        stretched(batch),
        DecodeRelax(Decoder("geometry"), relax=20, restraint=10.0),
    )
    here, beside = (
        TargetDecoder(decode_relax, QM9, SCALE),
        TargetDecoder(decode_relax, QM9, SCALE, n_workers=2),
    )
    try:
        for _ in range(2):  # the second time, they run already
            wanted, found = here(before, batch.mask), beside(before, batch.mask)
            for name in ("pos", "element", "charge", "bond"):
                assert torch.equal(getattr(found, name), getattr(wanted, name)), name
    finally:
        beside.close()


class Deadly(DecodeRelax):
    """Kills the process that it runs in, as the system does when memory is short."""

    def __call__(self, beliefs: Sequence[Beliefs]) -> list[Molecule]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(beliefs)


@pytest.mark.slow
def test_a_killed_process_is_one_clear_error() -> None:
    batch = real_molecules()
    target_decoder = TargetDecoder(Deadly(), QM9, SCALE, n_workers=1)
    try:
        with pytest.raises(MolgenError, match=r"killed.*--resume"):
            target_decoder(target_of(batch), batch.mask)
    finally:
        target_decoder.close()

"""Bonds turn and atoms rise, what hangs on them goes along, and lengths become what they should."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from torch import Tensor

from molgen.nn.axes import Axes, axes_of, dihedrals, wrapped
from molgen.nn.block import pair_distances
from molgen.nn.centres import Centres, centres_of, pyramids
from molgen.nn.settling import Wanted, settled

from ..networks import DTYPES, assert_close, seeds  # noqa: TID252

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)


class Molecule:
    """A molecule whose bonds can be turned about."""

    def __init__(self, smiles: str, dtype: torch.dtype = torch.float64) -> None:
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        rdDistGeom.EmbedMolecule(mol, randomSeed=3)
        pos = torch.from_numpy(mol.GetConformer().GetPositions())[None] / 2**0.5
        self.pos = (pos - pos.mean(dim=1, keepdim=True)).to(dtype)
        self.bonded = torch.from_numpy(Chem.GetAdjacencyMatrix(mol))[None] > 0
        self.mask = torch.ones(1, self.pos.shape[1], dtype=torch.bool)

    @property
    def near(self) -> Tensor:
        steps = self.bonded.double()
        apart = ~torch.eye(steps.shape[1], dtype=torch.bool)
        return (self.bonded | (steps @ steps > 0)) & apart

    @property
    def axes(self) -> Axes:
        return axes_of(self.bonded, self.distance, self.mask)

    @property
    def distance(self) -> Tensor:
        return pair_distances(self.pos[..., None]).squeeze(-1)

    @property
    def centres(self) -> Centres:
        return centres_of(self.bonded, self.distance)

    def turned(
        self,
        turn: Tensor,
        log_turn: float = -3.0,
        n_iterations: int = 6,
        *,
        rise: float = 0.0,
        length: Tensor | None = None,
    ) -> Tensor:
        """Positions whose bonds were turned about, with the lengths that there are or others.

        Centres rise by a share of their own height.
        """
        height = pyramids(self.pos, self.centres).height
        wanted = Wanted(
            length=self.distance if length is None else length,
            stiffness=self.near.to(self.pos) / 0.03**2,
            axes=self.axes,
            turn=turn,
            log_turn=torch.full_like(turn, log_turn),
            centres=self.centres,
            rise=rise * height,
            log_rise=torch.full_like(height, -3.0 if rise else 3.0),
        )
        return settled(self.pos, wanted, self.mask, n_iterations)


def still(molecule: Molecule) -> Tensor:
    """Turns of nothing."""
    return torch.zeros_like(random_turns(molecule, 0))


def random_turns(molecule: Molecule, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = molecule.axes.real.shape[:2]
    return 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64).to(molecule.pos)


def of_bonds(molecule: Molecule, value: Callable[[int, int], float]) -> Tensor:
    """Turns by the atoms of the bonds."""
    pairs = molecule.axes.atoms[0].tolist()
    return torch.tensor([[value(*pair) for pair in pairs]], dtype=molecule.pos.dtype)


@pytest.mark.parametrize("angle", [0.4, -1.2])
def test_a_bond_turns_as_far_as_it_should_and_nothing_is_torn(angle: float) -> None:
    molecule = Molecule("CCCO")
    turn = of_bonds(molecule, lambda i, j: angle * ({i, j} == {1, 2}))
    there = molecule.turned(turn, n_iterations=8)
    axes = molecule.axes
    before, after = dihedrals(molecule.pos, axes), dihedrals(there, axes)
    change = wrapped(after.angle - before.angle)
    share = before.sound / before.sound.sum(dim=(-1, -2), keepdim=True).clamp_min(1)
    torch.testing.assert_close((share * change).sum(dim=(-1, -2)), turn, atol=0.03, rtol=0)
    lengths = [pair_distances(x[..., None]).squeeze(-1) for x in (molecule.pos, there)]
    off = (lengths[1] - lengths[0]).abs()[molecule.near]
    assert float(off.max()) < 0.01
    # The methyl group went along, three bonds away.
    assert float((there - molecule.pos).abs().max()) > 0.2 * abs(angle)


def test_a_ring_puckers_only_as_its_bonds_can_agree_on() -> None:
    molecule = Molecule("C1CCCC1")
    ring = {frozenset((i, (i + 1) % 5)) for i in range(5)}
    # All bonds of a ring cannot turn the same way: it would not close.
    turn = of_bonds(molecule, lambda i, j: 0.5 * (frozenset((i, j)) in ring))
    there = molecule.turned(turn, log_turn=-1.0)
    lengths = [pair_distances(x[..., None]).squeeze(-1) for x in (molecule.pos, there)]
    assert float((lengths[1] - lengths[0]).abs()[molecule.near].max()) < 0.05
    axes = molecule.axes
    change = wrapped(dihedrals(there, axes).angle - dihedrals(molecule.pos, axes).angle)
    assert float((change * axes.real).abs().max()) < 0.4


def test_who_is_unsure_is_turned_less() -> None:
    molecule = Molecule("CCO")
    turn = of_bonds(molecule, lambda i, j: 0.5 * ({i, j} == {1, 2}))
    sure, unsure = (
        (molecule.turned(turn, log_turn) - molecule.pos).norm() for log_turn in (-3.0, 3.0)
    )
    assert float(unsure) < 0.3 * float(sure)


def test_nothing_wanted_is_nothing_done() -> None:
    molecule = Molecule("CC(N)C=O")
    torch.testing.assert_close(molecule.turned(still(molecule)), molecule.pos)
    assert molecule.turned(still(molecule) + 1, n_iterations=0) is molecule.pos


def test_a_pyramid_falls_flat_where_that_is_wanted() -> None:
    molecule = Molecule("CN(C)C")
    before = pyramids(molecule.pos, molecule.centres)
    assert float(before.height.abs().max()) > 0.3
    # Flat atoms have wider angles, so distances have to yield.
    flat = molecule.distance + 0.1 * ((molecule.near & ~molecule.bonded).to(molecule.pos))
    there = molecule.turned(still(molecule), rise=-1.0, n_iterations=10, length=flat)
    after = pyramids(there, molecule.centres)
    assert float(after.height.abs().max()) < 0.3 * float(before.height.abs().max())


def test_lengths_become_what_they_should() -> None:
    molecule = Molecule("CCCO")
    wanted = 1.03 * molecule.distance
    there = molecule.turned(still(molecule), log_turn=0.0, n_iterations=6, length=wanted)
    found = pair_distances(there[..., None]).squeeze(-1)
    assert float((found - wanted).abs()[molecule.near].max()) < 0.005


@each_precision
@settings(max_examples=10)
@given(seeds)
def test_it_turns_with_the_frame_and_a_mirror_changes_the_sign(
    dtype: torch.dtype, seed: int
) -> None:
    here = Molecule("OCC1CC1N", dtype)
    turn = random_turns(here, seed)
    for sign in (1, -1):
        there = Molecule("OCC1CC1N", dtype)
        frame = sign * o3.rand_matrix(dtype=torch.float64).to(dtype)
        there.pos = here.pos @ frame
        one, other = (x.turned(s * turn, rise=0.2) for x, s in ((there, sign), (here, 1)))
        assert_close(one, other @ frame, f"sign {sign}")


@each_precision
def test_padding_stays_and_changes_nothing(dtype: torch.dtype) -> None:
    small = Molecule("CCO", dtype)
    n, more = small.pos.shape[1], 4
    turn = random_turns(small, 1)
    padded = Molecule("CCO", dtype)
    padded.pos = torch.nn.functional.pad(small.pos, (0, 0, 0, more), value=5.0)
    padded.bonded = torch.nn.functional.pad(small.bonded, (0, more, 0, more))
    padded.mask = torch.nn.functional.pad(small.mask, (0, more))
    there = padded.turned(turn)
    assert torch.equal(there[:, n:], padded.pos[:, n:])
    assert_close(there[:, :n], small.turned(turn), "real atoms")


def test_far_turns_take_several_strides() -> None:
    molecule = Molecule("CCO")
    turn = of_bonds(molecule, lambda i, j: math.pi * ({i, j} == {1, 2}))
    axes = molecule.axes
    before = dihedrals(molecule.pos, axes)

    def change(n_iterations: int) -> float:
        there = dihedrals(molecule.turned(turn, n_iterations=n_iterations), axes)
        return float((wrapped(there.angle - before.angle) * before.sound).abs().max())

    assert change(1) < 0.8 < change(3) < 2.2 < change(8)

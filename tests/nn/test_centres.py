"""Atoms with three neighbours, and how far they stand out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from torch import Tensor

from molgen.nn.block import pair_distances
from molgen.nn.centres import Centres, centres_of, height_gradient, pyramids

from ..networks import seeds  # noqa: TID252

SMILES = ("NC(=O)c1ccco1", "CN(C)C", "C=CC#N", "FC1=CC1")


def embedded(smiles: str) -> tuple[Tensor, Tensor]:
    """Positions, and where bonds are."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=7)
    pos = torch.from_numpy(mol.GetConformer().GetPositions())[None]
    return pos, torch.from_numpy(Chem.GetAdjacencyMatrix(mol))[None] > 0


def found(pos: Tensor, bonded: Tensor) -> Centres:
    return centres_of(bonded, pair_distances(pos[..., None]).squeeze(-1))


@pytest.mark.parametrize("smiles", SMILES)
def test_every_atom_with_three_neighbours_is_found_with_these(smiles: str) -> None:
    pos, bonded = embedded(smiles)
    centres = found(pos, bonded)
    there = {
        int(atom): set(around.tolist())
        for atom, around, real in zip(
            centres.atom[0], centres.around[0], centres.real[0], strict=True
        )
        if real
    }
    degree = bonded[0].sum(dim=1)
    assert set(there) == set((degree == 3).nonzero().flatten().tolist())
    for atom, around in there.items():
        assert around == set(bonded[0, atom].nonzero().flatten().tolist())


def test_flat_atoms_have_no_height_and_pyramids_have_that_of_a_tetrahedron() -> None:
    ammonia = torch.tensor([[[0.0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1]]])
    star = torch.zeros(1, 4, 4, dtype=torch.bool)
    star[0, 0, 1:] = star[0, 1:, 0] = True
    height = pyramids(ammonia, found(ammonia, star)).height[0, 0]
    assert abs(float(height)) == pytest.approx((16 / 27) ** 0.5, abs=1e-6)
    flat = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [-1, 2, 0], [-1, -1, 0]]])
    assert float(pyramids(flat, found(flat, star)).height.abs().max()) < 1e-6


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_smallest_molecules_have_none(n: int) -> None:
    bonded = ~torch.eye(n, dtype=torch.bool)[None]
    pos = torch.randn(1, n, 3)
    centres = found(pos, bonded)
    assert centres.real.sum() == 0
    assert height_gradient(pyramids(pos, centres), centres, n).shape[2:] == (n, 3)


@settings(max_examples=20)
@given(seeds)
def test_derivatives_are_those_of_automatic_differentiation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pos, bonded = embedded(SMILES[seed % len(SMILES)])
    noise = torch.randn(pos.shape, generator=generator, dtype=torch.float64)
    pos = (pos + 0.2 * noise).requires_grad_()
    centres = found(pos.detach(), bonded)
    stand = pyramids(pos, centres)
    by_hand = height_gradient(stand, centres, pos.shape[1])[0]
    for place in centres.real[0].nonzero().flatten().tolist():
        (wanted,) = torch.autograd.grad(stand.height[0, place], pos, retain_graph=True)
        torch.testing.assert_close(by_hand[place].detach(), wanted[0], atol=1e-9, rtol=1e-7)


@settings(max_examples=10)
@given(seeds)
def test_a_mirror_changes_the_sign(seed: int) -> None:
    pos, bonded = embedded(SMILES[seed % len(SMILES)])
    centres = found(pos, bonded)
    here, there = (pyramids(x, centres).height for x in (pos, -pos))
    torch.testing.assert_close(there, -here)

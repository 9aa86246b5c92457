"""Torsions, their derivatives, and the bonds that they lie around."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms
from torch import Tensor

from molgen.nn.axes import Axes, axes_of, dihedrals, mean_gradient, wrapped
from molgen.nn.block import pair_distances

from ..networks import seeds  # noqa: TID252

SMILES = ("CC(C)CO", "C1CC1C=O", "CC#CC", "NC(=O)c1ccco1", "FC12CC1C2")


def embedded(smiles: str) -> tuple[Chem.Mol, Tensor, Tensor]:
    """A molecule, its positions and where its bonds are."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=7)
    pos = torch.from_numpy(mol.GetConformer().GetPositions())[None]
    bonded = torch.from_numpy(Chem.GetAdjacencyMatrix(mol))[None] > 0
    return mol, pos, bonded


def all_real(n: int) -> Tensor:
    return torch.ones(1, n, dtype=torch.bool)


def found(pos: Tensor, bonded: Tensor) -> Axes:
    return axes_of(bonded, pair_distances(pos[..., None]).squeeze(-1), all_real(pos.shape[1]))


def there_are(axes: Axes) -> dict[tuple[int, int, int, int], tuple[int, int, int]]:
    """The places of torsions by their atoms, from the lower end."""
    places = {}
    for e, k, m in axes.real[0].nonzero().tolist():
        path = (
            int(axes.others[0, e, 0, k]),
            *axes.atoms[0, e].tolist(),
            int(axes.others[0, e, 1, m]),
        )
        places[path if path[0] < path[3] else path[::-1]] = (e, k, m)
    return places


@pytest.mark.parametrize("smiles", SMILES)
def test_every_torsion_is_found_once_and_is_that_of_rdkit(smiles: str) -> None:
    mol, pos, bonded = embedded(smiles)
    axes = found(pos, bonded)
    places = there_are(axes)
    assert len(places) == int(axes.real.sum())
    pattern = Chem.MolFromSmarts("[*]~[*]~[*]~[*]")
    paths = mol.GetSubstructMatches(pattern, uniquify=False, maxMatches=10**6)
    assert set(places) == {path for path in paths if path[0] < path[3]}
    angles = dihedrals(pos, axes)
    for path, (e, k, m) in places.items():
        if angles.sound[0, e, k, m]:
            wanted = rdMolTransforms.GetDihedralRad(mol.GetConformer(), *path)
            off = wrapped(angles.angle[0, e, k, m] - wanted)
            assert abs(float(off)) < 1e-6, path


def test_what_is_straight_has_no_torsions() -> None:
    _, pos, bonded = embedded("CC#CC")
    axes = found(pos, bonded)
    assert axes.real.sum() > 0
    assert dihedrals(pos, axes).sound.sum() == 0


def test_of_too_many_bonds_the_shortest_count() -> None:
    n = 7
    pos = torch.randn(1, n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distance = pair_distances(pos[..., None]).squeeze(-1)
    bonded = ~torch.eye(n, dtype=torch.bool)[None]
    axes = axes_of(bonded, distance, all_real(n))
    row, column = torch.triu_indices(n, n, 1)
    shortest = distance[0, row, column].sort().values[:n]
    kept = distance[0, axes.atoms[0, :, 0], axes.atoms[0, :, 1]].sort().values
    torch.testing.assert_close(kept, shortest)
    assert axes.others.shape == (1, n, 2, 3)
    wider = [torch.nn.functional.pad(x, (0, 3, 0, 3)) for x in (bonded, distance)]
    padded = axes_of(*wider, torch.nn.functional.pad(all_real(n), (0, 3)))
    assert there_are(padded).keys() == there_are(axes).keys()


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_molecules_have_none(n: int) -> None:
    bonded = ~torch.eye(n, dtype=torch.bool)[None]
    axes = axes_of(bonded, torch.ones(1, n, n), all_real(n))
    assert axes.real.sum() == 0


@settings(max_examples=20)
@given(seeds)
def test_derivatives_are_those_of_automatic_differentiation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    _, pos, bonded = embedded(SMILES[seed % len(SMILES)])
    noise = torch.randn(pos.shape, generator=generator, dtype=torch.float64)
    pos = (pos + 0.2 * noise).requires_grad_()
    axes = found(pos.detach(), bonded)
    angles = dihedrals(pos, axes)
    weight = torch.rand(axes.real.shape, generator=generator, dtype=torch.float64)
    share = angles.sound * weight
    n = pos.shape[1]
    by_hand = mean_gradient(angles, axes, share, n)[0]
    sums = (angles.angle * share).sum(dim=(-1, -2))[0]
    for place, value in enumerate(sums):
        (wanted,) = torch.autograd.grad(value, pos, retain_graph=True)
        torch.testing.assert_close(by_hand[place].detach(), wanted[0], atol=1e-9, rtol=1e-7)


def test_angles_are_wrapped() -> None:
    angle = torch.tensor([0.5, math.pi + 0.1, -3 * math.pi - 0.1])
    torch.testing.assert_close(wrapped(angle), torch.tensor([0.5, 0.1 - math.pi, math.pi - 0.1]))

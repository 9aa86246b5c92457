"""A refined molecule follows its frame and its order, and knows nothing of its batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.chem.elements import QM9
from molgen.chem.io import read_records
from molgen.chem.molecule import bond_matrix
from molgen.models.graph_fit import classes_of, packed
from molgen.nn.refine import refine as refining
from molgen.nn.refine.graph import PackedGraph, centred
from molgen.nn.refine.refine import refine
from molgen.nn.refine.restraints import RestraintNet

from .molecules import SMILES, molecule, shipped_net, together

SAMPLE = Path(__file__).parents[3] / "data" / "sample.sdf"
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-8}
each_precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
some = st.lists(st.sampled_from(SMILES), min_size=1, max_size=6)
seeds = st.integers(0, 2**31)


def assert_near(one: Tensor, other: Tensor, tolerance: float) -> None:
    """Equal but for rounding, which six rounds magnify a little."""
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


@each_precision
@settings(max_examples=8, deadline=None)
@given(some)
def test_it_does_not_depend_on_the_batch(dtype: torch.dtype, smiles: list[str]) -> None:
    graphs, pos = zip(*(molecule(one, dtype) for one in smiles), strict=True)
    found = refine(shipped_net(dtype), together(list(graphs)), torch.cat(pos))
    for graph, here, part in zip(graphs, pos, found.split([len(x) for x in pos]), strict=True):
        assert_near(refine(shipped_net(dtype), graph, here), part, TOLERANCE[dtype])


@each_precision
@settings(max_examples=8, deadline=None)
@given(st.sampled_from(SMILES), seeds, st.booleans())
def test_it_follows_rotations_reflections_and_translations(
    dtype: torch.dtype, smiles: str, seed: int, mirrored: bool
) -> None:
    graph, pos = molecule(smiles)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        turn = (-1 if mirrored else 1) * o3.rand_matrix(dtype=torch.float64)
    here = refine(shipped_net(dtype), graph, pos)
    there = refine(shipped_net(dtype), graph, pos @ turn + 2.0)
    assert_near(there, here @ turn, TOLERANCE[dtype])
    torch.testing.assert_close(here.mean(dim=0), torch.zeros(3, dtype=torch.float64))


@each_precision
@settings(max_examples=8, deadline=None)
@given(st.sampled_from(SMILES), seeds)
def test_it_follows_a_permutation(dtype: torch.dtype, smiles: str, seed: int) -> None:
    graph, pos = molecule(smiles)
    order = torch.randperm(len(pos), generator=torch.Generator().manual_seed(seed))
    bonds, where = order.argsort()[graph.bonds].sort(dim=1).values, torch.arange(len(graph.bonds))
    where = (bonds[:, 0] * len(pos) + bonds[:, 1]).argsort()
    moved = PackedGraph(
        graph.element[order], graph.charge[order], bonds[where], graph.order[where], graph.size
    )
    here, there = (refine(shipped_net(dtype), x, y) for x, y in ((graph, pos), (moved, pos[order])))
    assert_near(there, here[order], TOLERANCE[dtype])


def test_a_small_change_of_the_start_stays_small() -> None:
    """Also where a molecule does not settle: cages far from what their graph wants."""
    generator = torch.Generator().manual_seed(0)
    for smiles in ("C12C3C4C1C5C2C3C45", "CC#N", "O.CC"):
        graph, pos = molecule(smiles)
        pos = pos + 0.5 * torch.randn(pos.shape, generator=generator, dtype=pos.dtype)
        near = pos + 1e-7 * torch.randn(pos.shape, generator=generator, dtype=pos.dtype)
        here, there = (refine(shipped_net(torch.float64), graph, x) for x in (pos, near))
        assert float((here - there).norm(dim=1).max()) < 1e-4, smiles


def test_moves_are_bounded_and_shrink() -> None:
    graph = together([molecule(one)[0] for one in ("O", "CCO")])
    far = torch.zeros(12, 3, dtype=torch.float64)
    far[1, 0], far[5, 1] = 8.0, 1.0
    found = refining._bounded(far, graph, 2.0)
    assert float(found[1, 0]) == 2.0
    assert float(found[5, 1]) == 1.0
    assert refining._bounded(far, graph, refining.FARTHEST).norm(dim=1).max() == pytest.approx(3.0)
    assert pytest.approx(0.7) == refining.SHRINK


def test_rounds_come_nearer_to_a_fixed_point() -> None:
    graph, pos = molecule("CC(=O)N")
    net = shipped_net(torch.float64)
    assert (refining.ROUNDS, refining.STEPS, refining.AHEAD) == (6, 2, 1.4)
    assert torch.equal(refine(net, graph, pos), refine(net, graph, pos, refining.ROUNDS))
    settled = refine(net, graph, pos, 40)
    left = [float((refine(net, graph, pos, n) - settled).norm(dim=1).max()) for n in (1, 3, 6)]
    assert left[2] < 0.5 * left[1] < 0.25 * left[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refining, "AHEAD", 1.0)
        slow = float((refine(net, graph, pos) - settled).norm(dim=1).max())
    assert left[2] < slow


def moves(net: RestraintNet) -> list[float]:
    """Root-mean-square moves of a diyne, an alkyne with an amide, and a chain."""
    records = list(read_records(SAMPLE))
    found = []
    for place in (3, 4, 15):
        one = records[place].molecule
        assert one is not None
        graph = packed([classes_of(one, bond_matrix(one), QM9)])
        wave = torch.arange(3 * one.n_atoms, dtype=torch.float64).view(-1, 3).mul(1.7).sin()
        pos = centred(torch.from_numpy(one.pos) / 2**0.5 + 0.15 * wave, graph)
        moved = refine(net, graph, pos) - pos
        found.append(float(moved.square().sum(dim=1).mean().sqrt()))
    return found


def test_the_shipped_network_refines_as_it_did() -> None:
    """New weights need new numbers, and so does a constant that is moved on purpose."""
    assert moves(shipped_net(torch.float64)) == pytest.approx(
        [0.6152630, 1.4698801, 0.5808603], abs=1e-6
    )

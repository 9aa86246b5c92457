"""Restraints are satisfied, in time linear in the atoms, without surprises at singular places."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from molgen.nn.refine import band
from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.impropers import Impropers
from molgen.nn.refine.restraints import Restraints, distances
from molgen.nn.refine.solve import LOOSE, STRIDE, System, _pull, _straightness, solve
from molgen.nn.refine.topology import Topology
from molgen.nn.refine.torsions import BENT, Torsions, by_axis, wrapped

from .molecules import SMILES, molecule, no_bonds, together


def kept(pos: Tensor, topology: Topology) -> Restraints:
    """Restraints that are satisfied at ``pos``, each as sure as usual."""
    length = distances(pos, topology.restrained)
    turn, rise = torch.zeros(len(topology.axes)), torch.zeros(len(topology.impropers))
    turn, rise = turn.double(), rise.double()
    return Restraints(
        length=length,
        stiffness=torch.full_like(length, 1e4),
        rule=length,
        log_rule=torch.zeros_like(length),
        turn=turn,
        log_turn=turn - 3,
        rise=rise,
        log_rise=rise - 3,
    )


def solved(graph: PackedGraph, pos: Tensor, restraints: Restraints, n_steps: int) -> Tensor:
    topology = Topology.of(graph)
    return solve(pos, restraints, topology, System.of(graph, topology), n_steps)


@pytest.mark.parametrize("smiles", SMILES)
def test_derivatives_are_those_of_autograd(smiles: str) -> None:
    graph, pos = molecule(smiles)
    topology = Topology.of(graph)
    for kind, atoms, name in (
        (Torsions, topology.torsions, "angle"),
        (Impropers, topology.impropers, "height"),
    ):
        here = pos.clone().requires_grad_()
        found = kind.of(here, topology)
        weight = getattr(found, "weight", torch.ones(len(atoms)).double()).detach() > 0.99
        (wanted,) = torch.autograd.grad(
            (getattr(found, name) * weight).sum() + 0 * here.sum(), here
        )
        rows = (found.gradient.detach() * weight[:, None, None]).flatten(0, 1)
        torch.testing.assert_close(
            torch.zeros_like(pos).index_add(0, atoms.flatten(), rows), wanted
        )


@pytest.mark.parametrize("smiles", SMILES)
def test_what_is_satisfied_stays(smiles: str) -> None:
    graph, pos = molecule(smiles)
    torch.testing.assert_close(solved(graph, pos, kept(pos, Topology.of(graph)), 2), pos)


def test_turns_rises_and_lengths_are_reached() -> None:
    graph, pos = molecule("CCO")
    topology = Topology.of(graph)
    wanted = kept(pos, topology)
    turned = replace(wanted, turn=wanted.turn + 0.4, log_turn=wanted.log_turn - 1)
    there = solved(graph, pos, turned, 4)
    change = wrapped(Torsions.of(there, topology).angle - Torsions.of(pos, topology).angle)
    mean = by_axis(change, topology) / by_axis(torch.ones_like(change), topology)
    torch.testing.assert_close(mean, turned.turn, atol=0.02, rtol=0)
    longer = replace(wanted, length=1.05 * wanted.length, turn=wanted.turn)
    found = distances(solved(graph, pos, longer, 4), topology.restrained)
    torch.testing.assert_close(found, longer.length, atol=2e-3, rtol=0)
    flat, pos = molecule("CC(=O)N")
    topology = Topology.of(flat)
    wanted = kept(pos, topology)
    risen = replace(wanted, rise=wanted.rise + 0.1, log_rise=wanted.log_rise - 2)
    height = Impropers.of(solved(flat, pos, risen, 4), topology).height
    torch.testing.assert_close(
        height - Impropers.of(pos, topology).height, risen.rise, atol=0.03, rtol=0
    )


def test_a_turn_is_bounded_by_strides() -> None:
    graph, pos = molecule("CC(C)(C)CC#C")
    topology = Topology.of(graph)
    wanted = kept(pos, topology)
    far = replace(wanted, turn=wanted.turn + 3.0)
    near = replace(wanted, turn=wanted.turn + 2 * STRIDE)
    torch.testing.assert_close(solved(graph, pos, far, 2), solved(graph, pos, near, 2))
    assert pytest.approx(0.7) == STRIDE


def test_pulls_are_continuous_on_the_circle() -> None:
    turns = torch.linspace(-7, 7, 20001, dtype=torch.float64)
    pulls = _pull(turns)
    assert float(pulls.diff().abs().max()) < 2e-3
    assert float(pulls.max()) == pytest.approx(0.7)
    assert float(_pull(torch.tensor(math.pi - 0.25).double())) == pytest.approx(0.35)


def test_a_free_atom_follows_its_spring_to_where_it_was() -> None:
    """Two atoms of a spring of stiffness 1: each goes as far as its tether lets it."""
    pair = PackedGraph(
        *(torch.zeros(2, dtype=torch.long),) * 2,
        torch.tensor([[0, 1]]),
        torch.tensor([1]),
        torch.tensor([2]),
    )
    pos = torch.tensor([[0.0, 0, 0], [1.0, 0, 0]], dtype=torch.float64)
    wanted = kept(pos, Topology.of(pair))
    wanted = replace(wanted, length=wanted.length + 1, stiffness=torch.ones_like(wanted.length))
    there = solved(pair, pos, wanted, 3)
    assert float(there[1, 0] - there[0, 0]) == pytest.approx(1 + 2 / (2 + 5.0**-2), abs=1e-4)
    assert pytest.approx(5.0) == LOOSE


def test_a_straight_angle_does_not_run_away() -> None:
    """Ends too far from each other along a line: they are drawn in, not folded."""
    chain = PackedGraph(
        *(torch.zeros(3, dtype=torch.long),) * 2,
        torch.tensor([[0, 1], [1, 2]]),
        torch.tensor([1, 1]),
        torch.tensor([3]),
    )
    pos = torch.tensor([[-1.0, 1e-4, 0], [0, 0, 0], [1, 0, 0]], dtype=torch.float64)
    wanted = kept(pos, Topology.of(chain))
    shorter = replace(wanted, length=wanted.length - torch.tensor([0.0, 0.1, 0.0]).double())
    moved = (solved(chain, pos, shorter, 1) - pos).abs()
    assert float(moved.max()) < 0.1
    angles = Topology.of(chain).angles
    bent = torch.tensor([[math.cos(0.3), math.sin(0.3), 0], [0, 0, 0], [1, 0, 0]]).double()
    assert BENT == (0.2, 0.4)
    assert float(_straightness(pos, angles)) == 1
    assert float(_straightness(bent, angles)) == pytest.approx(0.5, abs=0.05)


def test_bands_solve_as_dense_matrices_do() -> None:
    graphs, pos = zip(*(molecule(one) for one in (SMILES[2], SMILES[12], SMILES[8])), strict=True)
    graph, here = together(list(graphs)), torch.cat(pos)
    topology = Topology.of(graph)
    generator = torch.Generator().manual_seed(0)
    wanted = kept(here, topology)
    noise = 0.05 * torch.randn(wanted.length.shape, generator=generator, dtype=torch.float64)
    wanted = replace(wanted, length=wanted.length + noise, turn=wanted.turn + 0.2)
    system = System.of(graph, topology)
    assert system.band.n_blocks > 1
    banded = solve(here, wanted, topology, system, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(band, "DENSE", 1000)
        dense = System.of(graph, topology)
    assert dense.band.n_blocks == 1
    torch.testing.assert_close(banded, solve(here, wanted, topology, dense, 2))


def test_atoms_without_bonds_stay() -> None:
    zeros = torch.zeros(2, dtype=torch.long)
    apart = PackedGraph(zeros, zeros, *no_bonds(), torch.tensor([1, 1]))
    pos = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(solved(apart, pos, kept(pos, Topology.of(apart)), 2), pos)


def test_blocks_are_no_narrower_than_a_dozen_atoms() -> None:
    n = 30
    chain = torch.stack([torch.arange(n - 1), torch.arange(1, n)], dim=1)
    one = torch.zeros(n, dtype=torch.long)
    graph = PackedGraph(one, one, chain, torch.ones(n - 1, dtype=torch.long), torch.tensor([n]))
    found = band.Band.of(graph, torch.cat([chain, chain.flip(1)]))
    assert (found.n_blocks, found.dims) == (3, 36)

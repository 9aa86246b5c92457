"""Index lists of graphs against brute force, and pairs whose weights fade with distance."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.pair_list import FADE, NEAREST, PairList, faded
from molgen.nn.refine.topology import Topology

from .molecules import SMILES, molecule, no_bonds, together


@pytest.mark.parametrize("smiles", SMILES)
def test_lists_are_those_of_a_search(smiles: str) -> None:
    graph, _ = molecule(smiles)
    topology, n = Topology.of(graph), len(graph.element)
    bonds = {frozenset(pair) for pair in graph.bonds.tolist()}

    def paths(length: int) -> set[tuple[int, ...]]:
        found = [(atom,) for atom in range(n)]
        for _ in range(length - 1):
            found = [(*p, x) for p in found for x in range(n) if frozenset((p[-1], x)) in bonds]
        return {min(p, p[::-1]) for p in found if len(set(p)) == length}

    angles, torsions = topology.angles.tolist(), topology.torsions.tolist()
    assert len(angles) == len({tuple(min(p, p[::-1])) for p in angles})
    assert {tuple(min(p, p[::-1])) for p in angles} == paths(3)
    assert {tuple(min(p, p[::-1])) for p in torsions} == paths(4)
    assert len(torsions) == len(paths(4))
    assert torch.equal(topology.torsions[:, 1:3], topology.axes[topology.axis])
    near = {frozenset(p) for p in topology.restrained.tolist()}
    assert near == bonds | {frozenset((p[0], p[2])) for p in paths(3)}
    restrained = topology.restrained[topology.angle_pair]
    assert torch.equal(restrained, topology.angles[:, ::2])
    for centre, *around in topology.impropers.tolist():
        assert {frozenset((centre, x)) for x in around} == {b for b in bonds if centre in b}


@pytest.mark.parametrize("smiles", SMILES)
def test_paths_lead_over_a_bond_and_a_pair(smiles: str) -> None:
    graph, pos = molecule(smiles)
    listed = PairList.of(graph, Topology.of(graph), pos)
    pairs = torch.stack([listed.first, listed.last], dim=1).tolist()
    there = {frozenset(pair) for pair in pairs}
    bonds = {frozenset(pair) for pair in graph.bonds.tolist()}
    expected = sorted(
        (pairs.index(sorted(ends)), pairs.index(sorted((a, m))), pairs.index(sorted((m, b))))
        for ends in pairs
        for a, b in permutations(ends)
        for m in range(len(pos))
        if m != b and frozenset((a, m)) in bonds and frozenset((m, b)) in there
    )
    assert sorted(map(tuple, listed.paths.T.tolist())) == expected


def line(n: int) -> tuple[PackedGraph, torch.Tensor]:
    """Atoms without bonds, ever farther from the first."""
    zeros = torch.zeros(n, dtype=torch.long)
    along = torch.arange(n, dtype=torch.float64) ** 1.5
    pos = torch.stack([along, 0 * along, 0 * along], dim=1)
    return PackedGraph(zeros, zeros, *no_bonds(), torch.tensor([n])), pos


def test_small_molecules_see_all_pairs_with_full_weight() -> None:
    for n in (2, NEAREST + 1):
        graph, pos = line(n)
        listed = PairList.of(graph, Topology.of(graph), pos)
        assert len(listed.first) == n * (n - 1) // 2
        assert bool((listed.weight == 1).all())
    assert NEAREST == 28  # all others in molecules of QM9


def test_weights_of_large_molecules_fall_to_zero_at_the_first_atom_not_seen() -> None:
    graph, pos = line(40)
    listed = PairList.of(graph, Topology.of(graph), pos)
    rows = zip(listed.first.tolist(), listed.last.tolist(), listed.weight.tolist(), strict=True)
    of_first = {last: weight for first, last, weight in rows if first == 0}
    limit = pos[NEAREST + 1, 0]
    for atom, weight in of_first.items():
        if atom <= NEAREST:
            assert weight >= float(faded(pos[atom, 0] / limit, 1.0, FADE)) - 1e-12
    assert float(faded(torch.tensor(0.79), 1.0, FADE)) == 1
    assert 0 < float(faded(torch.tensor(0.81), 1.0, FADE)) < 1


def test_molecules_do_not_see_each_other() -> None:
    graphs, pos = zip(*(molecule(one) for one in ("O", "CCO")), strict=True)
    graph = together(list(graphs))
    listed = PairList.of(graph, Topology.of(graph), torch.cat(pos))
    assert torch.equal(graph.molecule[listed.first], graph.molecule[listed.last])

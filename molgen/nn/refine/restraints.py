"""Restraints of a molecule at its minimum: distances, torsions and impropers, learnt.

Distances follow from elements and bond orders, angles from the atom between two bonds, torsions
from everything around: a force field's knowledge, from layers that see a graph and positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.distances import SPREADS
from molgen.nn.embed import RadialBasis
from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.impropers import ImproperHead, Impropers
from molgen.nn.refine.pair_layer import ATOM, PAIR, RADIAL, PairFeatures, PairLayer
from molgen.nn.refine.pair_list import NEAREST, PairList
from molgen.nn.refine.spread import between
from molgen.nn.refine.topology import Topology
from molgen.nn.refine.torsions import TorsionHead, Torsions

CUTOFF = 8.0
"""Largest distance resolved, in units of the network's coordinates."""

FIRST = (0.0, 1.0, -2.0)
"""Length by rule, its spread and that of the distance found before there was any training: the
positions are trusted."""


@dataclass(frozen=True)
class RefineDims:
    """Sizes of `RestraintNet`.

    Attributes:
        n_layers: Layers; with each, a pair sees a bond farther.
        n_elements: Element classes.
        n_charges: Formal-charge classes.
        n_bonds: Bond classes, the absent bond included.
    """

    n_layers: int
    n_elements: int
    n_charges: int
    n_bonds: int


@dataclass(frozen=True)
class Restraints:
    """Targets of a molecule, in units of the network's coordinates.

    Attributes:
        length: Distances of the restrained pairs (`Topology.restrained`), ``[R]``.
        stiffness: Their precisions, ``[R]``.
        rule: Lengths by the rules alone, ``[R]``.
        log_rule: Logarithms of their standard deviations, ``[R]``.
        turn: How far each axis should turn, radians, ``[X]``.
        log_turn: Logarithms of the standard deviations, ``[X]``.
        rise: How much farther each improper should stand out, ``[I]``.
        log_rise: Logarithms of the standard deviations, ``[I]``.
    """

    length: Tensor
    stiffness: Tensor
    rule: Tensor
    log_rule: Tensor
    turn: Tensor
    log_turn: Tensor
    rise: Tensor
    log_rise: Tensor


class DistanceRule(nn.Module):
    """From features of pairs to their lengths by rule, and whom to believe."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PAIR)
        self.out = nn.Linear(PAIR, len(FIRST))
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor(FIRST))

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lengths, and the logarithms of the spreads of these and of the distances found."""
        rule, trust, doubt = self.out(self.norm(pairs)).unbind(dim=-1)
        return rule.exp(), between(trust, SPREADS), between(doubt, SPREADS)


class RestraintNet(nn.Module):
    """Restraints from a graph and from positions near its minimum.

    Args:
        dims: NetworkSpec.
    """

    def __init__(self, dims: RefineDims) -> None:
        super().__init__()
        self.dims = dims
        n_classes = dims.n_elements + dims.n_charges + dims.n_bonds
        self.radial = RadialBasis(RADIAL, CUTOFF)
        self.embed_atom = nn.Linear(n_classes, ATOM)
        self.atom_to_pair = nn.Linear(ATOM, PAIR, bias=False)
        self.embed_bond = nn.Linear(dims.n_bonds, PAIR)
        self.layers = nn.ModuleList(PairLayer() for _ in range(dims.n_layers))
        self.distances = DistanceRule()
        self.torsions = TorsionHead()
        self.impropers = ImproperHead()

    def forward(
        self, graph: PackedGraph, topology: Topology, listed: PairList, pos: Tensor
    ) -> Restraints:
        """Restraints of molecules near ``pos``, ``[A, 3]``, in the dtype of the weights.

        No gradient flows into the positions.
        """
        # A length in bf16 is wrong by a hundredth of an Å.
        with torch.autocast(pos.device.type, enabled=False):
            return self._restraints(graph, topology, listed, pos.detach())

    def _restraints(
        self, graph: PackedGraph, topology: Topology, listed: PairList, pos: Tensor
    ) -> Restraints:
        pos = pos.to(self.embed_bond.weight.dtype)
        distance = distances(pos, torch.stack([listed.first, listed.last], dim=1))
        seen = PairFeatures.of(listed, self.radial(distance), len(pos))
        atoms, pairs = self._embedded(graph, listed, pos.dtype)
        for layer in self.layers:
            atoms, pairs = layer(atoms, pairs, seen)
        near = listed.restrained
        rule, log_rule, log_doubt = self.distances(pairs[near])
        by_rule, by_pos = (-2 * log_rule).exp(), (-2 * log_doubt).exp()
        torsions, impropers = Torsions.of(pos, topology), Impropers.of(pos, topology)
        turn, log_turn = self.torsions(atoms, pairs, listed, topology, torsions)
        rise, log_rise = self.impropers(atoms, pairs, listed, topology, impropers)
        return Restraints(
            length=(by_rule * rule + by_pos * distance[near]) / (by_rule + by_pos),
            stiffness=by_rule + by_pos,
            rule=rule,
            log_rule=log_rule,
            turn=turn,
            log_turn=log_turn,
            rise=rise,
            log_rise=log_rise,
        )

    def _embedded(
        self, graph: PackedGraph, listed: PairList, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Features of atoms and of pairs before the first layer."""
        dims = self.dims
        element = functional.one_hot(graph.element, dims.n_elements)
        charge = functional.one_hot(graph.charge, dims.n_charges)
        order = functional.one_hot(graph.order, dims.n_bonds)
        bonded = order.new_zeros(len(graph.element), dims.n_bonds)
        bonded = bonded.index_add(0, graph.bonds.flatten(), order.repeat_interleave(2, dim=0))
        # The absent bond counts the other atoms that are seen without a bond to them.
        others = (graph.size - 1).clamp_max(NEAREST)[graph.molecule] - bonded.sum(dim=1)
        bonded = torch.cat([others[:, None], bonded[:, 1:]], dim=1)
        atoms = self.embed_atom(torch.cat([element, charge, bonded], dim=1).to(dtype))
        kind = graph.order.new_zeros(len(listed.first)).index_copy(0, listed.bonds, graph.order)
        pairs = self.embed_bond(functional.one_hot(kind, dims.n_bonds).to(dtype))
        ends = self.atom_to_pair(atoms)
        return atoms, pairs + ends[listed.first] + ends[listed.last]


def distances(pos: Tensor, pairs: Tensor) -> Tensor:
    """Distances ``[R]`` of pairs of atoms, ``[R, 2]``, with a slope where both are in one place."""
    first, last = pos[pairs].unbind(dim=1)
    return ((first - last).square().sum(dim=-1) + 1e-6).sqrt()

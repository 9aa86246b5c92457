"""The distances that a graph has, from its bonds and from positions that nearly fit them.

Lengths follow from elements and bond orders, angles from the atom between two bonds: rules that a
force field spells out and a network can learn. Atoms and bonds are named last
(`molgen.nn.marginals`), so positions that were estimated before need not suit them; these
distances do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.block import pair_distances
from molgen.nn.classes import Classes
from molgen.nn.distances import OWN_SPREADS, SPREADS, Distances
from molgen.nn.embed import RadialBasis
from molgen.nn.probability import probability

PAIR = 48
"""Features of a pair of atoms."""

ATOM = 48
"""Features of an atom."""

PATHS = 16
"""Products over every atom between two others."""

HIDDEN = 64
"""Hidden width of the update of a pair."""

FIRST = (0.0, 1.0, -2.0)
"""Length by rule, its spread and that of the distance found before there was any training: the
positions are trusted."""


class PathLayer(nn.Module):
    """Pairs hear of the bonds between them, atoms of the bonds around them.

    The distance of two atoms that share a neighbour is that of an angle, and depends on both bonds
    and on the atom between: products of a bond and of a pair, summed over that atom, as in the
    triangle update of Jumper et al. (2021, AlphaFold, supplementary algorithm 11). A second layer
    sees paths of three bonds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PAIR)
        self.sides = nn.Linear(PAIR, 2 * PATHS)
        self.pair_in = nn.Linear(PAIR + PATHS, HIDDEN)
        self.pair_out = nn.Linear(HIDDEN, PAIR)
        self.around = nn.Linear(PAIR, ATOM)
        self.atom_in = nn.Linear(2 * ATOM, HIDDEN)
        self.atom_out = nn.Linear(HIDDEN, ATOM)
        self.of_atom = nn.Linear(ATOM, PAIR, bias=False)
        self.norm_atom = nn.LayerNorm(ATOM)

    def forward(self, atoms: Tensor, pairs: Tensor, bonded: Tensor) -> tuple[Tensor, Tensor]:
        """New atoms ``[B, N, A]`` and pairs ``[B, N, N, P]``, symmetric if the old ones were.

        Args:
            atoms: Features of atoms.
            pairs: Features of pairs.
            bonded: Probability of a bond, ``[B, N, N]``, zero on the diagonal and in padding.
        """
        normed = self.norm(pairs)
        bond, rest = self.sides(normed).chunk(2, dim=-1)
        bond = (bond * bonded[..., None]).permute(0, 3, 1, 2)  # B C N N
        paths = (bond @ rest.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        paths = paths + paths.transpose(1, 2)
        hidden = functional.silu(self.pair_in(torch.cat([normed, paths], dim=-1)))
        pairs = pairs + self.pair_out(hidden)
        around = (functional.silu(self.around(pairs)) * bonded[..., None]).sum(dim=2)
        hidden = functional.silu(self.atom_in(torch.cat([self.norm_atom(atoms), around], dim=-1)))
        atoms = atoms + self.atom_out(hidden)
        more = self.of_atom(atoms)
        return atoms, pairs + more[:, :, None] + more[:, None, :]


@dataclass(frozen=True)
class GraphBeliefs:
    """What a graph says of its distances, in units of the network's coordinates.

    Attributes:
        distances: Of the rules and of the positions together, their precisions added up.
        rule: What the rules expect by themselves, ``[B, N, N]``.
        log_rule: Logarithms of the standard deviations of that, ``[B, N, N]``.
        near: Where there are rules: the probability that one bond or two lead from one atom to the
            other, at most 1, ``[B, N, N]``.
    """

    distances: Distances
    rule: Tensor
    log_rule: Tensor
    near: Tensor


@dataclass(frozen=True)
class GraphShape:
    """Sizes of `GraphDistances`.

    Attributes:
        n_layers: Layers; with each, a pair sees a bond farther.
        n_radial: Radial functions per distance.
        cutoff: Largest distance resolved, in units of the network's coordinates.
        n_elements: Element classes.
        n_charges: Formal-charge classes.
        n_bonds: Bond classes, the absent bond included.
    """

    n_layers: int
    n_radial: int
    cutoff: float
    n_elements: int
    n_charges: int
    n_bonds: int


class GraphDistances(nn.Module):
    """Beliefs about the distances of a graph.

    Args:
        shape: Sizes.
    """

    def __init__(self, shape: GraphShape) -> None:
        super().__init__()
        self.shape = shape
        n_classes = shape.n_elements + shape.n_charges + shape.n_bonds
        self.radial = RadialBasis(shape.n_radial, shape.cutoff)
        self.atoms = nn.Linear(n_classes, ATOM)
        self.of_atom = nn.Linear(ATOM, PAIR, bias=False)
        self.pairs = nn.Linear(shape.n_radial + shape.n_bonds, PAIR)
        self.layers = nn.ModuleList(PathLayer() for _ in range(shape.n_layers))
        self.norm = nn.LayerNorm(PAIR)
        self.out = nn.Linear(PAIR, len(FIRST))
        self.own = nn.Linear(ATOM, 1)
        for last in (self.out, self.own):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor(FIRST))

    def forward(self, classes: Classes, pos: Tensor, mask: Tensor) -> GraphBeliefs:
        """Beliefs about the distances in the molecule of these atoms and bonds.

        Args:
            classes: Logits of atoms and bonds; no gradient flows into them.
            pos: Positions near it, ``[B, N, 3]``.
            mask: Real atoms, ``[B, N]`` bool.
        """
        # A length in bf16 is wrong by a hundredth of an Å.
        with torch.autocast(pos.device.type, enabled=False):
            return self._beliefs(classes, pos, mask)

    def _beliefs(self, classes: Classes, pos: Tensor, mask: Tensor) -> GraphBeliefs:
        element, charge, bond = (
            probability(logits.detach()).to(pos.dtype)
            for logits in (classes.element, classes.charge, classes.bond)
        )
        apart = ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        real = (mask[:, :, None] & mask[:, None, :] & apart).to(pos.dtype)
        bonds = bond * real[..., None]
        bonded = bonds[..., 1:].sum(dim=-1)
        near = (bonded + bonded @ bonded).clamp(max=1) * real
        found = pair_distances(pos[..., None]).squeeze(-1)
        # Orders are summed up, so that an atom knows its neighbours by number.
        atoms = self.atoms(torch.cat([element, charge, bonds.sum(dim=2)], dim=-1))
        ends = self.of_atom(atoms)
        pairs = self.pairs(torch.cat([self.radial(found.detach()), bond], dim=-1))
        pairs = pairs + ends[:, :, None] + ends[:, None, :]
        for layer in self.layers:
            atoms, pairs = layer(atoms, pairs, bonded)
        said = self.out(self.norm(pairs))
        length, rule, doubt = ((said + said.transpose(1, 2)) / 2).unbind(dim=-1)
        log_rule = _between(rule, SPREADS)
        by_rule, by_pos = near * (-2 * log_rule).exp(), (-2 * _between(doubt, SPREADS)).exp()
        precision = by_rule + by_pos
        distances = Distances(
            mean=(by_rule * length.exp() + by_pos * found) / precision,
            log_spread=-precision.log() / 2,
            log_own=_between(self.own(atoms).squeeze(-1), OWN_SPREADS),
        )
        return GraphBeliefs(distances, length.exp(), log_rule, near)


def _between(said: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Logarithms within bounds, which a gradient always leads away from."""
    low, high = (math.log(bound) for bound in bounds)
    return low + (high - low) * said.sigmoid()

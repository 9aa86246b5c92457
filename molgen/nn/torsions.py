"""How far the bonds of a molecule should turn for it to come to rest.

A conformer is told by its torsions: lengths and angles follow from the graph
(`molgen.nn.graph_distances`), torsions from everything around, and least from the graph alone. So
they are what positions of few calls are wrong in. The turn of a bond changes sign in a mirror:
it is a sum of sines of the torsions around it, times what depends on distances only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.axes import Axes, Dihedrals, axes_of, dihedrals, taken
from molgen.nn.block import pair_distances
from molgen.nn.classes import Classes
from molgen.nn.embed import RadialBasis
from molgen.nn.graph_distances import GraphShape
from molgen.nn.turning import turned

PAIR = 48
"""Features of a pair of atoms."""

ATOM = 64
"""Features of an atom."""

PATHS = 16
"""Products over every atom between two others."""

HIDDEN = 64
"""Hidden width of the update of a pair."""

RADIAL = 24
"""Radial functions per distance."""

CUTOFF = 8.0
"""Largest distance resolved, in units of the network's coordinates."""

TORSION = 96
"""Features of a torsion."""

WAVES = 3
"""Multiples of a torsion angle whose sines and cosines are seen."""

TURNS = 16
"""Turns proposed by every torsion, of which the bond chooses."""

STEP = 0.3
"""Radians per unit of the last layer's output."""

LOG_SPREADS = (-4.0, 1.2)
"""Least and largest logarithm of the spread of a turn, radians."""

FIRST_LOG_SPREAD = -1.5


@dataclass(frozen=True)
class Turns:
    """Beliefs about how far bonds should turn.

    Attributes:
        axes: The bonds.
        found: The torsions that are there.
        turn: Expected turn, radians, ``[B, E]``.
        log_spread: Logarithms of the mean deviation from that, ``[B, E]``.
        near: Where one bond or two lead from one atom to the other, ``[B, N, N]`` bool.
    """

    axes: Axes
    found: Dihedrals
    turn: Tensor
    log_spread: Tensor
    near: Tensor

    def applied(self, pos: Tensor, mask: Tensor, n_iterations: int) -> Tensor:
        """Positions near ``pos``, ``[B, N, 3]``, with these turns, of which no gradient is kept."""
        with torch.autocast(pos.device.type, enabled=False):
            said = (self.turn.detach(), self.log_spread.detach())
            return turned(pos, self.axes, *said, self.near, mask, n_iterations)


class AroundLayer(nn.Module):
    """Pairs hear of their distance and of the bonds between them, atoms of all others around.

    Products of a bond and of a pair are summed over the atom between, as in
    `molgen.nn.graph_distances.PathLayer`; but what is sought depends on what is not bonded, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PAIR)
        self.sides = nn.Linear(PAIR, 2 * PATHS)
        self.pair_in = nn.Linear(PAIR + PATHS + RADIAL, HIDDEN)
        self.ends = nn.Linear(ATOM, HIDDEN, bias=False)
        self.pair_out = nn.Linear(HIDDEN, PAIR)
        self.bonded = nn.Linear(HIDDEN, ATOM)
        self.around = nn.Linear(HIDDEN, ATOM)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.atom_in = nn.Linear(3 * ATOM, 2 * ATOM)
        self.atom_out = nn.Linear(2 * ATOM, ATOM)
        nn.init.normal_(self.pair_out.weight, std=0.02)

    def forward(
        self, atoms: Tensor, pairs: Tensor, radial: Tensor, bonded: Tensor, share: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New atoms ``[B, N, A]`` and pairs ``[B, N, N, P]``, symmetric if the old ones were.

        Args:
            atoms: Features of atoms.
            pairs: Features of pairs.
            radial: Radial functions of their distances, ``[B, N, N, R]``.
            bonded: 1 for bonds, 0 for other pairs, ``[B, N, N]``.
            share: Weights of atoms around an atom, ``[B, N, N]``.
        """
        normed = self.norm(pairs)
        bond, rest = self.sides(normed).chunk(2, dim=-1)
        bond = (bond * bonded[..., None]).permute(0, 3, 1, 2)  # B C N N
        paths = (bond @ rest.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        paths = paths + paths.transpose(1, 2)
        here = self.norm_atom(atoms)
        ends = self.ends(here)
        seen = self.pair_in(torch.cat([normed, paths, radial], dim=-1))
        hidden = functional.silu(seen + (ends[:, :, None] + ends[:, None]))
        # Sums come before the linear maps, which are of atoms then, and not of pairs.
        heard = (
            self.bonded((hidden * bonded[..., None]).sum(dim=2)),
            self.around((hidden * share[..., None]).sum(dim=2)),
        )
        atoms = atoms + self.atom_out(
            functional.silu(self.atom_in(torch.cat([*heard, here], dim=-1)))
        )
        return atoms, pairs + self.pair_out(hidden)


class TorsionHead(nn.Module):
    """From the features of atoms and pairs to the turns of bonds."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_pair = nn.LayerNorm(PAIR)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.of_bond = nn.Linear(PAIR, TORSION)
        self.of_ends = nn.Linear(PAIR, TORSION)
        self.of_angles = nn.Linear(PAIR, TORSION)
        self.of_end = nn.Linear(ATOM, TORSION)
        self.of_middle = nn.Linear(ATOM, TORSION)
        self.of_angle = nn.Linear(WAVES + 1, TORSION)
        self.middle = nn.Linear(TORSION, TORSION)
        self.odd = nn.Linear(TORSION, WAVES * TURNS)
        self.even = nn.Linear(TORSION, TORSION)
        self.bond = nn.Linear(TORSION, TORSION)
        self.out = nn.Linear(TORSION, TURNS + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, atoms: Tensor, pairs: Tensor, distance: Tensor, axes: Axes, found: Dihedrals
    ) -> tuple[Tensor, Tensor]:
        """Turns and the logarithms of their spreads, ``[B, E]`` each."""
        n = atoms.shape[1]
        pairs = self.norm_pair(pairs).flatten(1, 2)
        atoms = self.norm_atom(atoms)
        first, last = axes.atoms.unbind(dim=2)
        start, stop = axes.others.unbind(dim=2)  # B E K
        ends = start[..., :, None] * n + stop[..., None, :]
        of_end, of_middle = self.of_end(atoms), self.of_middle(atoms)
        of_start = taken(of_end, start) + self._angle(pairs, start * n + last[..., None])
        of_stop = taken(of_end, stop) + self._angle(pairs, first[..., None] * n + stop)
        of_bond = self.of_bond(taken(pairs, first * n + last))
        of_bond = of_bond + taken(of_middle, first) + taken(of_middle, last)
        waves = found.angle[..., None] * torch.arange(1, WAVES + 1, device=atoms.device)
        length = taken(distance.flatten(1)[..., None], ends)
        hidden = self.of_ends(taken(pairs, ends))
        hidden = hidden + self.of_angle(torch.cat([waves.cos(), length], dim=-1))
        hidden = hidden + of_start[..., :, None, :] + of_stop[..., None, :, :]
        hidden = functional.silu(hidden + of_bond[..., None, None, :])
        hidden = hidden + functional.silu(self.middle(hidden))  # B E K K T
        sound = found.sound[..., None]
        odd = self.odd(hidden).unflatten(-1, (WAVES, TURNS)) * waves.sin()[..., None]
        odd = (odd.sum(dim=-2) * sound).sum(dim=(2, 3))
        even = (self.even(hidden) * sound).sum(dim=(2, 3)) / 3
        said = self.out(functional.silu(self.bond(functional.silu(even))))
        turn = STEP * (odd * said[..., :TURNS]).sum(dim=-1)
        return turn, (FIRST_LOG_SPREAD + said[..., TURNS]).clamp(*LOG_SPREADS)

    def _angle(self, pairs: Tensor, place: Tensor) -> Tensor:
        """Of the two atoms at the ends of a bond angle; both angles of a torsion share the bias."""
        bias = self.of_angles.bias / 2
        return functional.linear(taken(pairs, place), self.of_angles.weight, bias)


class Torsions(nn.Module):
    """Beliefs about the turns of a graph's bonds.

    Args:
        shape: Sizes.
    """

    def __init__(self, shape: GraphShape) -> None:
        super().__init__()
        self.shape = shape
        n_classes = shape.n_elements + shape.n_charges + shape.n_bonds
        self.radial = RadialBasis(RADIAL, CUTOFF)
        self.atoms = nn.Linear(n_classes, ATOM)
        self.of_atom = nn.Linear(ATOM, PAIR, bias=False)
        self.pairs = nn.Linear(shape.n_bonds, PAIR)
        self.layers = nn.ModuleList(AroundLayer() for _ in range(shape.n_layers))
        self.head = TorsionHead()

    def forward(self, classes: Classes, pos: Tensor, mask: Tensor) -> Turns:
        """Beliefs about the turns in the molecule of these atoms and bonds.

        Args:
            classes: Logits of atoms and bonds; the most probable ones count.
            pos: Positions whose lengths and angles suit it, ``[B, N, 3]``; no gradient flows
                into them.
            mask: Real atoms, ``[B, N]`` bool.
        """
        with torch.autocast(pos.device.type, enabled=False):
            return self._turns(classes, pos.detach(), mask)

    def _turns(self, classes: Classes, pos: Tensor, mask: Tensor) -> Turns:
        element, charge, bond = (
            _chosen(logits).to(pos.dtype)
            for logits in (classes.element, classes.charge, classes.bond)
        )
        apart = ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        pair = mask[:, :, None] & mask[:, None, :] & apart
        real = pair.to(pos.dtype)
        bonds = bond * real[..., None]
        bonded = bonds[..., 1:].sum(dim=-1)
        share = real / mask.sum(dim=1).to(pos.dtype).sqrt()[:, None, None]
        distance = pair_distances(pos[..., None]).squeeze(-1)
        radial = self.radial(distance)
        atoms = self.atoms(torch.cat([element, charge, bonds.sum(dim=2)], dim=-1))
        ends = self.of_atom(atoms)
        pairs = self.pairs(bonds) + ends[:, :, None] + ends[:, None]
        for layer in self.layers:
            atoms, pairs = layer(atoms, pairs, radial, bonded, share)
        linked = bonded > 0
        axes = axes_of(linked, distance, mask)
        found = dihedrals(pos, axes)
        turn, log_spread = self.head(atoms, pairs, distance, axes, found)
        near = pair & (linked | (bonded @ bonded > 0))
        return Turns(axes, found, turn, log_spread, near)


def _chosen(logits: Tensor) -> Tensor:
    """The most probable class, one-hot."""
    return functional.one_hot(logits.argmax(dim=-1), logits.shape[-1])

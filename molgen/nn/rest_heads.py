"""What is wanted of lengths, torsions and heights, from features of atoms and pairs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.around import ATOM, PAIR
from molgen.nn.axes import Axes, Dihedrals, taken
from molgen.nn.centres import Centres, Pyramids
from molgen.nn.distances import SPREADS
from molgen.nn.triangle import Triangle

FIRST = (0.0, 1.0, -2.0)
"""Length by rule, its spread and that of the distance found before there was any training: the
positions are trusted."""

TORSION = 64
"""Features of a torsion."""

WAVES = 3
"""Multiples of a torsion angle whose sines and cosines are seen, and odd powers of a height."""

TURNS = 16
"""Turns proposed by every torsion, of which the bond chooses."""

STEP = 0.3
"""Radians per unit of the last layer's output."""

LOG_SPREADS = (-4.0, 1.2)
"""Least and largest logarithm of the deviation of a turn, radians, and of a rise."""

FIRST_LOG_SPREAD = -1.5


class LengthHead(nn.Module):
    """From the features of pairs to their lengths by rule, and whom to believe."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PAIR)
        self.out = nn.Linear(PAIR, len(FIRST))
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor(FIRST))

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lengths by rule, and the logarithms of the spreads of these and of the distances found.

        Args:
            pairs: Features, ``[B, P, F]``.
        """
        rule, trust, doubt = self.out(self.norm(pairs)).unbind(dim=-1)
        return rule.exp(), _between(trust, SPREADS), _between(doubt, SPREADS)


class TorsionHead(nn.Module):
    """From the features of atoms and pairs to the turns of bonds.

    A turn changes its sign in a mirror: it is a sum of sines of the torsions around the bond,
    times what depends on distances only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm_pair = nn.LayerNorm(PAIR)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.of_bond = nn.Linear(PAIR, TORSION)
        self.of_ends = nn.Linear(PAIR + WAVES, TORSION)
        self.of_angles = nn.Linear(PAIR, TORSION, bias=False)
        self.of_end = nn.Linear(ATOM, TORSION, bias=False)
        self.of_middle = nn.Linear(ATOM, TORSION, bias=False)
        self.middle = nn.Linear(TORSION, TORSION)
        self.odd = nn.Linear(TORSION, WAVES * TURNS)
        self.even = nn.Linear(TORSION, TORSION)
        self.bond = nn.Linear(TORSION, TORSION)
        self.out = nn.Linear(TORSION, TURNS + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, atoms: Tensor, pairs: Tensor, triangle: Triangle, axes: Axes, found: Dihedrals
    ) -> tuple[Tensor, Tensor]:
        """Turns and the logarithms of their spreads, ``[B, E]`` each."""
        pairs, atoms = self.norm_pair(pairs), self.norm_atom(atoms)
        first, last = axes.atoms.unbind(dim=2)
        start, stop = axes.others.unbind(dim=2)  # B E K
        bonds, ends = (
            triangle.between(first, last),
            triangle.between(start[..., :, None], stop[..., None, :]),
        )
        of_end, of_middle = self.of_end(atoms), self.of_middle(atoms)
        of_angle = self.of_angles(pairs)
        of_start = taken(of_end, start) + taken(of_angle, triangle.between(start, last[..., None]))
        of_stop = taken(of_end, stop) + taken(of_angle, triangle.between(first[..., None], stop))
        of_bond = (
            self.of_bond(taken(pairs, bonds)) + taken(of_middle, first) + taken(of_middle, last)
        )
        waves = found.angle[..., None] * torch.arange(1, WAVES + 1, device=atoms.device)
        seen = torch.cat([taken(pairs, ends), waves.cos()], dim=-1)
        either = (of_start + of_bond[..., None, :])[..., :, None, :] + of_stop[..., None, :, :]
        hidden = functional.silu(self.of_ends(seen) + either)
        hidden = hidden + functional.silu(self.middle(hidden))  # B E K K T
        sound = found.sound[..., None]
        waves = waves.sin() * sound
        odd = self.odd(hidden).unflatten(-1, (WAVES, TURNS)) * waves[..., None]
        even = self.even((hidden * sound).sum(dim=(2, 3)) / 3)
        odd = odd.sum(dim=(2, 3, 4))
        said = self.out(functional.silu(self.bond(functional.silu(even))))
        turn = STEP * (odd * said[..., :TURNS]).sum(dim=-1)
        return turn, _log_spread(said[..., TURNS])


class HeightHead(nn.Module):
    """From the features of atoms and pairs to how much farther centres should stand out.

    That changes its sign in a mirror, as heights do: it is a sum of odd powers of the height,
    times what depends on distances only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm_pair = nn.LayerNorm(PAIR)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.of_centre = nn.Linear(ATOM + 1, TORSION)
        self.of_end = nn.Linear(ATOM, TORSION, bias=False)
        self.of_bond = nn.Linear(PAIR, TORSION, bias=False)
        self.of_angle = nn.Linear(PAIR, TORSION)
        self.bond = nn.Linear(TORSION, TORSION)
        self.out = nn.Linear(TORSION, WAVES + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, atoms: Tensor, pairs: Tensor, triangle: Triangle, centres: Centres, found: Pyramids
    ) -> tuple[Tensor, Tensor]:
        """Rises and the logarithms of their deviations, ``[B, C]`` each."""
        pairs, atoms = self.norm_pair(pairs), self.norm_atom(atoms)
        bonds = triangle.between(centres.atom[..., None], centres.around)
        angles = triangle.between(centres.around, centres.around.roll(-1, dims=2))
        ends = self.of_end(taken(atoms, centres.around)) + self.of_bond(taken(pairs, bonds))
        ends = functional.silu(ends).sum(dim=2)
        ends = ends + functional.silu(self.of_angle(taken(pairs, angles))).sum(dim=2)
        size = found.height.square()
        middle = torch.cat([taken(atoms, centres.atom), size[..., None]], dim=-1)
        hidden = functional.silu(self.of_centre(middle) + ends)
        said = self.out(functional.silu(self.bond(hidden)))
        odd = torch.stack([found.height * size**power for power in range(WAVES)], dim=-1)
        return (odd * said[..., :WAVES]).sum(dim=-1), _log_spread(said[..., WAVES])


def _log_spread(said: Tensor) -> Tensor:
    return (FIRST_LOG_SPREAD + said).clamp(*LOG_SPREADS)


def _between(said: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Logarithms within bounds, which a gradient always leads away from."""
    low, high = (math.log(bound) for bound in bounds)
    return low + (high - low) * said.sigmoid()

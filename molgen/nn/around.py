"""Layers that see a molecule: its atoms, its bonds, and where the atoms are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.triangle import Triangle

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


@dataclass(frozen=True)
class Scene:
    """What every layer sees of a molecule.

    Attributes:
        triangle: Its pairs of atoms.
        radial: Radial functions of their distances, ``[B, P, R]``.
        bonded: 1 for bonds, 0 for other pairs, ``[B, N, N]``.
        sums: Sums over the bonds of every atom, and over all its pairs, ``[B, 2 N, P]``.
        near: Where one bond or two lead from one atom to the other, ``[B, P]`` bool.
    """

    triangle: Triangle
    radial: Tensor
    bonded: Tensor
    sums: Tensor
    near: Tensor

    @classmethod
    def of(cls, triangle: Triangle, radial: Tensor, bonded: Tensor, real: Tensor) -> Scene:
        """See molecules.

        Args:
            triangle: Pairs of atoms.
            radial: Radial functions of their distances, ``[B, P, R]``.
            bonded: 1 for bonds, 0 for other pairs, ``[B, N, N]``.
            real: 1 for pairs of two real atoms, ``[B, P]``.
        """
        # Sums over all atoms stay of one size: they grow with their number, means would fade.
        n_pairs = real.sum(dim=1, keepdim=True)
        share = real / (0.5 + (0.25 + 2 * n_pairs).sqrt()).sqrt()
        sums = torch.cat([triangle.incidence(x) for x in (triangle.packed(bonded), share)], dim=1)
        near = triangle.packed(bonded + bonded @ bonded) > 0
        return cls(triangle, radial, bonded, sums, near)


class AroundLayer(nn.Module):
    """Pairs hear of their distance and of the bonds between them, atoms of all others around.

    The distance of two atoms that share a neighbour is that of an angle, and depends on both bonds
    and on the atom between: products of a bond and of a pair, summed over that atom, as in the
    triangle update of Jumper et al. (2021, AlphaFold, supplementary algorithm 11). A second layer
    sees paths of three bonds. Torsions depend on what is not bonded, too, so that is heard apart.
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

    def forward(self, atoms: Tensor, pairs: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """New atoms ``[B, N, A]`` and pairs ``[B, P, F]``.

        Args:
            atoms: Features of atoms.
            pairs: Features of pairs.
            scene: What stays the same from layer to layer.
        """
        normed = self.norm(pairs)
        bond, rest = scene.triangle.square(self.sides(normed)).chunk(2, dim=-1)
        bond = (bond * scene.bonded[..., None]).permute(0, 3, 1, 2)  # B C N N
        paths = (bond @ rest.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        paths = scene.triangle.packed(paths) + scene.triangle.packed(paths.transpose(1, 2))
        here = self.norm_atom(atoms)
        seen = self.pair_in(torch.cat([normed, paths, scene.radial], dim=-1))
        hidden = functional.silu(seen + scene.triangle.added(self.ends(here)))
        # Sums come before the linear maps, which are of atoms then, and not of pairs.
        bonded, around = (scene.sums @ hidden).chunk(2, dim=1)
        heard = torch.cat([self.bonded(bonded), self.around(around), here], dim=-1)
        atoms = atoms + self.atom_out(functional.silu(self.atom_in(heard)))
        return atoms, pairs + self.pair_out(hidden)

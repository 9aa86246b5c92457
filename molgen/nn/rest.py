"""What a molecule at rest is like: its lengths, its torsions, and how far its atoms stand out.

Lengths follow from elements and bond orders, angles from the atom between two bonds, torsions from
everything around: a force field's knowledge, which layers learn that see a graph and positions and
nothing else. A network names atoms and bonds last (`molgen.nn.valence_bp`), so positions that were
estimated before need not suit them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.around import ATOM, PAIR, RADIAL, AroundLayer, Scene
from molgen.nn.axes import Dihedrals, axes_of, dihedrals
from molgen.nn.block import pair_distances
from molgen.nn.centres import Pyramids, centres_of, pyramids
from molgen.nn.classes import Classes
from molgen.nn.embed import RadialBasis
from molgen.nn.rest_heads import HeightHead, LengthHead, TorsionHead
from molgen.nn.settling import Wanted
from molgen.nn.triangle import Triangle

CUTOFF = 8.0
"""Largest distance resolved, in units of the network's coordinates."""


@dataclass(frozen=True)
class RestShape:
    """Sizes of `RestLayers`.

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
class RestBeliefs:
    """What positions and a graph say of the molecule at rest.

    Attributes:
        wanted: What it is like.
        torsions: The torsions that there are.
        heights: How far centres stand out.
        triangle: Its pairs of atoms.
        rule: Lengths by the rules alone, ``[B, P]``.
        log_rule: Logarithms of their standard deviations, ``[B, P]``.
        near: Where there are rules: one bond or two lead from one atom to the other,
            ``[B, P]`` bool.
    """

    wanted: Wanted
    torsions: Dihedrals
    heights: Pyramids
    triangle: Triangle
    rule: Tensor
    log_rule: Tensor
    near: Tensor


class RestLayers(nn.Module):
    """Beliefs about a molecule at rest.

    Args:
        shape: Sizes.
    """

    def __init__(self, shape: RestShape) -> None:
        super().__init__()
        self.shape = shape
        n_classes = shape.n_elements + shape.n_charges + shape.n_bonds
        self.radial = RadialBasis(RADIAL, CUTOFF)
        self.atoms = nn.Linear(n_classes, ATOM)
        self.of_atom = nn.Linear(ATOM, PAIR, bias=False)
        self.pairs = nn.Linear(shape.n_bonds, PAIR)
        self.layers = nn.ModuleList(AroundLayer() for _ in range(shape.n_layers))
        self.lengths = LengthHead()
        self.torsions = TorsionHead()
        self.heights = HeightHead()

    def forward(self, classes: Classes, pos: Tensor, mask: Tensor) -> RestBeliefs:
        """Beliefs about the molecule of these atoms and bonds that is near these positions.

        Args:
            classes: Logits of atoms and bonds; the most probable ones count.
            pos: Positions near it, ``[B, N, 3]``; no gradient flows into them.
            mask: Real atoms, ``[B, N]`` bool.
        """
        # A length in bf16 is wrong by a hundredth of an Å.
        with torch.autocast(pos.device.type, enabled=False):
            return self._beliefs(classes, pos.detach(), mask)

    def _beliefs(self, classes: Classes, pos: Tensor, mask: Tensor) -> RestBeliefs:
        triangle = Triangle.of(mask.shape[1], mask.device)
        distance = pair_distances(pos[..., None]).squeeze(-1)
        atoms, pairs, scene = self._seen(classes, triangle, distance, mask)
        rule, log_rule, log_doubt = self.lengths(pairs)
        near = scene.near
        by_rule, by_pos = near * (-2 * log_rule).exp(), near * (-2 * log_doubt).exp()
        stiffness = by_rule + by_pos
        length = (by_rule * rule + by_pos * triangle.packed(distance)) / stiffness.clamp_min(1)
        springs = triangle.square(torch.stack([length, stiffness], dim=-1))
        linked = scene.bonded > 0
        axes, centres = axes_of(linked, distance, mask), centres_of(linked, distance)
        torsions, heights = dihedrals(pos, axes), pyramids(pos, centres)
        turn, log_turn = self.torsions(atoms, pairs, triangle, axes, torsions)
        rise, log_rise = self.heights(atoms, pairs, triangle, centres, heights)
        wanted = Wanted(
            length=springs[..., 0],
            stiffness=springs[..., 1],
            axes=axes,
            turn=turn,
            log_turn=log_turn,
            centres=centres,
            rise=rise,
            log_rise=log_rise,
        )
        return RestBeliefs(wanted, torsions, heights, triangle, rule, log_rule, near)

    def _seen(
        self, classes: Classes, triangle: Triangle, distance: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Scene]:
        """Features of atoms and of pairs, and what they were seen in."""
        element, charge, bond = (
            _chosen(logits).to(distance.dtype)
            for logits in (classes.element, classes.charge, classes.bond)
        )
        real = (mask[:, triangle.first] & mask[:, triangle.last]).to(distance.dtype)
        bonds = triangle.packed(bond) * real[..., None]
        orders = triangle.square(bonds)
        radial = self.radial(triangle.packed(distance))
        scene = Scene.of(triangle, radial, orders[..., 1:].sum(dim=-1), real)
        # Orders are summed up, so that an atom knows its neighbours by number.
        atoms = self.atoms(torch.cat([element, charge, orders.sum(dim=2)], dim=-1))
        pairs = self.pairs(bonds) + triangle.added(self.of_atom(atoms))
        for layer in self.layers:
            atoms, pairs = layer(atoms, pairs, scene)
        return atoms, pairs, scene


def _chosen(logits: Tensor) -> Tensor:
    """The most probable class, one-hot."""
    return functional.one_hot(logits.argmax(dim=-1), logits.shape[-1])

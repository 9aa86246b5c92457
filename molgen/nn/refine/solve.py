"""Positions that satisfy restraints: damped least squares by Gauss and Newton.

How far a bond should turn is easily said; which atoms have to move for it is not, least of all in
rings. So all restraints are satisfied together, each as far as it is sure. Every row of the
Jacobian touches few atoms, all within three bonds, so the normal matrix is sparse and its factors
cost time linear in the number of atoms. Everything is equivariant and computed in double
precision: distances are a hundred thousand times as stiff as what holds a molecule in place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.nn.refine.band import Band
from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.impropers import Impropers
from molgen.nn.refine.pair_list import faded
from molgen.nn.refine.restraints import Restraints, distances
from molgen.nn.refine.topology import Topology, grouped
from molgen.nn.refine.torsions import BENT, Torsions, by_axis, wrapped

LOOSE = 5.0
"""Standard deviation of a position, in units of the network's coordinates."""

STRIDE = 0.7
"""Radians that a bond turns at most in one step: farther, a tangent leaves the circle."""

HALF_TURN = 0.5
"""Radians before a half turn, from which on the pull fades: it may go either way there."""

STRAIGHT = 0.3
"""Standard deviation of a distance over that of the bend of a straight angle in one step.

Where three atoms lie on a line, the distance of the outer two does not change with the angle, and
an undamped step would go anywhere.
"""

BEND = (-0.5, 1.0, -0.5)
"""How far the atoms of an angle count in its bend."""


@dataclass(frozen=True)
class System:
    """Sparsity of the normal equations of one batch.

    Rows of the Jacobian are distances, axes, impropers, bends of straight angles in x, y and z,
    and coordinates of all atoms, one after the other.

    Attributes:
        band: Where the numbers of the matrix stand.
        row: Row of every entry of the Jacobian, ``[J]``.
        atom: Its atom, ``[J]``.
        torsion_atom: Entry of every atom of every torsion, counted from the first axis, ``[T, 4]``.
        straight: Angles at atoms of two neighbours, among all angles, ``[G]``.
        left: First entry of every product in the matrix, ``[Q]``.
        right: Second, ``[Q]``.
        place: Where the product stands, ``[Q, 9]``.
    """

    band: Band
    row: Tensor
    atom: Tensor
    torsion_atom: Tensor
    straight: Tensor
    left: Tensor
    right: Tensor
    place: Tensor

    @classmethod
    def of(cls, graph: PackedGraph, topology: Topology) -> System:
        """The equations of a batch."""
        n = len(graph.element)
        axis = topology.axis[:, None].expand_as(topology.torsions)
        entry, torsion_atom = (axis * n + topology.torsions).unique(return_inverse=True)
        straight = (topology.adjacency.degree[topology.angles[:, 1]] == 2).nonzero().squeeze(1)
        bends = topology.angles[straight].repeat_interleave(3, dim=0)
        coordinates = torch.arange(n, device=entry.device).repeat_interleave(3)
        row, atom, n_rows = [], [], 0
        for of_row, of_atom, n_more in (
            _entries(topology.restrained),
            (entry // n, entry % n, len(topology.axes)),
            _entries(topology.impropers),
            _entries(bends),
            _entries(coordinates[:, None]),
        ):
            row.append(n_rows + of_row)
            atom.append(of_atom)
            n_rows += n_more
        rows, atoms = torch.cat(row), torch.cat(atom)
        count = torch.bincount(rows, minlength=n_rows)
        left, within = grouped(count[rows])
        right = (count.cumsum(0) - count)[rows[left]] + within
        band = Band.of(graph, torch.stack([atoms[left], atoms[right]], dim=1))
        # The matrix is symmetric: what is on and below the diagonal is enough.
        lower = band.slot[atoms[left], 0] >= band.slot[atoms[right], 0]
        left, right = left[lower], right[lower]
        place = band.places(atoms[left], atoms[right])
        return cls(band, rows, atoms, torsion_atom, straight, left, right, place)


def _entries(atoms: Tensor) -> tuple[Tensor, Tensor, int]:
    """Row and atom of the entries of rows with so many atoms each, and the number of rows."""
    row = torch.arange(len(atoms), device=atoms.device).repeat_interleave(atoms.shape[1])
    return row, atoms.flatten(), len(atoms)


def solve(
    pos: Tensor, restraints: Restraints, topology: Topology, system: System, n_steps: int
) -> Tensor:
    """Positions near ``pos``, ``[A, 3]``, that satisfy restraints.

    Args:
        pos: Double precision; what turns and rises are counted from.
        restraints: Targets.
        topology: Of the graph.
        system: Of the graph.
        n_steps: Steps of Gauss and Newton.
    """
    length, stiffness, turn, log_turn, rise, log_rise = (
        value.double()
        for value in (
            *(restraints.length, restraints.stiffness, restraints.turn),
            *(restraints.log_turn, restraints.rise, restraints.log_rise),
        )
    )
    torsions, impropers = Torsions.of(pos, topology), Impropers.of(pos, topology)
    farthest = STRIDE * n_steps
    angle = torsions.angle + turn.clamp(-farthest, farthest)[topology.axis]
    height = impropers.height + rise
    share = torsions.weight / by_axis(torsions.weight, topology).clamp_min(1)[topology.axis]
    pair_of_bend = topology.angle_pair[system.straight]
    here = pos
    for step in range(n_steps):
        if step:
            torsions, impropers = Torsions.of(here, topology), Impropers.of(here, topology)
        found = distances(here, topology.restrained)
        bend = (STRAIGHT**2 * stiffness[pair_of_bend]) * _straightness(
            here, topology.angles[system.straight]
        )
        missing = [
            length - found,
            by_axis(share * _pull(angle - torsions.angle), topology),
            height - impropers.height,
            here.new_zeros(3 * len(bend)),
            (pos - here).flatten(),
        ]
        precision = [
            stiffness,
            (-2 * log_turn).exp(),
            (-2 * log_rise).exp(),
            bend.repeat_interleave(3),
            here.new_full((here.numel(),), LOOSE**-2),
        ]
        first, last = here[topology.restrained].unbind(dim=1)
        along = (first - last) / found[:, None]
        jacobian = torch.cat(
            [
                torch.stack([along, -along], dim=1).flatten(0, 1),
                _of_axes(share, torsions, system),
                impropers.gradient.flatten(0, 1),
                torch.einsum("i,kx->kix", here.new_tensor(BEND), _unit(here))
                .repeat(len(bend), 1, 1)
                .flatten(0, 1),
                _unit(here).repeat(len(here), 1),
            ]
        )
        weighted = jacobian * torch.cat(precision)[system.row][:, None]
        left = weighted.index_select(0, system.left)
        products = left[:, :, None] * jacobian.index_select(0, system.right)[:, None]
        force = torch.zeros_like(here).index_add(
            0, system.atom, weighted * torch.cat(missing)[system.row][:, None]
        )
        here = here + system.band.solve(system.place, products.flatten(1), force)
    return here


def _unit(like: Tensor) -> Tensor:
    return torch.eye(3, dtype=like.dtype, device=like.device)


def _of_axes(share: Tensor, torsions: Torsions, system: System) -> Tensor:
    """Entries of the Jacobian for the mean turn of every axis."""
    turned = (share[:, None, None] * torsions.gradient).flatten(0, 1)
    n_entries = int(system.torsion_atom.max()) + 1 if len(turned) else 0
    return turned.new_zeros(n_entries, 3).index_add(0, system.torsion_atom.flatten(), turned)


def _straightness(pos: Tensor, angles: Tensor) -> Tensor:
    """1 where angles are straight, 0 where they are bent."""
    first, middle, last = pos[angles].unbind(dim=1)
    one, other = first - middle, last - middle
    sine = torch.linalg.cross(one, other).norm(dim=-1)
    sine = sine / (one.norm(dim=-1) * other.norm(dim=-1)).clamp_min(1e-6)
    return faded(sine, BENT[1], BENT[0])


def _pull(turn: Tensor) -> Tensor:
    """Turns of one step towards angles that are ``turn`` away; continuous on the circle."""
    turn = wrapped(turn)
    return turn.clamp(-STRIDE, STRIDE) * ((math.pi - turn.abs()) / HALF_TURN).clamp(0, 1)

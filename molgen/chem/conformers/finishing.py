"""What is made of drawn heavy atoms: hydrogens, minima, energies, and the conformers kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from molgen.chem.boltzmann import boltzmann_weights
from molgen.chem.conformers.energy import ForceField, Relaxed, force_field_of, relaxed_in_gfn2
from molgen.chem.conformers.options import Finishing
from molgen.chem.conformers.placing import all_atoms, conformer_at, embedded_pos
from molgen.chem.conformers.query import Query, stereo_is_right
from molgen.chem.conformers.selection import selected
from molgen.chem.gfn2 import METHOD
from molgen.chem.workers import Unfinished


@dataclass(frozen=True)
class Drawn:
    """What the network made of a molecule.

    Attributes:
        query: The molecule.
        pos: Heavy atoms, Å, ``[P, N, 3]``; none for a molecule that the network does not know.
        wrong: Whether the stereo is wrong, ``[P]``.
        how: How to finish it.
        n: Conformers to draw, ``P`` where the network knows the molecule.
    """

    query: Query
    pos: NDArray[np.floating]
    wrong: NDArray[np.bool_]
    how: Finishing
    n: int


@dataclass(frozen=True)
class Finished:
    """Conformers of a molecule, ``K`` of ``M`` atoms.

    Attributes:
        pos: All atoms, Å, ``[K, M, 3]``.
        energy: kcal/mol, ``[K]``; NaN where nothing says it.
        weight: Boltzmann weights, ``[K]``; NaN where an energy is.
        wrong: Whether the stereo is wrong, ``[K]``.
        by_etkdg: Whether ETKDGv3 made it, ``[K]``.
        strained: Whether a bond between a given core and the rest is strained, ``[K]``.
        method: What says the energies; empty for nothing.
        notes: What there is to say.
    """

    pos: NDArray[np.float64]
    energy: NDArray[np.float64]
    weight: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    by_etkdg: NDArray[np.bool_]
    strained: NDArray[np.bool_]
    method: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pool:
    """Conformers on the way: their molecule, and a value for each."""

    query: Query
    mol: Chem.Mol
    wrong: NDArray[np.bool_]
    by_etkdg: NDArray[np.bool_]
    energy: NDArray[np.float64]
    method: str = ""
    notes: tuple[str, ...] = ()

    def part(self, places: list[int]) -> _Pool:
        """Some of the conformers, in this order."""
        ids = [one.GetId() for one in self.mol.GetConformers()]
        mol = _bare(self.mol)
        for place in places:
            mol.AddConformer(self.mol.GetConformer(ids[place]), assignId=True)
        wrong, by_etkdg, energy = self.wrong[places], self.by_etkdg[places], self.energy[places]
        return replace(self, mol=mol, wrong=wrong, by_etkdg=by_etkdg, energy=energy)

    def moved(self, relaxed: Relaxed, method: str) -> _Pool:
        """With other positions, where the stereo stays right."""
        after = _heavy(self.query, relaxed.mol)
        stays = stereo_is_right(self.query.graph, after) | self.wrong
        found = stays & np.isfinite(relaxed.energy)
        mol = Chem.Mol(relaxed.mol)
        for keeps, old, new in zip(
            found, self.mol.GetConformers(), mol.GetConformers(), strict=True
        ):
            if not keeps:
                new.SetPositions(old.GetPositions())
        n, notes = int((~found).sum()), self.notes
        if n:
            notes = (*notes, f"{n} of {len(found)} not minimised in {method}")
        energy = np.where(found, relaxed.energy, np.nan)
        return replace(self, mol=mol, energy=energy, method=method, notes=notes)


def finish(drawn: Drawn | None) -> Finished | Unfinished | None:
    """Place hydrogens, minimise, and keep what is asked for; the same answer in any process.

    Args:
        drawn: None for nothing, which is answered by None.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when tblite is loaded
    try:
        return None if drawn is None else _made(drawn)
    except (ValueError, RuntimeError) as error:  # RDKit's own
        return Unfinished(f"RDKit cannot treat it ({' '.join(str(error).split())[:80]})")


def _made(drawn: Drawn) -> Finished:
    how = drawn.how
    with rdBase.BlockLogs():
        pool = _with_etkdg(drawn) if how.fallback else _of_network(drawn)
        if len(pool.wrong):
            pool = _MINIMISE[how.minimise](pool, how)
    places = selected(pool.mol, pool.energy, pool.wrong, how)
    if not how.by_energy:
        places.sort()
    notes = pool.notes
    if len(places) < min(how.n, len(pool.wrong)):
        notes = (*notes, f"{len(places)} distinct of {len(pool.wrong)}")
    kept = pool.part(places)
    strained = _strained(kept)
    if strained.any():
        notes = (*notes, f"{int(strained.sum())} strained at the core")
    return Finished(
        pos=_positions(kept.mol),
        energy=kept.energy,
        weight=_weights(kept.energy, how.temperature),
        wrong=kept.wrong,
        by_etkdg=kept.by_etkdg,
        strained=strained,
        method=kept.method,
        notes=(*drawn.query.notes, *notes),
    )


def _strained(pool: _Pool) -> NDArray[np.bool_]:
    if pool.query.core is None:
        return np.zeros(len(pool.wrong), np.bool_)
    return pool.query.core.is_strained(_heavy(pool.query, pool.mol))


def _of_network(drawn: Drawn) -> _Pool:
    mol = _bare(drawn.query.mol)
    n = len(drawn.pos)
    for pos in all_atoms(drawn.query, drawn.pos) if n else ():
        mol.AddConformer(conformer_at(pos), assignId=True)
    return _Pool(drawn.query, mol, drawn.wrong, np.zeros(n, np.bool_), np.full(n, np.nan))


def _with_etkdg(drawn: Drawn) -> _Pool:
    """ETKDGv3 in place of conformers of wrong stereo, and of those that could not be drawn."""
    made, query = _of_network(drawn), drawn.query
    places = np.flatnonzero(drawn.wrong).tolist() or list(range(len(drawn.pos), drawn.n))
    if not places:
        return made
    pos = embedded_pos(query, len(places), drawn.how.seed)
    found = pos[stereo_is_right(query.graph, pos[:, query.graph.index])]
    kept = [place for place in range(len(drawn.pos)) if place not in places[: len(found)]]
    pool = made.part(kept)
    for one in found:
        pool.mol.AddConformer(conformer_at(one), assignId=True)
    by_etkdg = np.arange(len(kept) + len(found)) >= len(kept)
    wrong = np.concatenate([pool.wrong, np.zeros(len(found), np.bool_)])
    return _Pool(query, pool.mol, wrong, by_etkdg, np.full(len(wrong), np.nan))


def _not_at_all(pool: _Pool, _: Finishing) -> _Pool:
    field = force_field_of(pool.mol)
    if field is None:
        return replace(pool, notes=(*pool.notes, "no energies: no parameters"))
    energy = field.energy(pool.mol)
    return replace(pool, energy=energy, method=field.name)


def _by_force_field(pool: _Pool, _: Finishing) -> _Pool:
    field = force_field_of(pool.mol)
    if field is None:
        notes = (*pool.notes, "no MMFF94s or UFF parameters: not minimised")
        return replace(pool, notes=notes)
    core = pool.query.core
    fixed = () if core is None else pool.query.graph.index[core.rows].tolist()
    moved = pool.moved(field.relaxed(pool.mol, fixed), field.name)
    energy = np.where(np.isnan(moved.energy), field.energy(moved.mol), moved.energy)
    return replace(moved, energy=energy, notes=(*moved.notes, *_said(field)))


def _by_gfn2(pool: _Pool, how: Finishing) -> _Pool:
    """MMFF94s for all, GFN2-xTB for those that are kept of them."""
    rough = _by_force_field(pool, how)
    kept = rough.part(selected(rough.mol, rough.energy, rough.wrong, how))
    return kept.moved(relaxed_in_gfn2(kept.mol), METHOD)


def _said(field: ForceField) -> tuple[str, ...]:
    return ("UFF in place of MMFF94s, which has no parameters",) if field.name == "UFF" else ()


_MINIMISE: Final[Mapping[str, Callable[[_Pool, Finishing], _Pool]]] = MappingProxyType(
    {"none": _not_at_all, "mmff94s": _by_force_field, "gfn2": _by_gfn2}
)
"""Of each of `molgen.chem.conformers.options.MINIMISERS`."""


def _weights(energy: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    if not len(energy) or not np.isfinite(energy).all():
        return np.full(len(energy), np.nan)
    return boltzmann_weights(energy, temperature)


def _bare(mol: Chem.Mol) -> Chem.Mol:
    bare = Chem.Mol(mol)
    bare.RemoveAllConformers()
    return bare


def _positions(mol: Chem.Mol) -> NDArray[np.float64]:
    found = [one.GetPositions() for one in mol.GetConformers()]
    return np.stack(found) if found else np.zeros((0, mol.GetNumAtoms(), 3))


def _heavy(query: Query, mol: Chem.Mol) -> NDArray[np.float64]:
    return _positions(mol)[:, query.graph.index]

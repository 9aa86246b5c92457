"""Whole molecules from heavy atoms: the conformer model's refiner, then hydrogens.

A de novo model of heavy atoms names a graph and places its atoms roughly. What conformers are made
of takes over: the refiner brings the geometry to rest, distance bounds are kept, and hydrogens
follow the geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from molgen.checkpoint import find_model
from molgen.chem.conformers.placing import whole_molecule
from molgen.chem.conformers.query import Query, query
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.sampling.conformers.draw import drawn
from molgen.sampling.conformers.request import ConformerRequest
from molgen.tasks.conformer_weights import load_conformer_model
from molgen.tasks.conformers import refine_calls

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel
    from molgen.tasks.conformer_weights import LoadedConformerModel

CONFORMERS: Final = "conformers"
"""The shipped model that places atoms of a graph."""


@dataclass(frozen=True)
class Completion:
    """Completes decoded molecules; other processes can be sent it.

    Attributes:
        conformers: The conformer model.
        calls: Calls of its refiner; with none, atoms stay where they are.
    """

    conformers: LoadedConformerModel
    calls: int

    def __call__(self, molecules: Sequence[Molecule]) -> list[Molecule]:
        """The molecules with hydrogens as atoms; one with a fault stays as it is.

        Args:
            molecules: Of heavy atoms with implicit hydrogens.
        """
        found = {place: _query(one) for place, one in enumerate(molecules)}
        known = {place: one for place, one in found.items() if one is not None}
        pos: dict[int, NDArray[np.floating]]
        pos = {place: one.given_pos for place, one in known.items()}
        if self.calls:
            request = ConformerRequest(1, steps=self.calls, init="input")
            made = drawn(self.conformers.model, known, request)
            pos = {place: one.pos for place, one in made.items()}
        completed = list(molecules)
        for place, one in known.items():
            completed[place] = whole_molecule(one, pos[place][0])
        return completed


def completion_of(loaded: LoadedModel, steps: int) -> Completion:
    """What completes the molecules of a model of heavy atoms.

    Args:
        loaded: The model.
        steps: Network calls in all, of which `refine_calls` are the refiner's.
    """
    device = str(next(loaded.model.parameters()).device)
    return Completion(load_conformer_model(find_model(CONFORMERS), device), refine_calls(steps))


def _query(molecule: Molecule) -> Query | None:
    """The molecule as the conformer model reads it; None where it has a fault."""
    built = build_mol(molecule)
    if built.reason:
        return None
    built.mol.GetConformer().Set3D(True)
    asked = query(built.mol, settles_stereo=False)  # that of the geometry is meant
    return asked if isinstance(asked, Query) else None

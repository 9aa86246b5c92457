"""Searched ensembles: distinct minima of one stereoisomer, lowest first, and their populations."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from molgen.chem.boltzmann import boltzmann_weights
from molgen.chem.conformers.ensemble import Ensemble, NoEnsemble, SearchOptions, search

QUICK = SearchOptions(starts=12, starts_per_torsion=4, max_starts=24)


def test_conformers_are_distinct_and_sorted_within_the_window() -> None:
    found = search("CC(N)CCO", QUICK)
    assert isinstance(found, Ensemble)
    assert "@" in found.smiles
    assert found.energy[0] == 0
    assert (np.diff(found.energy) >= 0).all()
    assert found.energy[-1] <= QUICK.window
    mol = Chem.AddHs(Chem.MolFromSmiles(found.smiles))
    for pos in found.pos.astype(float):
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(pos)
        mol.AddConformer(conformer, assignId=True)
    heavy = Chem.RemoveHs(mol)
    n = heavy.GetNumConformers()
    assert n > 2
    for one in range(n):
        for other in range(one):
            assert rdMolAlign.GetBestRMS(heavy, heavy, one, other) >= QUICK.rmsd - 1e-3


def test_the_same_search_gives_the_same_ensemble() -> None:
    one, other = (search("CCOC(C)=O", QUICK) for _ in range(2))
    assert isinstance(one, Ensemble)
    assert isinstance(other, Ensemble)
    np.testing.assert_array_equal(one.pos, other.pos)


@pytest.mark.parametrize("smiles", ["nope", "C.C", "C" * 61, "[CH3]", "[Fe]"])
def test_what_cannot_be_searched_says_why(smiles: str) -> None:
    found = search(smiles, QUICK)
    assert isinstance(found, NoEnsemble)
    assert found.reason


def test_populations_at_two_energies() -> None:
    kt = 0.0019872041 * 600
    weights = boltzmann_weights(np.array([3.0, 3.0 + kt * np.log(3)]), 600.0)
    assert weights == pytest.approx([0.75, 0.25])

"""RDKit molecules: what is accepted, what is refused and why, and that nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from rdkit import Chem

from molgen.chem.mol import build_mol, molecule_of, smiles_of
from molgen.chem.molecule import Molecule
from molgen.chem.render import render_sdf
from molgen.errors import ChemistryError
from molgen.metrics.agreement import check_graph

from .builders import STORE, molecule, molecules, ring, same_graph

METHANE = molecule("C H H H H", [(0, i, 1) for i in range(1, 5)])

BROKEN = {
    "valence: N4 atom 0": molecule("N H H H H", [(0, i, 1) for i in range(1, 5)]),
    "valence: C3 atom 0": molecule("C H H H", [(0, i, 1) for i in range(1, 4)]),
    "valence: O+2 atom 0": molecule("O H H", [(0, 1, 1), (0, 2, 1)], {0: 1}),
    "valence: C6 atom 1": molecule("C C C", [(0, 1, 3), (1, 2, 3)]),
    "disconnected: 2 fragments": molecule("H H H H", [(0, 1, 1), (2, 3, 1)]),
    "net charge 1": molecule("N H H H H", [(0, i, 1) for i in range(1, 5)], {0: 1}),
    "net charge -1": molecule("O H", [(0, 1, 1)], {0: -1}),
    "cannot kekulize": ring("C C C C C", 5, range(5)),
    "atoms overlap": replace(METHANE, pos=np.zeros((5, 3), dtype=np.float32)),
    "no atoms": molecule("", []),
}
"""One molecule for each reason."""


@given(molecules)
def test_every_real_molecule_is_accepted_and_comes_back(mol: Molecule) -> None:
    built = build_mol(mol)
    assert built.is_valid
    assert built.mol.GetNumConformers() == 1
    assert same_graph(molecule_of(built.mol), mol)
    assert np.array_equal(molecule_of(built.mol).pos, mol.pos)
    assert sum(atom.GetNumImplicitHs() for atom in built.mol.GetAtoms()) == 0


@pytest.mark.parametrize("reason", BROKEN)
def test_each_fault_has_its_reason(reason: str) -> None:
    built = build_mol(BROKEN[reason], total_charge=0)
    assert built.reason == reason
    assert not built.is_valid


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_positions_that_no_file_can_hold_are_a_fault(value: float) -> None:
    pos = METHANE.pos.copy()
    pos[2, 1] = value
    built = build_mol(replace(METHANE, pos=pos))
    assert built.reason == "atoms overlap"
    assert np.isfinite(built.mol.GetConformer().GetPositions()).all()


@pytest.mark.parametrize("reason", set(BROKEN) - {"cannot kekulize", "no atoms"})
def test_a_broken_molecule_keeps_its_graph(reason: str) -> None:
    assert same_graph(molecule_of(build_mol(BROKEN[reason]).mol), BROKEN[reason])


def test_stereo_comes_from_the_geometry() -> None:
    chiral = [i for i in range(len(STORE)) if "@" in smiles_of(build_mol(STORE[i]).mol)]
    assert chiral
    for index in chiral[:20]:
        mirrored = replace(STORE[index], pos=-STORE[index].pos)
        one, other = (smiles_of(build_mol(m).mol) for m in (STORE[index], mirrored))
        assert one.replace("@@", "@").count("@") == other.replace("@@", "@").count("@")
        centres = [
            dict(Chem.FindMolChiralCenters(build_mol(m).mol, useLegacyImplementation=False))
            for m in (STORE[index], mirrored)
        ]
        flip = {"R": "S", "S": "R"}
        assert centres[1] == {atom: flip.get(code, code) for atom, code in centres[0].items()}


def test_smiles_of() -> None:
    assert smiles_of(build_mol(METHANE).mol) == "C"
    assert smiles_of(build_mol(ring("C C C C C C", 6, range(6))).mol) == "c1ccccc1"
    assert smiles_of(build_mol(BROKEN["valence: N4 atom 0"]).mol) == ""


def test_molecule_of_refuses_what_it_cannot_represent() -> None:
    with pytest.raises(ChemistryError, match="no conformer"):
        molecule_of(Chem.MolFromSmiles("C"))
    mol = Chem.RWMol(build_mol(METHANE).mol)
    mol.GetBondWithIdx(2).SetBondType(Chem.BondType.DATIVE)
    with pytest.raises(ChemistryError, match="bond 2 is dative"):
        molecule_of(mol)


def test_what_no_longer_reads_without_its_hydrogens_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RDKit accepts a few aromatic graphs that it then cannot name."""
    pyrrole = ring("C C C C N", 5, range(5))
    assert build_mol(pyrrole).is_valid

    def refuse(mol: Chem.Mol) -> Chem.Mol:
        raise Chem.KekulizeException(f"Can't kekulize mol of {mol.GetNumAtoms()} atoms")

    monkeypatch.setattr(Chem, "RemoveHs", refuse)
    assert build_mol(pyrrole).reason == "cannot kekulize"
    assert not check_graph(pyrrole).is_valid


@pytest.mark.parametrize("order", [1, 3])
def test_an_atom_with_hundreds_of_bonds_is_a_record_with_its_reason(order: int) -> None:
    n = 200
    bonds = np.array([(0, i, order) for i in range(1, n)], np.int16)
    pos = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32) * 9
    star = Molecule(np.full(n, 6, np.uint8), pos, np.zeros(n, np.int8), bonds)
    built = build_mol(star)
    assert built.reason == "valence: C atom 0 has 199 bonds, all bonds left out"
    assert render_sdf(built.mol, "star", {}).count("$$$$") == 1
    few = replace(star, bonds=bonds[:40])
    assert build_mol(few).reason.startswith("valence: C")
    assert render_sdf(build_mol(few).mol, "star", {}).count("$$$$") == 1

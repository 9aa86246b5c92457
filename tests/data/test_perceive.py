from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.chem.constitution import constitution
from molgen.chem.elements import AROMATIC
from molgen.chem.mol import build_mol
from molgen.data.perceive import OVERBONDED, LeftOut, Settled, settle
from molgen.data.records import Record

Records = dict[str, Record]
KEPT = ["methane", "benzene", "nitrile", "zwitterion", "ethanol"]


def embedded(smiles: str) -> Record:
    """A record whose coordinates are those of the force field for a SMILES."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(mol)
    atomic_numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8)
    return Record(1, atomic_numbers, mol.GetConformer().GetPositions(), smiles)


def shuffled(record: Record, seed: int) -> Record:
    order = np.random.default_rng(seed).permutation(len(record.atomic_numbers))
    return replace(record, atomic_numbers=record.atomic_numbers[order], pos=record.pos[order])


def kept(record: Record) -> Settled:
    answer = settle(record)
    assert isinstance(answer, Settled)
    return answer


def name_of(answer: Settled) -> str:
    built = build_mol(answer.molecule)
    assert built.is_valid, built.reason
    return constitution(built.mol)


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_graph_is_that_of_the_smiles_in_any_atom_order(
    records: Records, name: str, seed: int
) -> None:
    answer = kept(shuffled(records[name], seed))
    assert answer.from_smiles
    assert name_of(answer) == constitution(Chem.MolFromSmiles(records[name].smiles))


def orders(record: Record) -> list[int]:
    return sorted(kept(record).molecule.bonds[:, 2].tolist())


def test_orders(records: Records) -> None:
    assert orders(records["methane"]) == [1] * 4
    assert orders(records["nitrile"]) == [1, 3]
    assert orders(records["benzene"]) == [1] * 6 + [AROMATIC] * 6


def test_charges_sit_on_their_atoms(records: Records) -> None:
    molecule = kept(records["zwitterion"]).molecule
    charged = np.flatnonzero(molecule.formal_charge)
    by_element = zip(
        molecule.atomic_numbers[charged].tolist(), molecule.formal_charge[charged], strict=True
    )
    assert sorted(by_element) == [(7, 1), (8, -1)]


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_matches_the_shorter_bonds_are_the_double_ones(turned: bool) -> None:
    x, y, out = 0.67, 0.78, 0.76
    carbon = np.array([[x, y, 0], [-x, y, 0], [-x, -y, 0], [x, -y, 0]])
    pos = np.concatenate([carbon, carbon + out * np.sign(carbon)])
    if turned:
        pos = np.roll(pos.reshape(2, 4, 3), 1, axis=1).reshape(8, 3)
    molecule = kept(Record(1, np.repeat(np.uint8([6, 1]), 4), pos, "C1=CC=C1")).molecule
    double = molecule.bonds[molecule.bonds[:, 2] == 2]
    lengths = np.linalg.norm(pos[double[:, 0]] - pos[double[:, 1]], axis=1)
    assert lengths == pytest.approx([2 * x, 2 * x])


def test_a_geometry_that_differs_from_its_smiles_keeps_its_own_graph(records: Records) -> None:
    answer = kept(replace(records["ethanol"], smiles="COC"))
    assert not answer.from_smiles
    assert name_of(answer) == "CCO"


@pytest.mark.parametrize("smiles", ["", "no smiles", "C.C", "[CH3]", "[NH4+]"])
def test_a_useless_smiles_leaves_the_geometry(records: Records, smiles: str) -> None:
    assert not kept(replace(records["methane"], smiles=smiles)).from_smiles


def test_a_cage_is_left_out_with_its_reason(records: Records) -> None:
    assert settle(records["cage"]) == LeftOut(OVERBONDED)


def test_what_cannot_be_settled_has_a_reason(records: Records) -> None:
    assert settle(records["unsettled"]) == LeftOut("no bond assignment of this charge")


@pytest.mark.parametrize(
    ("atomic_numbers", "pos", "reason"),
    [
        ([6], [[0, 0, 0]], "radical"),
        ([1, 1, 1, 1], [[0, 0, 0], [0, 0, 0.74], [9, 0, 0], [9, 0, 0.74]], "several fragments"),
        ([6, 6], [[0, 0, 0], [0, 0, 0]], "no bond assignment of this charge"),
    ],
)
def test_broken_geometries_are_left_out(
    atomic_numbers: list[int], pos: list[list[float]], reason: str
) -> None:
    record = Record(1, np.array(atomic_numbers, dtype=np.uint8), np.array(pos, dtype=float), "")
    assert settle(record) == LeftOut(reason)


@pytest.mark.parametrize("smiles", ["c1ccncc1", "C[N+](=O)[O-]", "FC(F)F", "C#CC=O", "O=C1CCN1"])
def test_embedded_molecules_come_back(smiles: str) -> None:
    assert name_of(kept(shuffled(embedded(smiles), 3))) == constitution(Chem.MolFromSmiles(smiles))

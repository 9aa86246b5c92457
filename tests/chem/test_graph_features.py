"""Features of graphs: classes, labels that agree with geometry, heavy and all-atom versions."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.chem.graph_classes import ATOM_CLASSES, BOND_PLACE, CIS, N_STEREO, PAIR_CLASSES, TRANS
from molgen.chem.graph_features import GraphFeatures, graph_features
from molgen.errors import UsageError

STEREO = (
    "C[C@H](N)C(=O)O",
    "C[C@@](F)(Cl)Br",
    "CC[S@](=O)C",
    "C[C@H]1CC[C@@H](O)CC1",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[P@](=O)(O)CC",
)


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def volumes(graph: GraphFeatures, pos: np.ndarray) -> np.ndarray:
    c, i, j, k, sign = graph.centres.astype(int).T
    first, second, third = (pos[end] - pos[c] for end in (i, j, k))
    return (first * np.cross(second, third)).sum(axis=1) * sign


@pytest.mark.parametrize("smiles", STEREO)
@pytest.mark.parametrize("heavy", [True, False])
def test_signs_of_centres_are_those_of_the_geometry(smiles: str, heavy: bool) -> None:
    mol = embedded(smiles)
    pos = mol.GetConformer().GetPositions()
    graph = graph_features(mol, heavy=heavy)
    assert len(graph.centres)
    assert (volumes(graph, pos[graph.index]) > 0).all()


@pytest.mark.parametrize("smiles", STEREO)
def test_hydrogens_change_nothing_in_the_heavy_graph(smiles: str) -> None:
    with_hydrogens = graph_features(Chem.AddHs(Chem.MolFromSmiles(smiles)))
    without = graph_features(smiles)
    for name in ("atoms", "pairs", "index"):
        np.testing.assert_array_equal(getattr(with_hydrogens, name), getattr(without, name))
    rows = [{tuple(row) for row in one.centres.tolist()} for one in (with_hydrogens, without)]
    assert rows[0] == rows[1]


def test_labels_across_a_double_bond_are_told_for_every_pair_of_neighbours() -> None:
    stereo = graph_features(r"C/C(F)=C(/Cl)Br").pairs % N_STEREO
    methyl, fluorine, chlorine, bromine = 0, 2, 4, 5
    labels = {stereo[methyl, chlorine], stereo[fluorine, bromine]}
    assert labels in ({CIS}, {TRANS})
    assert stereo[methyl, bromine] not in labels | {0}
    assert (stereo == stereo.T).all()


def test_the_mirror_image_flips_every_sign_and_nothing_else() -> None:
    one, other = graph_features("C[C@H](N)C(=O)O"), graph_features("C[C@@H](N)C(=O)O")
    np.testing.assert_array_equal(one.pairs, other.pairs)
    np.testing.assert_array_equal(one.centres[:, :4], other.centres[:, :4])
    np.testing.assert_array_equal(one.centres[:, 4], -other.centres[:, 4])


def test_classes_of_a_known_molecule() -> None:
    graph = graph_features("C1CC1[N+](C)(C)CC(=O)[O-]")
    element, charge, _, hydrogens, _, in_three, *_ = graph.atoms.T
    assert (element[[0, 3, 8]] == [3, 4, 5]).all()
    assert (charge[[3, 9]] == [3, 1]).all()
    assert hydrogens.tolist() == [2, 2, 1, 0, 3, 3, 2, 0, 0, 0]
    assert in_three.tolist()[:4] == [1, 1, 1, 0]
    assert (graph.pairs // BOND_PLACE > 0).sum() == 2 * 10


def test_codes_fit_their_tables() -> None:
    for smiles in (*STEREO, "[Fe]", "FS(F)(F)(F)(F)F", "C#N", "CCCCCCCCCCCCCC", "[H][H]"):
        graph = graph_features(smiles)
        assert (graph.atoms < np.array(ATOM_CLASSES)).all()
        assert (graph.pairs < np.prod(PAIR_CLASSES)).all()


def test_what_is_no_molecule_is_refused() -> None:
    with pytest.raises(UsageError, match="no molecule"):
        graph_features("nope")

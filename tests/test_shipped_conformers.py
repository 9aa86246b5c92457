"""The shipped conformer weights on molecules of every kind: as many rows out as lines in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molgen.checkpoint import find_model
from molgen.chem.conformers.query import Query, query, stereo_is_right
from molgen.metrics.conformer_benchmark import benchmark, etkdg
from molgen.metrics.conformer_references import references
from molgen.sampling.conformers.stream import ConformerRequest, ConformerResult, sample_conformers
from molgen.tasks.conformer_weights import load_conformer_model

ENSEMBLES = Path(__file__).parents[1] / "data" / "ensembles" / "test"

LIBRARY = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "macrocycle": "O=C1CCCCCCCCCCCCCCO1",
    "nitro": "C[NH2+]Cc1ccc([N+](=O)[O-])cc1",
    "meso": "OC(=O)[C@H](O)[C@@H](O)C(=O)O",
    "fumaric": "OC(=O)/C=C/C(=O)O",
    "maleic": "OC(=O)/C=C\\C(=O)O",
    "salt": "CC(=O)[O-].[Na+]",
    "metal": "Cl[Pt](Cl)(N)N",
    "empty": "",
    "peptide": "N" + "CC(=O)N" * 75 + "CC(=O)O",
    "wrong": "c1ccc",
}
MADE = ("aspirin", "imatinib", "macrocycle", "nitro", "meso", "fumaric", "maleic")
REASONS = {
    "salt": "more than one fragment",
    "metal": "an element that the model does not know",
    "empty": "no heavy atoms",
    "peptide": "heavy atoms, the model takes 1 to 200",
    "wrong": "not a SMILES",
}


@pytest.fixture(scope="module")
def results() -> dict[str, ConformerResult]:
    model = load_conformer_model(find_model("conformers"), "cpu").model
    found = sample_conformers(model, list(LIBRARY.values()), ConformerRequest(n=3, steps=4))
    return dict(zip(LIBRARY, found, strict=True))


def test_each_is_right_or_explained(results: dict[str, ConformerResult]) -> None:
    assert {name for name, one in results.items() if one.mol is not None} == set(MADE)
    for name, reason in REASONS.items():
        assert reason in results[name].reason
    for name in MADE:
        mol, asked = results[name].mol, query(LIBRARY[name])
        assert mol is not None
        assert isinstance(asked, Query)
        assert mol.GetNumConformers() == 3
        pos = np.stack([one.GetPositions() for one in mol.GetConformers()])
        wrong = results[name].wrong
        assert wrong is not None
        assert not wrong.any()
        assert stereo_is_right(asked.graph, pos[:, asked.graph.index]).all()


def bonds_of(mol: Chem.Mol) -> Iterator[tuple[float, float]]:
    """Lengths of all bonds of all conformers, and the sums of covalent radii."""
    table = Chem.GetPeriodicTable()
    for conformer in mol.GetConformers():
        pos = conformer.GetPositions()
        for bond in mol.GetBonds():
            ends = bond.GetBeginAtom(), bond.GetEndAtom()
            usual = sum(table.GetRcovalent(atom.GetAtomicNum()) for atom in ends)
            yield float(np.linalg.norm(pos[ends[0].GetIdx()] - pos[ends[1].GetIdx()])), usual


def test_bonds_have_the_lengths_of_bonds(results: dict[str, ConformerResult]) -> None:
    lengths = [pair for name in MADE for pair in bonds_of(results[name].mol)]
    share = np.array([length / usual for length, usual in lengths])
    assert 0.85 < np.median(share) < 1.05
    assert (np.abs(share / np.median(share) - 1) < 0.25).mean() > 0.98


def test_four_calls_are_ahead_of_etkdg() -> None:
    model = load_conformer_model(find_model("conformers"), "cpu").model

    def made(smiles: str, n: int) -> Chem.Mol | None:
        return sample_conformers(model, [smiles], ConformerRequest(n=n, steps=4))[0].mol

    chosen = list(references(ENSEMBLES, 20, most=4, held_out=False))
    scores = benchmark({"four calls": made, "ETKDGv3": etkdg}, chosen)
    for name in ("amr_r", "amr_p"):
        assert scores["four calls"][name] < 0.95 * scores["ETKDGv3"][name], scores

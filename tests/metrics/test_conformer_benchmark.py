"""A maker that gives the references scores perfectly, one that fails counts as a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdkit import Chem

from molgen.chem.ensemble import SearchOptions
from molgen.data.ensembles import Job, prepare_ensembles
from molgen.metrics.conformer_benchmark import Reference, benchmark, etkdg, etkdg_mmff, references


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> list[Reference]:
    folder = tmp_path_factory.mktemp("ensembles")
    (folder / "in.smi").write_text("C[C@H](N)CCO\nCCOC\n")
    options = SearchOptions(starts=12, starts_per_torsion=0)
    prepare_ensembles(Job(folder / "in.smi", options=options), folder / "out")
    return list(references(folder / "out", 2, most=3, held_out=False))


def test_scores_of_makers(chosen: list[Reference]) -> None:
    by_smiles = {one.smiles: one.mol for one in chosen}

    def mirrored(smiles: str, _: int) -> Chem.Mol:
        mol = Chem.Mol(by_smiles[smiles])
        for conformer in mol.GetConformers():
            conformer.SetPositions(-conformer.GetPositions())
        return mol

    table = benchmark(
        {
            "itself": lambda smiles, _: by_smiles[smiles],
            "mirrored": mirrored,
            "nothing": lambda *_: None,
            "etkdg": etkdg,
            "mmff": etkdg_mmff,
        },
        chosen,
    )
    assert table["itself"]["amr_r"] == pytest.approx(0, abs=1e-3)
    assert table["itself"]["cov_p@0.75"] == 1
    assert table["itself"]["stereo"] == 1
    assert table["mirrored"]["stereo"] < 1
    assert table["nothing"]["failed"] == 2
    assert table["nothing"]["cov_r@0.75"] == 0
    assert table["mmff"]["amr_r"] < table["etkdg"]["amr_r"]


def test_references_are_as_many_as_asked_for_and_held_out_only(
    chosen: list[Reference], tmp_path: Path
) -> None:
    assert [one.mol.GetNumConformers() <= 3 for one in chosen] == [True, True]
    assert list(references(tmp_path, 2)) == []

"""A maker that gives the references scores perfectly, one that fails counts as a failure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molgen.chem.conformers.ensemble import SearchOptions
from molgen.data.ensembles import Job, prepare_ensembles
from molgen.errors import DataError
from molgen.metrics import conforge
from molgen.metrics.conformer_benchmark import (
    Judges,
    benchmark,
    etkdg,
    etkdg_mmff,
    paired_interval,
    table_row,
    trial,
)
from molgen.metrics.conformer_references import Reference, references


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


def test_an_sdf_file_gives_heavy_atoms_stereo_and_all_conformers(
    chosen: list[Reference], tmp_path: Path
) -> None:
    path = tmp_path / "references.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for one in chosen:
            for conformer in one.mol.GetConformers():
                writer.write(one.mol, confId=conformer.GetId())
    read = list(references(path, 9, most=2, held_out=False))
    assert [one.smiles for one in read] == [Chem.CanonSmiles(one.smiles) for one in chosen]
    assert [one.mol.GetNumConformers() for one in read] == [
        min(2, one.mol.GetNumConformers()) for one in chosen
    ]
    for one, again in zip(chosen, read, strict=True):
        made = trial(lambda *_, mol=one.mol: mol, again)
        assert made.scores is not None
        assert made.scores.recall.max() < 1e-3
        assert made.right.all()
    path.write_text(path.read_text().replace(" C  ", " Xq ", 1))
    with pytest.raises(DataError, match="record 1"):
        list(references(path, 9, held_out=False))


def test_judges_are_asked_on_request_and_see_what_is_wrong(chosen: list[Reference]) -> None:
    pytest.importorskip("tblite")
    pytest.importorskip("posebusters")
    judges = Judges(gfn2=1, posebusters=True)
    row = table_row([trial(etkdg_mmff, one, 4, judges) for one in chosen])
    assert 0.05 < row["gfn2"] < 6
    assert 0 < row["gfn2_rmsd"] < 0.5
    assert row["posebusters"] == 1
    assert 0 < row["diversity"] < 2

    def squeezed(smiles: str, n: int) -> Chem.Mol | None:
        mol = etkdg_mmff(smiles, n)
        assert mol is not None
        for conformer in mol.GetConformers():
            conformer.SetPositions(0.7 * conformer.GetPositions())
        return mol

    wrong = table_row([trial(squeezed, one, 4, judges) for one in chosen])
    assert wrong["posebusters"] == 0
    assert wrong["gfn2"] > 50
    assert np.isnan(table_row([trial(etkdg, one, 4) for one in chosen])["gfn2"])


def test_intervals_tell_generators_apart(chosen: list[Reference]) -> None:
    twice = [*chosen, *chosen]
    plain = [trial(etkdg, one) for one in twice]
    itself = [trial(lambda _, __, mol=one.mol: mol, one) for one in twice]
    mean, low, high = paired_interval(itself, plain, "amr_r")
    assert low <= mean <= high < 0
    assert paired_interval(plain, plain, "cov_r@0.75") == (0, 0, 0)
    nothing = [trial(lambda *_: None, one) for one in chosen]
    assert paired_interval(nothing, nothing, "cov_r@0.75") == (0, 0, 0)
    assert np.isnan(paired_interval(nothing, plain[:2], "amr_r")).all()


def test_strain_is_zero_at_a_minimum(chosen: list[Reference]) -> None:
    minima, embedded = (
        table_row([trial(make, one) for one in chosen]) for make in (etkdg_mmff, etkdg)
    )
    assert minima["strain"] == pytest.approx(0, abs=0.01)
    assert embedded["strain"] > 1


@pytest.mark.skipif(not conforge.is_installed(), reason="CDPKit is not installed")
def test_conforge_keeps_the_order_of_atoms_and_the_stereo(chosen: list[Reference]) -> None:
    for one in chosen:
        found = trial(conforge.conforge, one)
        assert found.n
        assert found.right.all()
        assert found.scores is not None

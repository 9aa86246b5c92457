from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import molgen
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.cli import run
from molgen.errors import UsageError
from molgen.metrics import xtb
from molgen.metrics.evaluate import evaluate
from molgen.metrics.rate import Rate
from molgen.metrics.table import XTB_ROWS, render
from molgen.metrics.xtb import XtbRelaxation, relax_all_in_xtb, relax_in_xtb

from .builders import HYDROXYL, NO_ATOMS, NOT_A_NUMBER, TWO_WATERS, WATER, moved


@pytest.fixture
def relaxed_pos(monkeypatch: pytest.MonkeyPatch) -> Callable[[Molecule], np.ndarray]:
    """Where a molecule's atoms are at the minimum, Å."""
    seen: list[np.ndarray] = []
    displacement = xtb._displacement

    def watched(mol: object, pos: np.ndarray) -> XtbRelaxation:
        seen.append(pos)
        return displacement(mol, pos)

    def call(molecule: Molecule) -> np.ndarray:
        assert not relax_in_xtb(molecule).reason
        return seen.pop()

    pytest.importorskip("tblite")
    monkeypatch.setattr(xtb, "_displacement", watched)
    return call


def angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    u, v = a - b, c - b
    return np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))


def test_stretched_water_finds_its_shape(relaxed_pos: Callable) -> None:
    oxygen, *hydrogens = relaxed_pos(replace(WATER, pos=1.3 * WATER.pos))
    for hydrogen in hydrogens:
        assert np.linalg.norm(hydrogen - oxygen) == pytest.approx(0.96, abs=0.01)
    assert 104 < angle(hydrogens[0], oxygen, hydrogens[1]) < 108


def test_what_changed_is_what_was_stretched() -> None:
    pytest.importorskip("tblite")
    record = relax_in_xtb(replace(WATER, pos=1.3 * WATER.pos))
    # Both bonds were 1.3 × 0.96 Å and end at 0.96 Å.
    assert record.length_change == pytest.approx(0.3 * 0.96, abs=0.01)
    assert record.torsion_change is None
    assert record.heavy_rmsd == pytest.approx(0.0, abs=1e-6)
    assert record.keeps_graph
    assert record.energy_drop > 20.0


def test_a_minimum_stays_where_it_is(real: list[Molecule], relaxed_pos: Callable) -> None:
    for index in (40, 120):
        there = replace(real[index], pos=relaxed_pos(real[index]).astype(np.float32))
        record = relax_in_xtb(there)
        assert 0 <= record.energy_drop < 0.1
        assert record.rmsd < 0.02
        assert record.length_change < 1e-3
        assert record.angle_change < 0.2


def test_real_molecules_are_near_their_minima(real: list[Molecule]) -> None:
    pytest.importorskip("tblite")
    for record in map(relax_in_xtb, real[30:60:10]):
        assert 0 < record.energy_drop < 8.0
        assert record.length_change < 0.02
        assert record.keeps_graph


def test_frame_and_order_do_not_matter(real: list[Molecule]) -> None:
    pytest.importorskip("tblite")
    for index in (30, 90):
        record, other = relax_in_xtb(real[index]), relax_in_xtb(moved(real[index], index))
        assert other.energy_drop == pytest.approx(record.energy_drop, abs=0.05)
        assert other.rmsd == pytest.approx(record.rmsd, abs=0.03)
        assert other.length_change == pytest.approx(record.length_change, abs=1e-3)
        assert other.torsion_change == pytest.approx(record.torsion_change, abs=1.0)


def test_a_bond_that_breaks_is_seen() -> None:
    """Hydrogen peroxide whose own graph bonds an oxygen to the other's hydrogen as well."""
    pytest.importorskip("tblite")
    peroxide = Molecule(
        atomic_numbers=np.array([8, 8, 1, 1], dtype=np.uint8),
        pos=np.array(
            [[0.0, 0.7, 0.0], [0.0, -0.7, 0.0], [0.8, 0.9, 0.5], [-0.8, -0.9, 0.5]],
            dtype=np.float32,
        ),
        formal_charge=np.zeros(4, dtype=np.int8),
        bonds=np.array([[0, 1, 1], [0, 2, 1], [1, 3, 1]], dtype=np.int16),
    )
    swapped = replace(peroxide, bonds=np.array([[0, 1, 1], [0, 3, 1], [1, 2, 1]], dtype=np.int16))
    kept, lost = relax_in_xtb(peroxide), relax_in_xtb(swapped)
    assert kept.keeps_graph
    assert not lost.reason
    assert not lost.keeps_graph


def test_the_conformer_is_compared_on_the_circle(real: list[Molecule]) -> None:
    """A molecule against its mirror image: torsions change sign, nothing else changes."""
    mol = build_mol(real[150]).mol
    mirrored = mol.GetConformer().GetPositions() * [1, 1, -1]
    record = xtb._displacement(mol, mirrored)
    assert record.length_change == pytest.approx(0.0, abs=1e-9)
    assert record.angle_change == pytest.approx(0.0, abs=1e-9)
    assert 0 < record.torsion_change <= 180
    assert record.rmsd > 0.1


def test_what_cannot_be_relaxed_says_why() -> None:
    pytest.importorskip("tblite")
    broken = [TWO_WATERS, HYDROXYL, NO_ATOMS, NOT_A_NUMBER]
    records = relax_all_in_xtb(broken, n_workers=1)
    reasons = ("disconnected", "valence", "no atoms", "atoms overlap")
    for record, reason in zip(records, reasons, strict=True):
        assert record.reason.startswith(reason)
        assert record == XtbRelaxation(reason=record.reason)


def test_scores_are_over_the_first(real: list[Molecule]) -> None:
    pytest.importorskip("tblite")
    seen: list[tuple[str, int, int]] = []
    molecules = [WATER, TWO_WATERS, WATER, *real[:2]]
    found = evaluate(
        molecules, relax=False, xtb=3, n_workers=1, progress=lambda *event: seen.append(event)
    )
    assert found.xtb_graph_kept == Rate(2, 3)
    assert (found.rmsd_to_xtb.n, found.rmsd_to_xtb.n_failed) == (2, 1)
    assert found.xtb_reasons == {"disconnected": 1}
    assert seen[-1] == ("relaxing in GFN2-xTB", 3, 3)
    text = render(found)
    assert all(row.label.strip() in text for row in XTB_ROWS)
    assert "the first 3 molecules" in text
    assert "not relaxed in GFN2-xTB: 1 disconnected" in text


def test_geometries_are_relaxed_in_their_perceived_bonds() -> None:
    pytest.importorskip("tblite")
    bare = replace(WATER, bonds=WATER.bonds[:0])
    found = evaluate([bare], has_bonds=False, relax=False, xtb=1, n_workers=1)
    assert found.xtb_length_change.n == 1
    assert found.xtb_graph_kept == Rate(1, 1)


def test_nobody_asked(real: list[Molecule]) -> None:
    found = evaluate(real[:1], relax=False, n_workers=1)
    assert all(getattr(found, row.name) is None for row in XTB_ROWS)
    assert found.xtb_reasons == {}
    assert XTB_ROWS[0].label not in render(found)


def test_the_command_relaxes_the_first_records(
    sample_sdf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tblite")
    some, numbers = tmp_path / "some.sdf", tmp_path / "some.json"
    records = sample_sdf.read_text().split("$$$$\n")[:3]
    some.write_text("".join(f"{record}$$$$\n" for record in records))
    arguments = ["evaluate", some, "--xtb", "--xtb-n", 2, "--json", numbers]
    assert run([str(argument) for argument in arguments]) == 0
    assert "xTB strain" in capfd.readouterr().out
    scores = json.loads(numbers.read_text())
    assert scores["xtb_energy_drop"]["n"] == 2
    assert scores["rmsd_to_mmff"]["n"] == 3
    assert molgen.evaluate(some, None, xtb=1).xtb_energy_drop.n == 1


def test_a_missing_extra_is_one_line(
    sample_sdf: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("tblite", "tblite.interface"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(["evaluate", str(sample_sdf), "--xtb"]) == 2
    [line] = capfd.readouterr().err.strip().splitlines()
    assert 'pip install "molgen[xtb]"' in line


def test_a_number_without_the_check_is_refused(
    sample_sdf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(sample_sdf), "--xtb-n", "5"]) == 2
    assert "--xtb" in capfd.readouterr().err


def test_none_to_relax_is_refused(real: list[Molecule]) -> None:
    with pytest.raises(UsageError, match="0 molecules"):
        evaluate(real[:1], xtb=0, n_workers=1)

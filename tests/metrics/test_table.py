from __future__ import annotations

from dataclasses import fields

import pytest

from molgen.chem.molecule import Molecule
from molgen.data.reference import load_reference
from molgen.metrics.ceiling import load_ceiling
from molgen.metrics.evaluate import evaluate
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.table import COMPOSITION, ROWS, render

from .builders import TWO_WATERS


def test_the_shipped_ceilings_are_the_published_ones() -> None:
    ceiling = load_ceiling("qm9")
    assert ceiling.whole["n"] >= 10_000
    # Hoogeboom et al. (ICML 2022) print 99.0, 95.2 and 97.7 % for QM9.
    assert ceiling.whole["edm_atom_stable"]["value"] == pytest.approx(0.990, abs=0.005)
    assert ceiling.whole["edm_stable"]["value"] == pytest.approx(0.952, abs=0.003)
    assert ceiling.whole["edm_valid"]["value"] == pytest.approx(0.977, abs=0.003)
    assert ceiling.whole["perceived_valid"]["value"] == pytest.approx(0.95, abs=0.01)
    assert ceiling.kept["perceived_valid"]["value"] > 0.99
    assert ceiling.kept["graphs_agree"]["value"] > 0.99


def test_ceilings_use_the_names_of_the_scores() -> None:
    names = {field.name for field in fields(Evaluation)}
    ceiling = load_ceiling("qm9")
    assert set(ceiling.whole) <= names
    assert set(ceiling.kept) <= names
    assert {row.name for row in ROWS} <= names


def test_a_data_set_without_shipped_scores_has_no_ceiling(real: list[Molecule]) -> None:
    assert load_ceiling("qm8") is None
    assert load_ceiling(None) is None
    found = evaluate(real[:5], None, n_workers=1)
    assert "connected validity" in render(found, load_ceiling(None))


def test_every_score_has_its_line(real: list[Molecule]) -> None:
    found = evaluate(real[:10], load_reference("qm9"), raw=real[:10], n_workers=1)
    text = render(found, load_ceiling("qm9"))
    labels = [line[:26].strip() for line in text.splitlines()]
    assert labels[1 : 1 + len(ROWS)] == [row.label.strip() for row in ROWS]
    assert "n = 10" in labels[0]
    line = next(line for line in text.splitlines() if line.startswith("distance-table stability"))
    assert f"{found.edm_stable.value:.3f}" in line
    assert "0.952" in line
    assert "EDM table" in line


def test_what_does_not_apply_is_marked_or_left_out(real: list[Molecule]) -> None:
    text = render(evaluate([*real[:3], TWO_WATERS], has_bonds=False, relax=False, n_workers=1))
    lines = {line[:26].strip(): line for line in text.splitlines()}
    assert "n/a" in lines["connected validity"]
    assert "n/a" in lines["RMSD to minimum, Å"]
    assert "before decoding" not in lines
    assert "coordinates invalid: 1 fragments" in text


def test_what_was_given_is_no_score(real: list[Molecule]) -> None:
    found = evaluate(real[:10], load_reference("qm9"), relax=False, n_workers=1)
    text = render(found, load_ceiling("qm9"), COMPOSITION)
    labels = {line[:26].strip() for line in text.splitlines() if line[26:34].strip() == "given"}
    assert labels == {row.label for row in ROWS if row.name in COMPOSITION}


def test_an_empty_set_can_be_printed() -> None:
    assert "n = 0" in render(evaluate([], n_workers=1))

"""How estimates on the way should lean is found, and nothing else is touched."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.checkpoint import find_model, load_model, save_model
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.flow.lean import NO_LEAN

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_lean  # noqa: E402
from fit_lean import LARGEST_ELEMENT, LARGEST_UNBONDED, Content, Weights  # noqa: E402

SAMPLE = ROOT / "data" / "sample"
VOCABULARY = Vocabulary((1, 6, 7, 8, 9), (-1, 0, 1))
REAL = Content(np.array([0.5, 0.35, 0.06, 0.08, 0.01]), 1.5)
BUT_CARBON = np.array([True, False, True, True, True])

shares = st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5).map(
    lambda values: np.array(values) / sum(values)
)


def run(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
    argv = ["fit_lean.py", str(weights), "--out", str(out), "--data", str(SAMPLE), *words]
    monkeypatch.setattr(sys, "argv", argv)
    fit_lean.main()


@given(shares, st.floats(0, 4))
def test_too_much_of_anything_is_leant_against(elements: np.ndarray, rings: float) -> None:
    at_rest = Weights(np.zeros(5), 0.0)
    moved = at_rest.moved(Content(elements, rings), REAL, BUT_CARBON)
    too_many = np.sign(elements - REAL.elements)[BUT_CARBON]
    assert (np.sign(moved.element[BUT_CARBON]) == -too_many).all()
    assert not moved.element[~BUT_CARBON].any()
    assert np.sign(moved.unbonded) == np.sign(rings - REAL.rings)
    assert np.abs(moved.element).max() <= LARGEST_ELEMENT
    assert abs(moved.unbonded) <= LARGEST_UNBONDED


def test_what_is_right_stays_where_it_is() -> None:
    there = Weights(np.array([0.0, 0.0, -1.0, 0.2, 0.0]), 0.5)
    moved = there.moved(REAL, REAL, BUT_CARBON)
    assert np.array_equal(moved.element, there.element)
    assert moved.unbonded == there.unbonded
    assert np.allclose(Weights.of(there.lean(), VOCABULARY).element, there.element)
    assert there.lean().to_dict()["bond"] == [0.5, *[0.0] * (N_BOND_CLASSES - 1)]


def test_only_the_ladder_that_is_asked_for_leans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_model(find_model("qm9-few"), "cpu")
    ladders = {count: replace(one, lean=NO_LEAN) for count, one in loaded.info.ladders.items()}
    given_, out = tmp_path / "given.safetensors", tmp_path / "out.safetensors"
    save_model(given_, loaded.model, replace(loaded.info, ladders=ladders))
    run(monkeypatch, given_, out, "--steps", "2", "--n", "32", "--rounds", "1")
    before, after = (load_model(path, "cpu") for path in (given_, out))
    old, new = (one.model.state_dict() for one in (before, after))
    assert all(torch.equal(value, new[name]) for name, value in old.items())
    found = after.info.ladders[2]
    assert set(found.lean.to_dict()) == {"element", "bond"}
    assert {**after.info.ladders, 2: replace(found, lean=NO_LEAN)} == before.info.ladders


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("qm9", ("--steps", "4"), "distilled weights"),
        ("qm9-few", ("--steps", "3"), "numbers of calls that they know"),
        ("qm9-few", ("--n", "0"), "--n 1 or more"),
    ],
)
def test_what_nothing_is_found_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, find_model(name), out, *words)
    assert not out.exists()

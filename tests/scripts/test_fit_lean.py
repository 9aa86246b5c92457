"""What the elements lean to on the way is found, and nothing else is touched."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.checkpoint import LoadedModel, find_model, load_model, save_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_lean  # noqa: E402
from fit_lean import LARGEST, leans  # noqa: E402

NITROGEN = 2


def run(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
    argv = ["fit_lean.py", str(weights), "--out", str(out), *words]
    monkeypatch.setattr(sys, "argv", argv)
    fit_lean.main()


def leaning(lean: tuple[float, ...]) -> LoadedModel:
    loaded = load_model(find_model("qm9-few"), "cpu")
    ladder = replace(loaded.info.ladders[2], lean=lean)
    return replace(loaded, info=replace(loaded.info, ladders={2: ladder}))


@pytest.mark.parametrize("sign", [1, -1])
def test_too_much_of_an_element_is_leant_against(sign: int) -> None:
    start = sign * 2.4
    (first,) = leans(leaning((0.0, 0.0, start, 0.0, 0.0)), 2, 64, 1, "qm9")
    assert sign * (first[NITROGEN] - start) < 0
    assert not first[:2].any()
    assert np.abs(first).max() <= LARGEST


def test_only_the_ladder_that_is_asked_for_leans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, out = tmp_path / "given.safetensors", tmp_path / "out.safetensors"
    bare = leaning(())
    save_model(given, bare.model, replace(bare.info, ladders={**bare.info.ladders}))
    run(monkeypatch, given, out, "--steps", "2", "--n", "32", "--rounds", "1")
    before, after = (load_model(path, "cpu") for path in (given, out))
    old, new = (one.model.state_dict() for one in (before, after))
    assert all(torch.equal(value, new[name]) for name, value in old.items())
    found = after.info.ladders[2]
    assert any(found.lean)
    assert replace(found, lean=()) == before.info.ladders[2]


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("qm9", ("--steps", "4"), "distilled weights"),
        ("qm9-few", ("--steps", "1"), "numbers of calls above 1"),
        ("qm9-few", ("--steps", "3"), "numbers of calls above 1"),
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

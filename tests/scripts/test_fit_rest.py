"""Layers that know molecules at rest are taught by themselves, and nothing else is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.checkpoint import find_model, load_model
from molgen.data.store import MoleculeStore

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_rest  # noqa: E402
import rest_examples  # noqa: E402
from rest_examples import Example, examples  # noqa: E402
from rest_real import real_examples  # noqa: E402

PREFIX = "network.rest."
REAL = ("--reference", str(ROOT / "data" / "sample"), "--real", "64")


def run(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
    monkeypatch.setattr(
        sys, "argv", ["fit_rest.py", str(weights), "--out", str(out), *REAL, *words]
    )
    fit_rest.main()


def test_only_the_layers_that_are_taught_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_examples, "SHARES", {1: 0.5, 2: 0.5})
    weights, out = find_model("qm9-few"), tmp_path / "out.safetensors"
    again = tmp_path / "again.safetensors"
    few = ("--n", "64", "--steps", "30", "--layers", "2")
    run(monkeypatch, weights, out, *few)
    before, after = (load_model(path, "cpu") for path in (weights, out))
    assert after.info.config.model.n_rest_layers == 2
    old, new = (one.model.state_dict() for one in (before, after))
    for name, value in new.items():
        assert name.startswith(PREFIX) or torch.equal(value, old[name]), name
    # Weights that have such layers learn on.
    run(monkeypatch, out, again, *few)
    more = load_model(again, "cpu").model.state_dict()
    changed = {name for name, value in new.items() if not torch.equal(value, more[name])}
    assert changed
    assert all(name.startswith(PREFIX) for name in changed)


def test_layers_that_there_are_lead_nearer_to_rest_than_estimates_lie() -> None:
    drawn = list(examples(load_model(find_model("qm9-few"), "cpu"), 40, 0))
    assert len(drawn) > 30

    def off(example: Example, place: int) -> float:
        return float(np.sqrt(np.square(example.starts[place] - example.rest).sum(axis=1).mean()))

    led, estimated = (np.median([off(one, place) for one in drawn]) for place in (0, -1))
    assert led < 0.5 * estimated


def test_real_molecules_are_estimated_near_where_they_are() -> None:
    loaded, teacher = (load_model(find_model(name), "cpu") for name in ("qm9-few", "qm9"))
    store = MoleculeStore.open(ROOT / "data" / "sample")
    drawn = list(real_examples(loaded, teacher.model, store, 64, 0))
    assert len(drawn) > 40
    assert all(one.teaches["turn"] == 0 < one.teaches["length"] for one in drawn)
    off = [float(np.abs(one.starts[0] - one.rest).max()) for one in drawn]
    assert 0.01 < float(np.median(off)) < 0.5
    again = list(real_examples(loaded, teacher.model, store, 64, 0))
    assert all(map(np.array_equal, (x.starts[0] for x in drawn), (x.starts[0] for x in again)))


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("qm9", (), "give distilled weights"),
        ("qm9-few", ("--n", "3"), "--n 64 or more"),
        ("qm9-few", ("--steps", "0"), "--steps 2 or more"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    words: tuple[str, ...],
    message: str,
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, find_model(name), out, *words)
    assert not out.exists()

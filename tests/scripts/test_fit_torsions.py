"""How far bonds should turn is learned, and nothing else is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from molgen.checkpoint import find_model, load_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_torsions  # noqa: E402


def run(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
    argv = ["fit_torsions.py", str(weights), "--out", str(out), *words]
    monkeypatch.setattr(sys, "argv", argv)
    fit_torsions.main()


def test_only_the_layers_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, out = find_model("qm9-few"), tmp_path / "out.safetensors"
    again = tmp_path / "again.safetensors"
    few = ("--n", "48", "--steps", "30")
    run(monkeypatch, weights, out, *few, "--layers", "2")
    before, after = (load_model(path, "cpu") for path in (weights, out))
    assert after.info.config.model.n_torsion_layers == 2
    old, new = (one.model.state_dict() for one in (before, after))
    prefix = "network.torsions."
    for name, value in new.items():
        assert name.startswith(prefix) or torch.equal(value, old[name]), name
    # Weights that have such layers learn on.
    run(monkeypatch, out, again, *few, "--layers", "2")
    more = load_model(again, "cpu").model.state_dict()
    changed = {name for name, value in new.items() if not torch.equal(value, more[name])}
    assert changed
    assert all(name.startswith(prefix) for name in changed)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("qm9", (), "distilled weights with n_graph_layers"),
        ("qm9-few", ("--n", "3"), "--n 32 or more"),
        ("qm9-few", ("--steps", "0"), "--steps and --layers 1 or more"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, find_model(name), out, *words)
    assert not out.exists()

"""A prior of the elements is found, and nothing else is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from molgen.checkpoint import find_model, load_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_prior  # noqa: E402


def run(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
    argv = ["fit_prior.py", str(weights), "--out", str(out), *words]
    monkeypatch.setattr(sys, "argv", argv)
    fit_prior.main()


def test_repairs_lean_towards_what_real_molecules_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, out = find_model("qm9-few"), tmp_path / "out.safetensors"
    run(monkeypatch, weights, out, "--walks", "160", "--times", "12")
    before, after = (load_model(path, "cpu") for path in (weights, out))
    old, new = (one.model.state_dict() for one in (before, after))
    assert all(torch.equal(value, new[name]) for name, value in old.items())
    prior = dict(zip((1, 6, 7, 8, 9), after.info.element_prior, strict=True))
    # Nitrogen is the cheapest repair of a carbon that lacks a hydrogen.
    assert prior[7] < prior[6]
    assert max(map(abs, prior.values())) <= fit_prior.LARGEST


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("qm9", (), "a ladder of one call"),
        ("qm9-few", ("--walks", "3"), "--walks 32 or more"),
        ("qm9-few", ("--times", "0"), "--times 1 or more"),
    ],
)
def test_what_nothing_is_found_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, find_model(name), out, *words)
    assert not out.exists()

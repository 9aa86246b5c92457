"""What positions say is fitted, and nothing else is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from molgen.checkpoint import find_model, load_model
from molgen.data.store import MoleculeStore

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_evidence  # noqa: E402

SAMPLE = ROOT / "data" / "sample"


def test_only_the_two_layers_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, out = find_model("qm9-few"), tmp_path / "out.safetensors"
    words = ["--walks", "64", "--epochs", "1", "--data", str(SAMPLE)]
    monkeypatch.setattr(sys, "argv", ["fit_evidence.py", str(weights), "--out", str(out), *words])
    fit_evidence.main()
    before, after = (load_model(path, "cpu").model.state_dict() for path in (weights, out))
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    layers = ("bond", "atom")
    assert changed == {
        f"network.distances.{k}.{part}" for k in layers for part in ("weight", "bias")
    }


def test_weights_without_messages_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.safetensors"
    words = ["fit_evidence.py", str(find_model("qm9")), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="n_messages"):
        fit_evidence.main()
    assert not out.exists()


def test_wanted_numbers_of_atoms_add_up_to_the_size() -> None:
    wanted = fit_evidence.counts_by_size(MoleculeStore.open(SAMPLE), (1, 6, 7, 8, 9), every=1)
    sizes = torch.arange(len(wanted), dtype=torch.float32)
    torch.testing.assert_close(wanted.sum(dim=1), sizes)
    assert bool((wanted[1:].argmax(dim=1) <= 1).all())  # hydrogen or carbon


def test_too_few_walks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["fit_evidence.py", "any", "--out", str(tmp_path / "out"), "--walks", "10"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="--walks 32 or more"):
        fit_evidence.main()

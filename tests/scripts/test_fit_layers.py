"""Layers that know graphs are taught by themselves, and nothing else is touched."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch

from molgen.checkpoint import find_model, load_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_graph_distances  # noqa: E402
import fit_torsions  # noqa: E402


@dataclass(frozen=True)
class Lesson:
    """A script, what it teaches, and how little of it will do."""

    script: ModuleType
    setting: str
    prefix: str
    amount: tuple[str, str]
    needs: str

    def run(self, monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
        argv = [self.script.__name__, str(weights), "--out", str(out), *words]
        monkeypatch.setattr(sys, "argv", argv)
        self.script.main()


LESSONS = (
    Lesson(
        *(fit_graph_distances, "n_graph_layers", "network.graph_distances."),
        *(("--walks", "64"), "n_fits"),
    ),
    Lesson(
        *(fit_torsions, "n_torsion_layers", "network.torsions."),
        *(("--n", "48"), "n_graph_layers"),
    ),
)
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.script.__name__)


@each_lesson
def test_only_the_layers_that_are_taught_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lesson: Lesson
) -> None:
    weights, out = find_model("qm9-few"), tmp_path / "out.safetensors"
    again = tmp_path / "again.safetensors"
    few = (*lesson.amount, "--steps", "30", "--layers", "2")
    lesson.run(monkeypatch, weights, out, *few)
    before, after = (load_model(path, "cpu") for path in (weights, out))
    assert getattr(after.info.config.model, lesson.setting) == 2
    old, new = (one.model.state_dict() for one in (before, after))
    for name, value in new.items():
        assert name.startswith(lesson.prefix) or torch.equal(value, old[name]), name
    # Weights that have such layers learn on.
    lesson.run(monkeypatch, out, again, *few)
    more = load_model(again, "cpu").model.state_dict()
    changed = {name for name, value in new.items() if not torch.equal(value, more[name])}
    assert changed
    assert all(name.startswith(lesson.prefix) for name in changed)


@each_lesson
@pytest.mark.parametrize("case", ["weights", "amount", "steps"])
def test_what_cannot_be_learned_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lesson: Lesson, case: str
) -> None:
    option = lesson.amount[0]
    name, words, message = {
        "weights": ("qm9", (), f"distilled weights with {lesson.needs}"),
        "amount": ("qm9-few", (option, "3"), f"{option} 32 or more"),
        "steps": ("qm9-few", ("--steps", "0"), "--steps and --layers 1 or more"),
    }[case]
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match=message):
        lesson.run(monkeypatch, find_model(name), out, *words)
    assert not out.exists()

"""The road to weights on a GPU: what is done stays done, and what was stopped goes on."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks import gpu_road
from benchmarks.gpu_road import MORE_TO_DO, Stage, chosen, go, listed, road
from molgen.errors import UsageError
from molgen.train.recorder import LAST

ROOT = Path(__file__).resolve().parents[2]


def stage(name: str, code: str, **fields: object) -> Stage:
    return Stage(name, (sys.executable, "-c", code), **{"least": 0.0, **fields})  # type: ignore[arg-type]


def noting(path: Path, word: str) -> str:
    return f"open({str(path)!r}, 'a').write({word!r} + ' ')"


def test_stages_run_in_order_and_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    stages = [stage(name, noting(notes, name)) for name in ("one", "two")]
    assert go(stages, tmp_path, None) == 0
    assert go(stages, tmp_path, None) == 0
    assert notes.read_text() == "one two "


def test_what_fails_is_shown_and_stops_what_needs_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes"
    stages = [
        stage("bad", "raise SystemExit('the reason')"),
        stage("needs", noting(notes, "needs"), after=("bad",)),
        stage("free", noting(notes, "free")),
    ]
    assert go(stages, tmp_path, None) == 1
    assert notes.read_text() == "free "
    shown = capsys.readouterr().out
    assert "the reason" in shown
    assert "needs: waits for bad" in shown
    stages[0] = stage("bad", noting(notes, "mended"))
    assert go(stages, tmp_path, None) == 0
    assert notes.read_text() == "free mended needs "


def test_training_that_ran_out_of_time_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_road, "PATIENCE", 0.0)
    run = tmp_path / "run"
    code = (
        "import pathlib, sys, time\n"
        f"run = pathlib.Path({str(run)!r})\n"
        "run.mkdir(exist_ok=True)\n"
        "(run / 'last.ckpt').touch()\n"
        "'--resume' in sys.argv or time.sleep(60)\n"
    )
    stages = [stage("train", code, run=run), stage("next", "", after=("train",))]
    assert "--resume" not in stages[0].words()
    assert go(stages, tmp_path, 2 / 60) == MORE_TO_DO
    assert "--resume" in stages[0].words()
    assert go(stages, tmp_path, None) == 0


def test_nothing_is_begun_that_cannot_end_in_time(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    assert go([stage("long", noting(notes, "long"), least=2.0)], tmp_path, 1.0) == MORE_TO_DO
    assert not notes.exists()


def test_what_a_cpu_can_do_may_be_left(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    stages = [stage("gpu", noting(notes, "gpu")), stage("cpu", noting(notes, "cpu"), on_gpu=False)]
    assert go(stages, tmp_path, None, gpu_only=True) == MORE_TO_DO
    assert notes.read_text() == "gpu "
    lines = listed(stages, tmp_path).splitlines()
    assert "min" in lines[0]
    assert "to do" in lines[1]


def test_stages_are_chosen_by_name() -> None:
    stages = road(Path("kept"), "cuda", 1.0, 1.0)
    assert [one.name for one in chosen(stages, ["teacher", "speed"])] == ["speed", "teacher"]
    with pytest.raises(UsageError, match='Did you mean "teacher"'):
        chosen(stages, ["teachr"])


def test_the_checkpoint_is_that_of_training() -> None:
    assert gpu_road.CHECKPOINT == LAST


STAGES = road(Path("kept"), "cuda", 17.0, 8.0)


@cache
def help_of(verbs: tuple[str, ...]) -> str:
    command = [sys.executable, *verbs, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("stage", STAGES, ids=[one.name for one in STAGES])
def test_every_command_exists_and_knows_its_options(stage: Stage) -> None:
    words = stage.command[1:]
    named = [word for word in words if re.match(r"(tests|configs)/", word)]
    assert all((ROOT / word).is_file() for word in named)
    if words[0] == "-m" and words[1] == "pytest":
        return
    first = next(place for place, word in enumerate(words) if word.startswith("--"))
    verbs = [word for word in words[:first] if not word.endswith((".yaml", ".safetensors"))]
    shown = help_of(tuple(verbs))
    for option in (word for word in words if word.startswith("--")):
        assert option in shown


def test_stages_come_after_what_they_need() -> None:
    names = [one.name for one in STAGES]
    for place, one in enumerate(STAGES):
        assert set(one.after) <= set(names[:place])


def test_a_machine_without_a_gpu_is_no_road(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    gpu_road.add_options(parser)
    options = parser.parse_args(["--folder", str(tmp_path), "--only", "tests"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="cuda"):
        gpu_road.main(options)
    assert not (tmp_path / "done.json").exists()

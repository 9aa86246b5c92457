"""``molgen calibrate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from molgen.checkpoint import read_info

STORE = Path(__file__).resolve().parents[2] / "data" / "sample"
QUICK = ("--stage", "logit-bias", "--data", STORE, "--set", "logit_bias.n=16")


def test_one_stage_of_one_preset(molgen: Callable[..., object], tmp_path: Path) -> None:
    rounds = ("--set", "logit_bias.rounds=1", "--steps", 1, "--out", "new.safetensors")
    done = molgen("calibrate", "qm9-few", *QUICK, *rounds)
    assert done.status == 0, done
    assert "logit-bias, 1 of 1" in done.err
    assert read_info(tmp_path / "new.safetensors").config.distil is not None
    assert [path.name for path in tmp_path.iterdir()] == ["new.safetensors"]
    again = molgen("calibrate", "qm9-few", *QUICK, *rounds)
    again.assert_one_line(1, "new.safetensors exists", "--force")


def test_what_cannot_be_calibrated_is_refused(
    molgen: Callable[..., object], tmp_path: Path
) -> None:
    out = ("--out", "new.safetensors")
    molgen("calibrate", "qm9", *QUICK, *out).assert_one_line(2, "not distilled")
    molgen("calibrate", "qm9-few", *QUICK, *out, "--steps", 3).assert_one_line(2, "Use 1, 2, 4")
    wrong = ("--set", "logit_bias.round=1")
    molgen("calibrate", "qm9-few", *QUICK, *out, *wrong).assert_one_line(2, "'rounds'")
    molgen("calibrate", "qm9-few", "--stage", "lean", *out).assert_one_line(2, "stage")
    assert list(tmp_path.iterdir()) == []

"""The whole calibration: stages in order, kept one by one, resumed after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from molgen.calibrate import run as running
from molgen.calibrate.context import Context
from molgen.calibrate.run import STAGES, Calibration, calibrate, stages_of
from molgen.checkpoint import LoadedModel, find_model, load_model
from molgen.errors import OutputError, UsageError

WEIGHTS = find_model("qm9-few")


def silent(stage: str, number: int, n: int) -> None:
    pass


def test_stages_run_in_their_order_whatever_was_typed() -> None:
    assert stages_of(["refine", "input-scale"]) == ("input-scale", "refine")
    assert stages_of([]) == tuple(STAGES)
    with pytest.raises(UsageError, match="logit-bias"):
        stages_of(["logit-bais"])


def test_a_killed_calibration_goes_on_where_it_was(
    context: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    killed = {"second"}

    def stage(name: str) -> Callable[[LoadedModel, Context], LoadedModel]:
        def fit(loaded: LoadedModel, _: Context) -> LoadedModel:
            calls.append(name)
            if name in killed:
                raise KeyboardInterrupt
            return loaded

        return fit

    monkeypatch.setattr(running, "STAGES", {name: stage(name) for name in ("first", "second")})
    asked = Calibration(WEIGHTS, tmp_path / "out.safetensors", ("first", "second"))
    with pytest.raises(KeyboardInterrupt):
        calibrate(asked, context(), silent)
    assert not asked.out.exists()
    with pytest.raises(OutputError, match="--resume"):
        calibrate(asked, context(), silent)
    with pytest.raises(OutputError, match="other weights or settings"):
        calibrate(asked, context(4), silent, resume=True)
    killed.clear()
    calibrate(asked, context(), silent, resume=True)
    assert calls == ["first", "second", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]
    assert load_model(asked.out, "cpu").info.presets == load_model(WEIGHTS, "cpu").info.presets

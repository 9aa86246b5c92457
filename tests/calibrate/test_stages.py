"""Each stage changes what it fits, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from molgen.calibrate import (
    distance_head,
    element_bias,
    input_scale,
    logit_bias,
    refine,
    refine_examples,
)
from molgen.calibrate.context import Context
from molgen.calibrate.run import STAGES
from molgen.checkpoint import LoadedModel, find_model, load_model
from molgen.errors import UsageError
from molgen.flow.logit_bias import NO_LOGIT_BIAS


def shipped(name: str = "qm9-few") -> LoadedModel:
    return load_model(find_model(name), "cpu")


def changed(before: LoadedModel, after: LoadedModel) -> set[str]:
    old, new = before.model.state_dict(), after.model.state_dict()
    names = old.keys() | new.keys()
    return {
        name
        for name in names
        if name not in old or name not in new or not torch.equal(old[name], new[name])
    }


def test_input_scales_change_one_preset(context: Callable[..., Context]) -> None:
    lines: list[str] = []
    asked = replace(context(1), report=lines.append)
    before, after = shipped(), input_scale.calibrate(shipped(), asked)
    assert changed(before, after) == set()
    found = after.info.presets[1]
    assert found.input_scale is not None
    assert len(found.input_scale) == 1
    assert {**after.info.presets, 1: before.info.presets[1]} == before.info.presets
    scores = [float(line.split(": ")[1].split(",")[0]) for line in lines]
    assert scores[0] == 1.0
    best = next(line for line in lines if f"({found.input_scale[0]}," in line)
    assert min(scores) == float(best.split(": ")[1].split(",")[0])


def test_logit_biases_change_one_preset(context: Callable[..., Context]) -> None:
    before = shipped()
    presets = {
        steps: replace(one, logit_bias=NO_LOGIT_BIAS) for steps, one in before.info.presets.items()
    }
    plain = replace(before, info=replace(before.info, presets=presets))
    after = logit_bias.calibrate(plain, context(2))
    assert changed(plain, after) == set()
    assert set(after.info.presets[2].logit_bias.to_dict()) == {"element", "bond"}
    assert {**after.info.presets, 2: presets[2]} == presets


def test_the_distance_head_changes_alone(context: Callable[..., Context]) -> None:
    after = distance_head.calibrate(shipped(), context())
    assert changed(shipped(), after) == {
        f"network.distances.{layer}.{part}"
        for layer in ("bond", "atom")
        for part in ("weight", "bias")
    }


@pytest.mark.slow
def test_the_refinement_changes_alone_and_goes_on(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refine_examples, "PRESET_SHARES", {1: 0.5, 2: 0.5})
    before = shipped()
    fresh = refine.calibrate(before, context())
    assert fresh.info.config.model.refine_layers == 2
    assert all(name.startswith("network.refine.") for name in changed(shipped(), fresh))
    again = refine.calibrate(fresh, context())
    names = changed(fresh, again)
    assert names
    assert all(name.startswith("network.refine.") for name in names)


def test_element_biases_favour_what_repairs_lack(context: Callable[..., Context]) -> None:
    before, after = shipped(), element_bias.calibrate(shipped(), context())
    assert changed(before, after) == set()
    bias = dict(zip((1, 6, 7, 8, 9), after.info.element_prior, strict=True))
    # Nitrogen is the cheapest repair of a carbon that lacks a hydrogen.
    assert bias[7] < bias[6]
    assert max(map(abs, bias.values())) <= element_bias.LARGEST


@pytest.mark.parametrize("stage", STAGES)
def test_weights_that_were_not_distilled_are_refused(
    context: Callable[..., Context], stage: str
) -> None:
    with pytest.raises(UsageError, match="not distilled"):
        STAGES[stage](shipped("qm9"), context())


def test_an_unknown_number_of_calls_is_refused(context: Callable[..., Context]) -> None:
    with pytest.raises(UsageError, match="no preset of 3 calls"):
        context(3).presets(shipped().info)

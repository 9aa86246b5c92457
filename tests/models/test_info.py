"""What a weights file says of its model."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from molgen.config import Config
from molgen.flow.logit_bias import LogitBias
from molgen.models.info import ErrorCurve, ModelInfo, SamplingPreset

LEAN = LogitBias.of({"element": (0.0, 0.1, -0.5), "bond": (0.5, 0.0)})

INFO = ModelInfo("one", Config(), (0, 0, 1))

curves = st.lists(st.tuples(st.floats(-4, 5), st.floats(0, 9)), min_size=2).map(
    lambda rows: ErrorCurve(tuple(lam for lam, _ in rows), tuple(error for _, error in rows))
)


@given(st.none() | curves)
def test_a_header_is_read_as_it_was_written(curve: ErrorCurve | None) -> None:
    info = replace(INFO, mmse=curve)
    assert ModelInfo.from_dict(info.to_dict(), "here") == info


def test_a_header_says_which_elements_repairs_lean_to() -> None:
    info = replace(INFO, element_prior=(-1.0, 0.5, 0.25))
    assert ModelInfo.from_dict(info.to_dict(), "here") == info
    assert "element_prior" not in INFO.to_dict()


def test_a_header_says_how_the_calls_of_a_ladder_are_made() -> None:
    preset = SamplingPreset("ddim", (20.0, 0.5), input_scale=(1.0, 1.1), logit_bias=LEAN)
    info = replace(INFO, presets={2: preset, 1: SamplingPreset("ddim", (20.0,))})
    assert ModelInfo.from_dict(json.loads(json.dumps(info.to_dict())), "here") == info
    assert set(info.to_dict()["presets"]["1"]) == {"solver", "sigma"}


def test_a_header_without_a_curve_is_as_before() -> None:
    assert "mmse" not in INFO.to_dict()

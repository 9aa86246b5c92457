"""Classes that lean before an estimate is passed on."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias

numbers = st.lists(st.floats(-5, 5), min_size=2, max_size=4)
leans = st.dictionaries(st.sampled_from(["bond", "element", "pixel"]), numbers)


@given(leans)
def test_it_survives_json_and_can_be_a_key(tree: dict[str, list[float]]) -> None:
    logit_bias = LogitBias.of(tree)
    assert LogitBias.from_dict(json.loads(json.dumps(logit_bias.to_dict()))) == logit_bias
    assert {logit_bias: 1}[LogitBias.of(dict(reversed(tree.items())))] == 1
    assert bool(logit_bias) == any(any(one) for one in tree.values())


@given(leans, st.sampled_from(["bond", "element", "charge"]))
def test_what_is_added_is_found_by_name(tree: dict[str, list[float]], name: str) -> None:
    wanted = tuple(tree.get(name, ()))
    assert LogitBias.of(tree).on(name) == (wanted if any(wanted) else ())


def test_nothing_leans_without_numbers() -> None:
    assert LogitBias.from_dict(None) == LogitBias.of({"bond": (0.0, 0.0)}) == NO_LOGIT_BIAS
    assert not NO_LOGIT_BIAS


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(UsageError, match="finite numbers"):
        LogitBias.of({"bond": (number, 0.0)})

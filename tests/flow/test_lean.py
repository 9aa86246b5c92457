"""Classes that lean before an estimate is passed on."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.lean import NO_LEAN, Lean

numbers = st.lists(st.floats(-5, 5), min_size=2, max_size=4)
leans = st.dictionaries(st.sampled_from(["bond", "element", "pixel"]), numbers)


@given(leans)
def test_it_survives_json_and_can_be_a_key(tree: dict[str, list[float]]) -> None:
    lean = Lean.of(tree)
    assert Lean.from_dict(json.loads(json.dumps(lean.to_dict()))) == lean
    assert {lean: 1}[Lean.of(dict(reversed(tree.items())))] == 1
    assert bool(lean) == any(any(one) for one in tree.values())


@given(leans, st.sampled_from(["bond", "element", "charge"]))
def test_what_is_added_is_found_by_name(tree: dict[str, list[float]], name: str) -> None:
    wanted = tuple(tree.get(name, ()))
    assert Lean.of(tree).on(name) == (wanted if any(wanted) else ())


def test_nothing_leans_without_numbers() -> None:
    assert Lean.from_dict(None) == Lean.of({"bond": (0.0, 0.0)}) == NO_LEAN
    assert not NO_LEAN


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(UsageError, match="finite numbers"):
        Lean.of({"bond": (number, 0.0)})

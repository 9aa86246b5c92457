"""Classes that lean before an estimate is passed on."""

from __future__ import annotations

import json
import math

import pytest
import torch
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


@given(numbers, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_odds_change_by_what_is_added(added: list[float], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, len(added), generator=generator).to(dtype)
    lean = Lean.of({"element": added})
    leant = lean.on("element", logits)
    assert leant.dtype == dtype
    torch.testing.assert_close(leant, logits + torch.tensor(added, dtype=dtype))
    assert lean.on("bond", logits) is logits


def test_nothing_leans_without_numbers() -> None:
    assert Lean.from_dict(None) == Lean.of({"bond": (0.0, 0.0)}) == NO_LEAN
    assert not NO_LEAN


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(UsageError, match="finite numbers"):
        Lean.of({"bond": (number, 0.0)})

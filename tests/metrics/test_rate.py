from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.metrics.rate import Rate, rate_of, spread_of

rates = st.integers(1, 10_000).flatmap(
    lambda n: st.integers(0, n).map(lambda count: Rate(count, n))
)


@given(rates)
def test_the_interval_holds_the_value(rate: Rate) -> None:
    low, high = rate.interval
    assert 0 <= low <= rate.value + 1e-12
    assert rate.value - 1e-12 <= high <= 1
    assert low < high


@given(rates)
def test_more_of_the_same_is_more_certain(rate: Rate) -> None:
    low, high = rate.interval
    more_low, more_high = Rate(4 * rate.count, 4 * rate.n).interval
    assert more_high - more_low < high - low


def test_published_intervals() -> None:
    # Newcombe, Stat. Med. 17, 857 (1998), table I, method 3.
    assert Rate(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Rate(0, 20).interval == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_nothing_has_no_rate_and_valid_json() -> None:
    assert math.isnan(rate_of([]).value)
    assert json.loads(json.dumps(rate_of([]).to_dict(), allow_nan=False)) == {"count": 0, "n": 0}


def test_failures_are_counted_and_do_not_move_the_median() -> None:
    spread = spread_of([0.1, None, 0.3, math.nan, 0.2])
    assert (spread.median, spread.n, spread.n_failed) == (0.2, 3, 2)
    assert spread_of([None]).median is None

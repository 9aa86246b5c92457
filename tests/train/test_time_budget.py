from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.config import OptimConfig
from molgen.errors import ConfigError
from molgen.train import time_budget as pace_module
from molgen.train.time_budget import TimeBudget, learning_rate_factor, seconds_of

fractions = st.floats(0, 1)
steps = st.integers(0, 10**6)
recipes = st.builds(
    OptimConfig, warmup_steps=st.integers(0, 1000), decay_from=st.floats(0, 1, exclude_max=True)
)


class Clock:
    """A clock that tests turn by hand."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:09:30", 570), ("9:30", 570), ("12:00:00", 43200), ("0:01", 1), ("100:00:00", 360000)],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
    assert seconds_of(None) is None


@pytest.mark.parametrize("text", ["", "30", "1:2:3:4", "-1:30", "1:x", "²:30", "1.5:00", "0:00"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="max_time"):
        seconds_of(text)


@given(st.text(alphabet="0123456789:²½ ٣x-", max_size=9))
def test_any_text_is_a_duration_or_an_error(text: str) -> None:
    try:
        seconds = seconds_of(text)
    except ConfigError:
        return
    assert seconds is not None
    assert seconds > 0


@given(steps, fractions, recipes)
def test_the_rate_is_a_fraction_of_its_peak(
    step: int, progress: float, recipe: OptimConfig
) -> None:
    assert 0 <= learning_rate_factor(step, progress, recipe) <= 1


@given(steps, fractions, fractions, recipes)
def test_the_rate_never_rises_with_progress(
    step: int, one: float, other: float, recipe: OptimConfig
) -> None:
    early, late = sorted((one, other))
    factor = learning_rate_factor(step, early, recipe)
    assert learning_rate_factor(step, late, recipe) <= factor


@given(steps, recipes)
def test_the_rate_ends_at_zero(step: int, recipe: OptimConfig) -> None:
    assert learning_rate_factor(step, 1.0, recipe) == pytest.approx(0, abs=1e-12)


@given(steps, fractions, recipes)
def test_between_warm_up_and_decay_the_rate_is_at_its_peak(
    step: int, progress: float, recipe: OptimConfig
) -> None:
    factor = learning_rate_factor(step, progress * recipe.decay_from, recipe)
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    assert factor == pytest.approx(warm)
    assert factor > 0


def test_halfway_through_the_decay_is_half_the_peak() -> None:
    recipe = OptimConfig(warmup_steps=0, decay_from=0.4)
    assert learning_rate_factor(10**6, 0.7, recipe) == pytest.approx(0.5)


@given(st.integers(1, 1000), st.integers(0, 2000))
def test_without_a_time_box_steps_decide(max_steps: int, step: int) -> None:
    assert TimeBudget(max_steps, None).progress(step) == min(1.0, step / max_steps)


def test_whichever_ends_first_decides(clock: Clock) -> None:
    budget = TimeBudget(max_steps=100, max_seconds=50.0, started=clock.now)
    assert budget.progress(10) == pytest.approx(0.1)
    clock.now += 25
    assert budget.progress(10) == pytest.approx(0.5)
    assert budget.progress(80) == pytest.approx(0.8)
    clock.now += 30
    assert budget.progress(10) == 1.0


def test_time_before_a_resume_counts(clock: Clock) -> None:
    budget = TimeBudget(max_steps=10**9, max_seconds=100.0, started=clock.now)
    budget.before = 70.0
    clock.now += 20
    assert budget.seconds == pytest.approx(90)
    assert budget.progress(0) == pytest.approx(0.9)

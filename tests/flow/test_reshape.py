"""Shifted, clipped and zero-terminal schedules, and schedules from two amplitudes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.reshape import from_ab
from molgen.flow.schedule import Schedule, unit_tv
from molgen.flow.schedules import (
    EDM,
    ISSNR,
    SCHEDULES,
    SMLD,
    Cosine,
    OTFlow,
    SubVP,
    VPLinear,
    schedule_from_dict,
    schedule_to_dict,
)

from .schedules_under_test import VARIANCES, of_kind, schedules, shipped, times

every_name = pytest.mark.parametrize("name", SCHEDULES)
few = settings(max_examples=10)
some = settings(max_examples=25)
shifts = st.floats(-2, 2)
preserving = st.sampled_from(["const", "ot"])
"""Total variances at which the signal falls, as a zero-terminal schedule needs."""


@st.composite
def reshaped(draw: st.DrawFn, base: st.SearchStrategy[Schedule] = shipped) -> Schedule:
    """A schedule reshaped twice, under any total variance."""
    schedule = draw(base)
    for step in draw(st.lists(st.sampled_from(["shift", "clip", "zero"]), min_size=1, max_size=2)):
        if step == "shift":
            schedule = schedule.shift(draw(shifts))
        elif step == "clip":
            levels = torch.exp(-schedule.lam(times(schedule, 11)))
            schedule = schedule.clip(float(levels[1]), float(levels[8]))
        else:
            schedule = schedule.with_tv(draw(preserving)).zero_terminal()
    return schedule.with_tv(draw(st.sampled_from(VARIANCES)))


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------ all of them


@some
@given(reshaped())
def test_reshaped_schedules_obey_the_laws_of_schedules(schedule: Schedule) -> None:
    t = times(schedule)[:-1]
    c = schedule.coefficients(t)
    assert (schedule.lam(times(schedule)).diff() < 0).all()
    close(c.a**2 + c.b**2, c.tau**2)
    back = schedule.t_of_lam(c.lam)
    slack = 1e-10 * (1 + t) + 1e-14 * (1 + c.lam.abs()) / c.dlam.abs()
    assert ((back - t).abs() <= slack).all()
    assert schedule.with_tv("native").with_tv("native") == schedule.with_tv("native")


@some
@given(reshaped())
def test_slopes_match_finite_differences(schedule: Schedule) -> None:
    """To the error of central differences, with a step small beside the distance to any end."""
    span = schedule.t_max - schedule.t_min
    t = schedule.t_min + torch.linspace(0.2, 0.8, 9, dtype=torch.float64) * span
    h = 1e-5 * span
    for value, slope in ((schedule.lam, schedule.dlam), (schedule.log_tau, schedule.dlog_tau)):
        numeric = (value(t + h) - value(t - h)) / (2 * h)
        torch.testing.assert_close(slope(t) * span, numeric * span, rtol=1e-6, atol=1e-6)


@some
@given(reshaped())
def test_drift_and_diffusion_follow_from_the_amplitudes(schedule: Schedule) -> None:
    c = schedule.coefficients(times(schedule)[:-1])
    close(c.da / c.a, c.f, 1e-8)
    torch.testing.assert_close(2 * c.b * c.db - 2 * c.f * c.b**2, c.g2, rtol=1e-8, atol=1e-8)


@some
@given(reshaped())
def test_json_round_trip(schedule: Schedule) -> None:
    stored = json.dumps(schedule_to_dict(schedule), allow_nan=False)
    again = schedule_from_dict(json.loads(stored))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert torch.equal(again.lam(times(schedule)), schedule.lam(times(schedule)))


@some
@given(reshaped())
def test_every_total_variance_fits_around(schedule: Schedule) -> None:
    t = times(schedule)[:-1]
    close(schedule.with_tv("ve").coefficients(t).a, torch.ones_like(t))
    line = schedule.with_tv("ot").coefficients(t)
    close(line.a + line.b, torch.ones_like(t))
    assert torch.equal(line.lam, schedule.lam(t))


# ------------------------------------------------------------------------------------ shift


@given(schedules, shifts)
def test_a_shift_multiplies_the_noise_levels(schedule: Schedule, log_m: float) -> None:
    t, shifted = times(schedule), schedule.shift(log_m)
    close(shifted.coefficients(t).sigma, math.exp(log_m) * schedule.coefficients(t).sigma)
    assert (shifted.t_min, shifted.t_max) == (schedule.t_min, schedule.t_max)


@given(schedules, shifts, shifts)
def test_shifts_add_up_and_undo_each_other(schedule: Schedule, one: float, two: float) -> None:
    t = times(schedule)
    close(schedule.shift(one).shift(two).lam(t), schedule.shift(one + two).lam(t), 1e-12)
    assert schedule.shift(one).shift(-one) == schedule


@every_name
@few
@given(data=st.data(), log_m=shifts, variance=st.sampled_from(VARIANCES))
def test_a_shift_walks_the_same_path(
    name: str, data: st.DataObject, log_m: float, variance: str
) -> None:
    """Every state of the shifted schedule is a state of the base at another time."""
    schedule = data.draw(of_kind(name)).with_tv(variance)
    t = times(schedule)
    shifted = schedule.shift(log_m)
    here, there = shifted.coefficients(t), schedule.coefficients(schedule.t_of_lam(shifted.lam(t)))
    if name == "polynomial":  # The only one whose levels end, with nothing to walk beyond.
        inside = (there.lam - here.lam).abs() < 1e-9
        close(here.a[inside], there.a[inside])
        return
    close(here.a, there.a)
    close(here.b, there.b)


@given(st.floats(0.1, 10))
def test_shifted_straight_lines_are_those_of_sd3(m: float) -> None:
    t = times(OTFlow())
    there = m * t / (1 + (m - 1) * t)
    shifted = OTFlow().shift(math.log(m))
    close(shifted.lam(t), OTFlow().lam(there))
    close(shifted.coefficients(t).a, 1 - there)
    close(shifted.coefficients(t).b, there)


def test_an_unusable_shift_is_refused() -> None:
    with pytest.raises(UsageError, match="finite numbers"):
        ISSNR().shift(math.nan)
    with pytest.raises(UsageError, match="finite numbers"):
        ISSNR().shift(math.inf)


# ------------------------------------------------------------------------------------- clip


@given(schedules, st.floats(0, 1), st.floats(0, 1))
def test_clipped_levels_stay_inside(schedule: Schedule, first: float, second: float) -> None:
    ends = torch.exp(-schedule.lam(times(schedule, 2))).log().tolist()
    low, high = (ends[0] + share * (ends[1] - ends[0]) for share in sorted((first, second)))
    sigma_min, sigma_max = math.exp(low), math.exp(high)
    if high - low < 1e-3:
        return
    clipped = schedule.clip(sigma_min, sigma_max)
    sigma = clipped.coefficients(times(clipped)).sigma
    torch.testing.assert_close(
        sigma[[0, -1]], sigma.new_tensor([sigma_min, sigma_max]), rtol=1e-8, atol=0
    )
    assert torch.equal(clipped.lam(times(clipped)), schedule.lam(times(clipped)))


@given(schedules)
def test_a_clip_never_adds_levels(schedule: Schedule) -> None:
    clipped = schedule.clip(0.0, 1e300)
    assert (clipped.t_min, clipped.t_max) == (schedule.t_min, schedule.t_max)
    low, middle, high = torch.exp(-schedule.lam(times(schedule, 5)))[1:4].tolist()
    twice = schedule.clip(low, high).clip(middle, math.exp(2) * high)
    once = schedule.clip(middle, high)
    assert (twice.t_min, twice.t_max) == (once.t_min, once.t_max)


@pytest.mark.parametrize(
    ("levels", "hint"),
    [
        ((100.0, 200.0), "Ask for levels between 0.0101 and 99"),
        ((1e-9, 1e-8), "Ask for levels between"),
        ((2.0, 1.0), "Give 0 <= sigma_min < sigma_max"),
        ((-1.0, 1.0), "Give 0 <= sigma_min < sigma_max"),
        ((0.1, math.inf), "Give 0 <= sigma_min < sigma_max"),
        ((math.nan, 1.0), "Give 0 <= sigma_min < sigma_max"),
    ],
)
def test_a_clip_that_leaves_nothing_is_refused(levels: tuple[float, float], hint: str) -> None:
    for schedule in (ISSNR(), ISSNR().with_tv("ve")):
        with pytest.raises(UsageError, match=hint):
            schedule.clip(*levels)


# ---------------------------------------------------------------------------- zero terminal


@every_name
@few
@given(data=st.data(), variance=preserving)
def test_zero_terminal_ends_in_pure_noise(name: str, data: st.DataObject, variance: str) -> None:
    base = data.draw(of_kind(name)).with_tv(variance)
    schedule = base.zero_terminal()
    t = times(base)
    c, before = schedule.coefficients(t), base.coefficients(t)
    assert c.a[-1] == 0
    assert c.lam[-1] == -math.inf
    for value in (c.lam, c.dlam, c.a, c.b, c.da, c.db, c.f, c.g2):
        assert value[:-1].isfinite().all()
    close(c.tau, before.tau)
    close(c.a, (before.a - before.a[-1]) * before.a[0] / (before.a[0] - before.a[-1]))


@pytest.mark.parametrize("schedule", [OTFlow(), SubVP(), Cosine(), VPLinear()])
def test_zero_terminal_keeps_the_first_level(schedule: Schedule) -> None:
    t = times(schedule, 2)[0]
    close(schedule.zero_terminal().lam(t), schedule.lam(t))


def test_zero_terminal_changes_nothing_that_ends_in_noise_already() -> None:
    schedule = from_ab(lambda t: 1 - t, lambda t: t, t_max=1.0)
    t = times(schedule)
    close(schedule.zero_terminal().coefficients(t).a, 1 - t)
    assert schedule.lam(t)[-1] == -math.inf


@pytest.mark.parametrize("schedule", [EDM(), SMLD(), OTFlow().with_tv("ve")])
def test_a_constant_signal_cannot_end(schedule: Schedule) -> None:
    with pytest.raises(UsageError, match=r"with_tv\('const'\).zero_terminal"):
        schedule.zero_terminal()


# ---------------------------------------------------------------------------------- from_ab


@some
@given(schedules)
def test_amplitudes_alone_give_the_schedule_back(schedule: Schedule) -> None:
    a, b = (
        lambda t, side=side: torch.exp(schedule.log_tau(t)) * unit_tv(schedule.lam(t))[side]
        for side in (0, 1)
    )
    same = from_ab(a, b, schedule.t_min, schedule.t_max)
    t = times(schedule)
    c, expected = same.coefficients(t), schedule.coefficients(t)
    for name in ("lam", "dlam", "log_tau", "dlog_tau", "a", "b", "da", "db"):
        close(getattr(c, name), getattr(expected, name), 1e-8)
    lam = c.lam[1:-1]
    torch.testing.assert_close(same.lam(same.t_of_lam(lam)), lam, rtol=1e-9, atol=1e-9)


def test_amplitudes_have_to_fall() -> None:
    with pytest.raises(UsageError, match="a time range on which it falls"):
        from_ab(lambda t: t, lambda t: 1 - t)
    with pytest.raises(UsageError, match="t_min smaller"):
        from_ab(lambda t: 1 - t, lambda t: t, 0.9, 0.1)


def test_functions_have_no_stored_form() -> None:
    schedule = from_ab(lambda t: 1 - t, lambda t: t)
    for unstorable in (schedule, schedule.shift(0.1), schedule.with_tv("ve")):
        with pytest.raises(UsageError, match="has no name"):
            schedule_to_dict(unstorable)


@pytest.mark.parametrize(
    ("stored", "hint"),
    [
        ({"name": "shift", "log_m": 1.0}, "needs 'base'"),
        ({"name": "clip", "base": 3}, "needs 'base'"),
        ({"name": "clip", "base": {"name": "issnr"}}, "does not accept"),
        ({"name": "shift", "base": {"name": "isnr"}, "log_m": 1.0}, "Did you mean"),
        ({"name": "shift", "base": {"name": "issnr"}, "log_m": "x"}, "does not accept"),
    ],
)
def test_bad_stored_forms_say_what_to_do(stored: dict[str, object], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        schedule_from_dict(stored)

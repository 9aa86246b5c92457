"""Laws of schedules: inverses, derivatives, identities, total variance, JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import (
    DDIM,
    ISSNR,
    SCHEDULES,
    Cosine,
    Euler,
    OTFlow,
    Schedule,
    TimeGrid,
    schedule_from_dict,
    schedule_to_dict,
    unit_tv,
)

from .mixtures import mol27
from .schedules_under_test import Sigma, schedules, shares, shipped, time_at


@given(schedules, shares)
def test_time_of_level_inverts_level_of_time(schedule: Schedule, share: float) -> None:
    t = time_at(schedule, share)
    torch.testing.assert_close(schedule.t_of_lam(schedule.lam(t)), t, rtol=1e-10, atol=1e-10)


@given(schedules, shares, shares)
def test_level_decreases(schedule: Schedule, first: float, second: float) -> None:
    early, late = sorted((time_at(schedule, first), time_at(schedule, second)))
    assert early == late or schedule.lam(early) > schedule.lam(late)


@given(schedules, shares)
def test_amplitudes_and_levels_agree(schedule: Schedule, share: float) -> None:
    c = schedule.coefficients(time_at(schedule, share))
    torch.testing.assert_close(c.a**2 + c.b**2, c.tau**2, rtol=1e-12, atol=0)
    torch.testing.assert_close(c.a / c.b, c.gamma, rtol=1e-12, atol=0)
    torch.testing.assert_close(c.gamma * c.sigma, torch.ones_like(c.lam), rtol=1e-12, atol=0)


@given(schedules, shares)
def test_closed_slopes_match_automatic_ones(schedule: Schedule, share: float) -> None:
    t = time_at(schedule, share)
    torch.testing.assert_close(schedule.dlam(t), Schedule.dlam(schedule, t), rtol=1e-8, atol=1e-8)
    automatic = Schedule.dlog_tau(schedule, t)
    torch.testing.assert_close(schedule.dlog_tau(t), automatic, rtol=1e-8, atol=1e-8)


@given(schedules, shares)
def test_sde_identities(schedule: Schedule, share: float) -> None:
    t = time_at(schedule, share).requires_grad_()
    a, b = schedule.coefficients(t).a, schedule.coefficients(t).b
    (da,) = torch.autograd.grad(a, t)
    (db,) = torch.autograd.grad(b, t)
    c = schedule.coefficients(t.detach())
    close = {"rtol": 1e-8, "atol": 1e-8}
    torch.testing.assert_close(c.da, da, **close)
    torch.testing.assert_close(c.db, db, **close)
    torch.testing.assert_close(c.f, da / a.detach(), **close)
    torch.testing.assert_close(c.g2, (2 * b * db - 2 * da / a * b**2).detach(), **close)


@given(schedules, shares)
def test_total_variance_is_what_its_name_says(schedule: Schedule, share: float) -> None:
    t = time_at(schedule, share)
    one = torch.tensor(1.0, dtype=torch.float64)
    exploding, line = schedule.with_tv("ve").coefficients(t), schedule.with_tv("ot").coefficients(t)
    torch.testing.assert_close(exploding.a, one)
    torch.testing.assert_close(line.a + line.b, one)
    torch.testing.assert_close(schedule.with_tv("const").coefficients(t).tau, one)
    assert torch.equal(exploding.lam, schedule.lam(t))


def test_native_restores_the_schedules_own_variance() -> None:
    schedule = OTFlow()
    assert schedule.with_tv("ve").with_tv("native") == schedule
    with pytest.raises(UsageError, match='unknown total variance "vp"'):
        schedule.with_tv("vp")


def test_straight_lines_are_straight() -> None:
    t = torch.linspace(0.01, 0.99, 7, dtype=torch.float64)
    c = OTFlow().coefficients(t)
    torch.testing.assert_close(c.a, 1 - t)
    torch.testing.assert_close(c.b, t)


@given(st.floats(0.01, 0.99))
def test_issnr_is_in_the_papers_units(t: float) -> None:
    gamma = math.exp(2) * (1 / t - 1) ** 1.5
    level = ISSNR(1.5, 2).lam(torch.tensor(t, dtype=torch.float64))
    assert math.isclose(float(level), math.log(gamma), rel_tol=1e-9, abs_tol=1e-9)


@given(st.floats(-20, 20))
def test_amplitudes_do_not_depend_on_the_input_precision(lam: float) -> None:
    single = torch.tensor(lam, dtype=torch.float32)
    for low, high in zip(unit_tv(single), unit_tv(single.double()), strict=True):
        assert low.dtype == torch.float64
        assert torch.equal(low, high)
        assert abs(float(low.float().double() - high)) < 1e-6


def test_ends_of_the_level_axis() -> None:
    a, b = unit_tv(torch.tensor([math.inf, -math.inf]))
    assert a.tolist() == [1, 0]
    assert b.tolist() == [0, 1]


@given(schedules, shares, st.integers(1, 40))
def test_scalar_and_vector_times_are_bit_equal(schedule: Schedule, share: float, n: int) -> None:
    t = time_at(schedule, share)
    scalar, vector = schedule.coefficients(t), schedule.coefficients(t.repeat(n))
    for name in ("lam", "log_tau", "a", "b", "da", "db", "g2"):
        assert torch.equal(getattr(vector, name), getattr(scalar, name).expand(n)), name


@given(shipped, st.sampled_from(["const", "ot", "ve", "native"]))
def test_json_round_trip(schedule: Schedule, variance: str) -> None:
    stored = json.dumps(schedule_to_dict(schedule.with_tv(variance)), allow_nan=False)
    assert schedule_from_dict(json.loads(stored)) == schedule.with_tv(variance)


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"name": "isnr"}, "Did you mean .issnr"),
        ({}, "Known: issnr"),
        ({"name": "otflow", "eta": 2}, "does not accept"),
        ({"name": "issnr", "eta": -1}, "eta above 0"),
        ({"name": "issnr", "t_min": 0.9, "t_max": 0.1}, "t_min smaller"),
        ({"name": "cosine", "tv": "vp"}, "Known: const"),
    ],
)
def test_bad_schedules_say_what_to_do(fields: dict[str, float | str], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        schedule_from_dict(fields)


def test_every_name_builds_its_default() -> None:
    for name, kind in SCHEDULES.items():
        assert schedule_from_dict({"name": name}) == kind()
    with pytest.raises(UsageError, match="has no name"):
        schedule_to_dict(Sigma())


@dataclass(frozen=True)
class Exponential(Schedule):
    """``a^2 = exp(-rate t)``: all that a new schedule has to say."""

    rate: float = 12.0
    t_min: float = 1e-4
    t_max: float = 1.0

    def lam(self, t: Tensor) -> Tensor:
        return -0.5 * torch.log(torch.expm1(self.rate * t))


def test_a_new_schedule_works_everywhere() -> None:
    schedule, mixture = Exponential(), mol27()
    x = mixture.sample(20, torch.Generator().manual_seed(0))
    grid = TimeGrid.uniform(schedule, 50)
    with torch.inference_mode():
        exact = DDIM().solve(mixture.denoise, x, grid)
        for variance in ("const", "ot", "ve"):
            raw = Euler(schedule.with_tv(variance)).solve(mixture.denoise, x, grid)
            assert raw.isfinite().all()
            assert variance == "ve" or (raw - exact).abs().mean() < 0.1


def test_cosine_is_the_published_formula() -> None:
    t = torch.tensor(0.3, dtype=torch.float64)
    f = [math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (0.3, 0.0)]
    assert math.isclose(float(Cosine().coefficients(t).a) ** 2, f[0] / f[1], rel_tol=1e-12)

"""Laws of every schedule in the table, and what each one is, against the published formulas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.schedule import Schedule, unit_tv
from molgen.flow.schedules import (
    ISSNR,
    SCHEDULES,
    Cosine,
    OTFlow,
    Trig,
    schedule_from_dict,
    schedule_to_dict,
)
from molgen.flow.solvers import DDIM, Euler

from .mixtures import mol27
from .schedules_under_test import VARIANCES, of_kind, schedules, times

EPS = torch.finfo(torch.float64).eps
every_name = pytest.mark.parametrize("name", SCHEDULES)
few = settings(max_examples=10)


# ------------------------------------------------------------------------------------- laws


@every_name
@few
@given(data=st.data())
def test_time_of_level_inverts_level_of_time(name: str, data: st.DataObject) -> None:
    """To 1e-10, and where the level hardly moves, to the digits that the level itself has."""
    schedule = data.draw(of_kind(name))
    t = times(schedule)
    lam = schedule.lam(t)
    back = schedule.t_of_lam(lam)
    conditioning = 16 * EPS * (1 + lam.abs()) / schedule.dlam(t).abs()
    assert ((back - t).abs() <= 1e-10 * (1 + t) + conditioning).all()
    rounded = 4 * EPS * t * schedule.dlam(t).abs()
    assert ((schedule.lam(back) - lam).abs() <= 1e-10 * (1 + lam.abs()) + rounded).all()


@every_name
@few
@given(data=st.data())
def test_closed_inverses_match_bisection(name: str, data: st.DataObject) -> None:
    schedule = data.draw(of_kind(name))
    lam = schedule.lam(times(schedule))
    halved = Schedule.t_of_lam(schedule, lam)
    off = (schedule.lam(halved) - schedule.lam(schedule.t_of_lam(lam))).abs()
    assert (off <= 1e-9 * (1 + lam.abs())).all()


@every_name
@few
@given(data=st.data())
def test_level_decreases(name: str, data: st.DataObject) -> None:
    schedule = data.draw(of_kind(name))
    t = times(schedule, 200)
    assert (schedule.lam(t).diff() < 0).all()
    assert (schedule.dlam(t) < 0).all()


@every_name
@few
@given(data=st.data())
def test_amplitudes_and_levels_agree(name: str, data: st.DataObject) -> None:
    schedule = data.draw(of_kind(name)).with_tv(data.draw(st.sampled_from(VARIANCES)))
    c = schedule.coefficients(times(schedule))
    torch.testing.assert_close(c.a**2 + c.b**2, c.tau**2, rtol=1e-12, atol=0)
    torch.testing.assert_close(c.a / c.b, c.gamma, rtol=1e-12, atol=0)
    torch.testing.assert_close(c.gamma * c.sigma, torch.ones_like(c.lam), rtol=1e-12, atol=0)


@every_name
@few
@given(data=st.data())
def test_sde_identities(name: str, data: st.DataObject) -> None:
    schedule = data.draw(of_kind(name)).with_tv(data.draw(st.sampled_from(VARIANCES)))
    t = times(schedule).requires_grad_()
    a, b = schedule.coefficients(t).a, schedule.coefficients(t).b
    (da,) = torch.autograd.grad(a.sum(), t)
    (db,) = torch.autograd.grad(b.sum(), t)
    a, b, c = a.detach(), b.detach(), schedule.coefficients(t.detach())
    close = {"rtol": 1e-8, "atol": 1e-8}
    torch.testing.assert_close(c.da, da, **close)
    torch.testing.assert_close(c.db, db, **close)
    torch.testing.assert_close(c.f, da / a, **close)
    torch.testing.assert_close(c.g2, 2 * b * db - 2 * da / a * b**2, **close)


@every_name
@few
@given(data=st.data())
def test_total_variance_is_what_its_name_says(name: str, data: st.DataObject) -> None:
    schedule = data.draw(of_kind(name))
    t = times(schedule)
    one = torch.ones_like(t)
    exploding, line = schedule.with_tv("ve").coefficients(t), schedule.with_tv("ot").coefficients(t)
    torch.testing.assert_close(exploding.a, one)
    torch.testing.assert_close(line.a + line.b, one)
    torch.testing.assert_close(schedule.with_tv("const").coefficients(t).tau, one)
    assert torch.equal(exploding.lam, schedule.lam(t))


@every_name
@few
@given(data=st.data(), n=st.integers(1, 40))
def test_scalar_and_vector_times_are_bit_equal(name: str, data: st.DataObject, n: int) -> None:
    schedule = data.draw(of_kind(name)).with_tv(data.draw(st.sampled_from(VARIANCES)))
    t = times(schedule)[data.draw(st.integers(0, 32))]
    scalar, vector = schedule.coefficients(t), schedule.coefficients(t.repeat(n))
    for field in ("lam", "log_tau", "a", "b", "da", "db", "g2"):
        assert torch.equal(getattr(vector, field), getattr(scalar, field).expand(n)), field


@every_name
@few
@given(data=st.data())
def test_coefficients_of_single_precision_times(name: str, data: st.DataObject) -> None:
    """Computed in double whatever the time's type, so rounding them is all that is lost."""
    schedule = data.draw(of_kind(name)).with_tv(data.draw(st.sampled_from(("const", "ot"))))
    t = times(schedule).float()
    c, exact = schedule.coefficients(t), schedule.coefficients(t.double())
    for low, high in ((c.a, exact.a), (c.b, exact.b)):
        assert low.dtype == torch.float64
        assert torch.equal(low, high)
        assert ((low.float().double() - high).abs() < 1e-6).all()


@every_name
@few
@given(data=st.data(), variance=st.sampled_from(VARIANCES))
def test_json_round_trip(name: str, data: st.DataObject, variance: str) -> None:
    schedule = data.draw(of_kind(name)).with_tv(variance)
    stored = json.dumps(schedule_to_dict(schedule), allow_nan=False)
    assert schedule_from_dict(json.loads(stored)) == schedule


@every_name
def test_samplers_walk_every_schedule(name: str) -> None:
    schedule, mixture = SCHEDULES[name](), mol27()
    x = mixture.sample(20, torch.Generator().manual_seed(0))
    grid = TimeGrid.uniform(schedule, 50)
    with torch.inference_mode():
        exact = DDIM().solve(mixture.denoise, x, grid)
        for variance in VARIANCES:
            raw = Euler(schedule.with_tv(variance)).solve(mixture.denoise, x, grid)
            assert raw.isfinite().all()
            assert variance != "const" or (raw - exact).abs().mean() < 0.2


# ------------------------------------------------------------------- the published formulas

Amplitudes = tuple[mpmath.mpf, mpmath.mpf]


def decay(t: mpmath.mpf, low: float = 0.1, high: float = 20.0) -> mpmath.mpf:
    low, high = mpmath.mpf(low), mpmath.mpf(high)
    return low * t + (high - low) * t**2 / 2


def preserving(power: mpmath.mpf) -> Amplitudes:
    return mpmath.sqrt(power), mpmath.sqrt(1 - power)


def cosine(t: mpmath.mpf, nu: float = 1.0, s: float = 0.008) -> Amplitudes:
    f = [mpmath.cos((u**nu + s) / (1 + mpmath.mpf(s)) * mpmath.pi / 2) ** 2 for u in (t, 0)]
    return preserving(f[0] / f[1])


def issnr(t: mpmath.mpf, eta: float = 1.0, kappa: float = 0.0) -> Amplitudes:
    gamma = mpmath.exp(kappa) * (1 / t - 1) ** eta
    return preserving(gamma**2 / (1 + gamma**2))


def subvp(t: mpmath.mpf, *rates: float) -> Amplitudes:
    return mpmath.exp(-decay(t, *rates) / 2), 1 - mpmath.exp(-decay(t, *rates))


def smld(t: mpmath.mpf, low: float = 0.002, high: float = 30.0) -> Amplitudes:
    return mpmath.mpf(1), low * (mpmath.mpf(high) / low) ** t


def edm_ut(t: mpmath.mpf, low: float = 0.002, high: float = 30.0, rho: float = 7.0) -> Amplitudes:
    low, high = mpmath.mpf(low) ** (1 / mpmath.mpf(rho)), mpmath.mpf(high) ** (1 / mpmath.mpf(rho))
    return mpmath.mpf(1), (high + (1 - t) * (low - high)) ** rho


PUBLISHED: dict[str, Callable[..., Amplitudes]] = {
    "vp-linear": lambda t, *rates: preserving(mpmath.exp(-decay(t, *rates))),
    "cosine": cosine,
    "trig": lambda t: (mpmath.cos(mpmath.pi * t / 2), mpmath.sin(mpmath.pi * t / 2)),
    "polynomial": lambda t, s: preserving((1 - 2 * mpmath.mpf(s)) * (1 - t**2) ** 2 + s),
    "smld": smld,
    "edm": lambda t: (mpmath.mpf(1), t),
    "edm-ut": edm_ut,
    "otflow": lambda t: (1 - t, t),
    "sub-vp": subvp,
    "issnr": issnr,
    "exponential": lambda t, rate: preserving(mpmath.exp(-rate * t)),
}
"""``(a, b)`` of time and the schedule's parameters, in fifty digits."""


@pytest.mark.parametrize("name", PUBLISHED)
@settings(max_examples=6)
@given(data=st.data())
def test_amplitudes_are_the_published_ones(name: str, data: st.DataObject) -> None:
    """To twelve digits over the whole range, so nothing cancels near the ends."""
    schedule = data.draw(of_kind(name))
    numbers = [getattr(schedule, field.name) for field in fields(schedule)][:-2]
    t = times(schedule, 12)
    c = schedule.coefficients(t)
    with mpmath.workdps(50):
        pairs = [PUBLISHED[name](mpmath.mpf(time), *numbers) for time in t.tolist()]
        lam = [float(mpmath.log(a / b)) for a, b in pairs]
        a, b = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    close = {"rtol": 1e-11, "atol": 1e-15}
    torch.testing.assert_close(c.lam, t.new_tensor(lam), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(c.a, t.new_tensor(a), **close)
    torch.testing.assert_close(c.b, t.new_tensor(b), **close)


def test_trig_turns_at_a_constant_rate() -> None:
    c = Trig().coefficients(times(Trig()))
    torch.testing.assert_close(-c.dlam * c.a * c.b, torch.full_like(c.lam, math.pi / 2))


@given(st.floats(0.01, 0.99))
def test_issnr_is_in_the_papers_units(t: float) -> None:
    gamma = math.exp(2) * (1 / t - 1) ** 1.5
    level = ISSNR(1.5, 2).lam(torch.tensor(t, dtype=torch.float64))
    assert math.isclose(float(level), math.log(gamma), rel_tol=1e-9, abs_tol=1e-9)


def test_names_and_defaults_that_stored_models_use() -> None:
    assert schedule_to_dict(ISSNR()) == {
        "name": "issnr", "eta": 1.0, "kappa": 0.0, "t_min": 0.01, "t_max": 0.99,
    }  # fmt: skip
    assert schedule_to_dict(OTFlow()) == {"name": "otflow", "t_min": 1e-4, "t_max": 0.995}
    assert schedule_to_dict(Cosine().with_tv("ve")) == {
        "name": "cosine", "nu": 1.0, "s": 0.008, "t_min": 1e-4, "t_max": 0.999, "tv": "ve",
    }  # fmt: skip
    assert schedule_to_dict(SCHEDULES["polynomial"]()) == {
        "name": "polynomial", "s": 1e-5, "t_min": 1e-5, "t_max": 1 - 1e-5,
    }  # fmt: skip


# ------------------------------------------------------------------------------- amplitudes


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


@given(schedules)
def test_native_restores_the_schedules_own_variance(schedule: Schedule) -> None:
    native = schedule.with_tv("native")
    assert type(native) in SCHEDULES.values()
    assert native.with_tv("ve").with_tv("native") == native
    with pytest.raises(UsageError, match='unknown total variance "vp"'):
        schedule.with_tv("vp")


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("stored", "hint"),
    [
        ({"name": "isnr"}, "Did you mean .issnr"),
        ({}, "Known: cosine"),
        ({"name": "otflow", "eta": 2}, "does not accept"),
        ({"name": "issnr", "eta": "steep"}, "does not accept"),
        ({"name": "issnr", "kappa": "low"}, "does not accept"),
        ({"name": "issnr", "eta": -1}, "eta above 0"),
        ({"name": "issnr", "kappa": math.nan}, "Give finite numbers"),
        ({"name": "issnr", "t_min": 0.9, "t_max": 0.1}, "t_min smaller"),
        ({"name": "issnr", "t_min": -0.1}, "a time range on which it falls"),
        ({"name": "otflow", "t_max": 1.5}, "a time range on which it falls"),
        ({"name": "edm", "t_min": -1.0}, "a time range on which it falls"),
        ({"name": "trig", "t_max": 1.5}, "a time range on which it falls"),
        ({"name": "cosine", "tv": "vp"}, "Known: const"),
        ({"name": "cosine", "nu": 0}, "Use values > 0"),
        ({"name": "polynomial", "s": 0.5}, "Use 0 < s < 0.5"),
        ({"name": "smld", "sigma_min": 0}, "Give sigma_min above 0"),
        ({"name": "smld", "sigma_max": 0.001}, "Make sigma_min below sigma_max"),
        ({"name": "edm-ut", "sigma_min": 40}, "Make sigma_min below sigma_max"),
        ({"name": "edm-ut", "rho": -7}, "Give rho above 0"),
        ({"name": "vp-linear", "beta_min": -0.1}, "Give beta_min above 0"),
        ({"name": "sub-vp", "beta_max": 0.05}, "Make beta_max the larger one"),
        ({"name": "exponential", "rate": 0}, "Give rate above 0"),
    ],
)
def test_bad_schedules_say_what_to_do(stored: dict[str, float | str], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        schedule_from_dict(stored)


# ------------------------------------------------------------------------ adding a schedule


def test_every_name_builds_its_default() -> None:
    for name, kind in SCHEDULES.items():
        assert schedule_from_dict({"name": name}) == kind()


def test_a_schedule_outside_the_table_cannot_be_stored() -> None:
    @dataclass(frozen=True)
    class Unnamed(Trig):
        """Inherits a name that belongs to another class."""

    with pytest.raises(UsageError, match="has no name"):
        schedule_to_dict(Unnamed())

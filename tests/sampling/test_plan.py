"""Which solver walks which grid."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.config import Config
from molgen.errors import UsageError
from molgen.flow.grid import GRIDS, TimeGrid
from molgen.flow.logit_bias import LogitBias
from molgen.flow.plan import NAMED_GRIDS, Plan
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedules import ISSNR, SCHEDULES, SMLD
from molgen.flow.solvers import SOLVERS, Ancestral, DPMpp2M, Euler, UniPC2, solver_named
from molgen.models.info import ErrorCurve, ModelInfo, SamplingPreset
from molgen.sampling.plan import FIRST_LADDER, default_plan, make_plan, stretch

UNTUNED = ModelInfo("untuned", Config(), (0, 0, 1))
TUNED = replace(
    UNTUNED,
    presets={
        1: SamplingPreset("ddim", (20.0,)),
        4: SamplingPreset("unipc2", (15.0, 2.0, 0.6, 0.1)),
        50: SamplingPreset("dpm++2m", tuple(20 * 0.9**index for index in range(50))),
    },
)
SCALE = Config().model.pos_scale
# Unit normal data: the error is 1 / (1 + gamma^2), and most is decided around lam = 0.
LEVELS = tuple(index / 4 for index in range(-14, 15))
MEASURED = replace(
    TUNED, mmse=ErrorCurve(LEVELS, tuple(1 / (1 + math.exp(2 * lam)) for lam in LEVELS))
)
ENTROPIES = sorted(set(GRIDS) - set(NAMED_GRIDS))

any_ladder = st.builds(
    SamplingPreset,
    st.just("ddim"),
    st.lists(st.floats(0.01, 50), min_size=2, max_size=12, unique_by=lambda x: round(x, 3)).map(
        lambda levels: tuple(sorted(levels, reverse=True))
    ),
)


def sigma_of(plan: Plan) -> list[float]:
    """Levels of the network calls in Å."""
    return [math.exp(-lam) * SCALE for lam in plan.grid.lam[:-1]]


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_a_measured_ladder_is_used_as_it_is(steps: int) -> None:
    plan, preset = default_plan(TUNED, steps), TUNED.presets[steps]
    assert plan.solver == solver_named(preset.solver)
    assert sigma_of(plan) == pytest.approx(preset.sigma)
    assert plan.grid.lam[-1] == math.inf
    assert (plan.nfe, plan.origin) == (steps, "fitted")


def test_other_step_counts_stretch_the_nearest_ladder() -> None:
    # In ratio: 2 is as near to 1 as to 4, and the first wins; 3 and 14 are nearer to 4.
    for steps, nearest in [(3, 4), (5, 4), (14, 4), (15, 50), (200, 50)]:
        preset = TUNED.presets[nearest]
        plan = default_plan(TUNED, steps)
        levels = sigma_of(plan)
        assert plan.solver == solver_named(preset.solver)
        assert (levels[0], levels[-1]) == pytest.approx((preset.sigma[0], preset.sigma[-1]))
        assert plan.nfe == len(levels) == steps


def test_a_plan_measured_at_one_count_is_not_stretched_to_others() -> None:
    own = Plan(Euler(ISSNR(0.8, 0.75)), TimeGrid.uniform(ISSNR(0.8, 0.75), 10), "fitted")
    sigma = tuple(sigma_of(own))
    presets = {**TUNED.presets, 10: SamplingPreset("unipc2", sigma, plan=own.to_dict())}
    info = replace(TUNED, presets=presets)
    assert default_plan(info, 10) == own
    for steps in (9, 11, 12):
        assert default_plan(info, steps) == default_plan(TUNED, steps)


def test_total_variances_of_a_ladder_belong_to_its_calls() -> None:
    presets = {4: SamplingPreset("ddim", (20.0, 2.0, 0.7, 0.25), input_scale=(1.0, 1.2, 1.1, 1.0))}
    info = replace(UNTUNED, presets=presets)
    assert default_plan(info, 4).input_scale == (1.0, 1.2, 1.1, 1.0)
    assert make_plan(info, 4, PlanOptions(shift=1.1)).input_scale is None
    assert default_plan(TUNED, 4).input_scale is None


def test_what_leans_is_kept_where_a_ladder_is_stretched() -> None:
    logit_bias = LogitBias.of({"element": (0.0, 0.0, -1.0, 0.5, 0.0)})
    preset = SamplingPreset("ddim", (20.0, 2.0, 0.7, 0.25), logit_bias=logit_bias)
    info = replace(UNTUNED, presets={4: preset})
    for steps in (4, 3, 9):
        assert default_plan(info, steps).logit_bias == logit_bias
    assert make_plan(info, 4, PlanOptions(shift=1.1)).logit_bias == LogitBias()


def test_total_variances_are_stretched_with_their_levels() -> None:
    preset = SamplingPreset("ddim", (20.0, 2.0, 0.7, 0.25), input_scale=(1.0, 1.2, 1.1, 1.0))
    assert stretch(preset, 7).input_scale == pytest.approx((1.0, 1.1, 1.2, 1.15, 1.1, 1.05, 1.0))
    assert stretch(preset, 1).input_scale == (1.0,)
    assert stretch(
        SamplingPreset("ddim", (20.0,), input_scale=(1.2,)), 3
    ).input_scale == pytest.approx((1.2, 1.1, 1.0))
    assert stretch(SamplingPreset("ddim", (20.0, 0.5)), 3).input_scale is None


def test_an_untuned_model_has_a_plan_too() -> None:
    assert sigma_of(default_plan(UNTUNED, 8)) == pytest.approx(FIRST_LADDER.sigma)
    assert sigma_of(default_plan(UNTUNED, 1)) == pytest.approx(FIRST_LADDER.sigma[:1])


@given(any_ladder, st.integers(1, 50))
def test_stretching_keeps_order_and_ends(preset: SamplingPreset, steps: int) -> None:
    levels = stretch(preset, steps).sigma
    assert len(levels) == steps
    assert all(high > low for high, low in pairwise(levels))
    assert levels[0] == pytest.approx(preset.sigma[0])
    if steps > 1:
        assert levels[-1] == pytest.approx(preset.sigma[-1])


@given(any_ladder)
def test_stretching_to_its_own_length_changes_nothing(preset: SamplingPreset) -> None:
    assert stretch(preset, len(preset.sigma)).sigma == pytest.approx(preset.sigma)


@given(st.integers(2, 50))
def test_a_single_level_stretches_down_to_low_noise(steps: int) -> None:
    levels = stretch(SamplingPreset("ddim", (20.0,)), steps).sigma
    assert (levels[0], levels[-1]) == pytest.approx((20.0, 0.05))
    assert all(high > low for high, low in pairwise(levels))


@given(st.integers(1, 50), st.sampled_from([UNTUNED, TUNED]))
def test_any_step_count_has_a_default_plan(steps: int, info: ModelInfo) -> None:
    assert default_plan(info, steps).nfe == steps


def test_no_options_mean_the_default() -> None:
    assert make_plan(TUNED, 4, PlanOptions()) == default_plan(TUNED, 4)


def test_another_solver_walks_the_fitted_grid() -> None:
    plan = make_plan(TUNED, 4, PlanOptions(solver="dpm++2m"))
    assert (plan.solver, plan.origin) == (DPMpp2M(), "fitted")
    assert plan.grid == default_plan(TUNED, 4).grid


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_spaces_the_calls_in_its_time(name: str) -> None:
    plan = make_plan(TUNED, 6, PlanOptions(schedule=name))
    schedule = SCHEDULES[name]()
    assert plan.grid == TimeGrid.uniform(schedule, 6)
    assert (plan.origin, plan.solver) == (name, UniPC2())
    assert make_plan(TUNED, 6, PlanOptions(schedule=name, solver="euler")).solver == Euler(schedule)


def test_eta_and_kappa_mean_issnr() -> None:
    plan = make_plan(TUNED, 6, PlanOptions(eta=0.7, kappa=1.5))
    assert plan.grid == TimeGrid.uniform(ISSNR(eta=0.7, kappa=1.5), 6)
    assert plan.origin == "issnr"
    assert make_plan(TUNED, 6, PlanOptions(kappa=1.5)).grid == TimeGrid.uniform(ISSNR(kappa=1.5), 6)
    both = make_plan(TUNED, 5, PlanOptions(schedule="issnr", eta=2, solver="heun"))
    assert both.grid == TimeGrid.uniform(ISSNR(eta=2), 3)


@pytest.mark.parametrize(("steps", "n_steps"), [(1, 1), (3, 2), (9, 5), (49, 25)])
def test_heun_counts_network_calls(steps: int, n_steps: int) -> None:
    for options in (PlanOptions(solver="heun"), PlanOptions(solver="heun", schedule="cosine")):
        plan = make_plan(TUNED, steps, options)
        assert plan.grid.n_steps == n_steps
        assert plan.nfe == steps


@pytest.mark.parametrize(
    ("solver", "steps", "instead"),
    [("heun", 2, 1), ("heun", 4, 3), ("heun", 50, 49), ("rk45", 6, 1), ("rk45", 20, 19)],
)
def test_some_numbers_of_calls_cannot_be_made(solver: str, steps: int, instead: int) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(TUNED, steps, PlanOptions(solver=solver))
    text = f"{solver} cannot make exactly {steps} network calls. Use --steps {instead}"
    assert str(caught.value) == text


@pytest.mark.parametrize("solver", ["euler", "heun", "rk45"])
@pytest.mark.parametrize("tv", ["const", "ve", "ot", "native"])
def test_raw_solvers_step_in_the_frame_asked_for(solver: str, tv: str) -> None:
    plan = make_plan(TUNED, 7, PlanOptions(schedule="smld", solver=solver, tv=tv))
    assert plan.solver.schedule == SMLD().with_tv(tv)  # type: ignore[attr-defined]
    native = make_plan(TUNED, 7, PlanOptions(schedule="smld", solver=solver))
    assert plan.grid == native.grid


def test_noise_strength_reaches_the_stochastic_solver() -> None:
    assert make_plan(TUNED, 4, PlanOptions(solver="ancestral", rho=0.5)).solver == Ancestral(0.5)


@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize("name", sorted(set(NAMED_GRIDS) - {"uniform"}))
def test_a_named_grid_spans_the_default_levels(name: str, steps: int) -> None:
    plan, default = make_plan(TUNED, steps, PlanOptions(grid=name)), default_plan(TUNED, steps)
    assert plan.nfe == steps
    assert plan.grid.lam[0] == pytest.approx(default.grid.lam[0])
    assert plan.grid.lam[-1] == math.inf
    if steps > 1:
        assert plan.grid.lam[-2] == pytest.approx(default.grid.lam[-2])


@pytest.mark.parametrize("name", NAMED_GRIDS)
def test_a_named_grid_spans_a_schedule(name: str) -> None:
    plan = make_plan(TUNED, 6, PlanOptions(schedule="smld", grid=name))
    assert plan.origin == f"{name} of smld"
    assert plan.grid.lam[0] == pytest.approx(-math.log(30.0))
    assert plan.nfe == 6
    # The geometric schedule is linear in half log-SNR.
    same = plan.grid.lam[:-1] == pytest.approx(TimeGrid.uniform(SMLD(), 6).lam[:-1])
    assert same == (name in {"uniform", "log-snr"})


@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize("name", ENTROPIES)
def test_a_measured_model_has_entropy_grids(name: str, steps: int) -> None:
    plan, default = make_plan(MEASURED, steps, PlanOptions(grid=name)), default_plan(TUNED, steps)
    assert (plan.nfe, plan.origin) == (steps, name)
    assert plan.grid.lam[0] == pytest.approx(default.grid.lam[0])
    if steps > 1:
        assert plan.grid.lam[-2] == pytest.approx(default.grid.lam[-2])


def test_the_entropy_grid_follows_the_curve() -> None:
    """Entropy falls by half log(1 + gamma^2) per dimension, equally in every step."""
    lam = make_plan(MEASURED, 9, PlanOptions(grid="entropy")).grid.lam[:-1]
    falls = [0.5 * math.log1p(math.exp(2 * level)) for level in lam]
    steps = [high - low for low, high in pairwise(falls)]
    # The curve is interpolated between levels a quarter apart: measured 1.2 %.
    assert steps == pytest.approx([sum(steps) / 8] * 8, rel=0.03)


@pytest.mark.parametrize("name", ENTROPIES)
def test_an_entropy_grid_of_a_schedule_ends_where_the_curve_does(name: str) -> None:
    plan = make_plan(MEASURED, 6, PlanOptions(schedule="sub-vp", grid=name))
    assert plan.grid.lam[0] == pytest.approx(LEVELS[0])
    assert plan.grid.lam[-2] < LEVELS[-1]
    inside = make_plan(MEASURED, 6, PlanOptions(schedule="smld", grid=name))
    assert inside.grid.lam[0] == pytest.approx(-math.log(30.0))


@pytest.mark.parametrize("name", ENTROPIES)
def test_an_entropy_grid_needs_a_measurement(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(TUNED, 4, PlanOptions(grid=name))
    for word in (f"--grid {name}", "not measured for untuned", "python -m benchmarks error-curve"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.floats(0.2, 5), st.sampled_from([None, "log-snr", "karras"]))
def test_a_shift_multiplies_the_levels(factor: float, grid: str | None) -> None:
    for schedule in (None, "smld", "vp-linear"):
        plain = make_plan(TUNED, 5, PlanOptions(schedule, grid=grid, solver="unipc2"))
        shifted = make_plan(TUNED, 5, PlanOptions(schedule, "unipc2", grid=grid, shift=factor))
        assert sigma_of(shifted) == pytest.approx([factor * sigma for sigma in sigma_of(plain)])
        assert (shifted.origin, shifted.solver, shifted.nfe) == (plain.origin, plain.solver, 5)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_raw_solvers_step_in_the_shifted_frame(solver: str) -> None:
    options = PlanOptions("smld", solver, shift=2.0)
    assert make_plan(TUNED, 7, options).solver.schedule == SMLD().shift(math.log(2.0))  # type: ignore[attr-defined]


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_a_factor_is_above_zero(factor: float) -> None:
    with pytest.raises(UsageError, match="Give a factor above 0"):
        PlanOptions(shift=factor)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (PlanOptions(solver="ddim", tv="ve"), ["--tv has no effect on ddim", "euler"]),
        (PlanOptions(tv="ve"), ["--tv has no effect on unipc2"]),
        (PlanOptions(solver="euler", tv="vee"), ['unknown total variance "vee"', "const"]),
        (PlanOptions(solver="ddim", rho=0.5), ["--rho has no effect on ddim", "ancestral"]),
        (PlanOptions(grid="karas"), ['unknown grid "karas"', 'Did you mean "karras"?']),
        (PlanOptions(grid="uniform"), ["--schedule"]),
        (PlanOptions(solver="ddm"), ['unknown solver "ddm"', 'Did you mean "ddim"?']),
        (PlanOptions(schedule="cosin"), ['unknown schedule "cosin"', 'Did you mean "cosine"?']),
        (PlanOptions(schedule="cosine", eta=1), ["not cosine", "--schedule issnr"]),
        (PlanOptions(eta=-1), ["eta is -1", "above 0"]),
    ],
)
def test_options_that_make_no_plan(options: PlanOptions, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(TUNED, 4, options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("schedule", [None, *SCHEDULES])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 7, 49])
def test_every_solver_walks_every_grid(solver: str, schedule: str | None, steps: int) -> None:
    """With the model's lead of the elements, and in exactly the calls asked for."""
    plan = make_plan(TUNED, steps, PlanOptions(schedule=schedule, solver=solver))
    calls = []

    def denoise(x: object, lam: torch.Tensor) -> dict[str, torch.Tensor]:
        assert isinstance(x, dict)
        calls.append(float(lam))
        return {name: 0.5 * value for name, value in x.items()}

    start = {"pos": torch.randn(1, 4, 3), "element": torch.randn(1, 4, 5)}
    end = plan.solver.solve(
        denoise,
        start,
        plan.grid,
        offsets={"pos": 0.0, "element": 1.0},
        noise=lambda _: {name: torch.zeros_like(value) for name, value in start.items()},
    )
    assert isinstance(end, dict)
    assert all(bool(value.isfinite().all()) for value in end.values())
    assert len(calls) == plan.nfe == steps

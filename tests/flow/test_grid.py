"""Time grids: what each constructor promises, and what is refused."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow import ISSNR, OTFlow, Schedule, TimeGrid, solver_named
from molgen.flow.extra.clocks import pyramid
from molgen.flow.grid import GRIDS, GridOptions, grid_named
from molgen.flow.mmse import MMSECurve

from .mixtures import toy2
from .schedules_under_test import schedules


@given(schedules, st.integers(1, 60), st.booleans())
def test_uniform_grid_takes_the_schedules_levels(
    schedule: Schedule, n_steps: int, to_data: bool
) -> None:
    grid = TimeGrid.uniform(schedule, n_steps, to_data=to_data)
    assert grid.n_steps == n_steps
    assert grid.lam[0] == float(schedule.lam(torch.tensor(schedule.t_max, dtype=torch.float64)))
    assert math.isinf(grid.lam[-1]) == to_data


@given(schedules, st.integers(1, 20))
def test_total_variance_does_not_change_the_grid(schedule: Schedule, n_steps: int) -> None:
    assert TimeGrid.uniform(schedule.with_tv("ve"), n_steps) == TimeGrid.uniform(schedule, n_steps)


def test_karras_levels_are_the_published_ones() -> None:
    grid = TimeGrid.karras(0.002, 80.0, 7.0, 4, to_data=False)
    root = [80 ** (1 / 7) + i / 4 * (0.002 ** (1 / 7) - 80 ** (1 / 7)) for i in range(5)]
    assert grid.lam == pytest.approx([-7 * math.log(r) for r in root])


def test_karras_tends_to_log_snr() -> None:
    straight = TimeGrid.log_snr(0.01, 20.0, 8)
    assert TimeGrid.karras(0.01, 20.0, 1e7, 8).lam == pytest.approx(straight.lam, abs=1e-5)
    assert TimeGrid.karras(0.01, 20.0, math.inf, 8) == straight


@given(st.lists(st.floats(1e-3, 100), min_size=1, max_size=12, unique=True))
def test_grid_from_noise_levels_evaluates_there_and_ends_clean(sigmas: list[float]) -> None:
    sigmas = sorted(sigmas, reverse=True)
    levels = [-math.log(sigma) for sigma in sigmas]
    if len(set(levels)) < len(levels):
        return
    grid = TimeGrid.from_sigma(sigmas)
    assert grid.lam == (*levels, math.inf)
    assert grid.n_steps == len(sigmas)


@given(schedules, st.integers(1, 20), st.booleans())
def test_json_round_trip(schedule: Schedule, n_steps: int, to_data: bool) -> None:
    grid = TimeGrid.uniform(schedule, n_steps, to_data=to_data)
    stored = json.dumps(grid.to_dict(), allow_nan=False)
    assert TimeGrid.from_dict(json.loads(stored)) == grid


def test_json_round_trip_from_pure_noise() -> None:
    grid = TimeGrid((-math.inf, 0.0, math.inf))
    assert TimeGrid.from_dict(json.loads(json.dumps(grid.to_dict(), allow_nan=False))) == grid


@pytest.mark.parametrize(
    "levels",
    [(1.0,), (), (1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.nan), (math.inf, math.inf)],
)
def test_impossible_levels_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        TimeGrid(levels)


@pytest.mark.parametrize("level", [math.inf, -math.inf, math.nan])
def test_only_the_ends_may_be_infinite(level: float) -> None:
    with pytest.raises(UsageError, match="Only the first may be -inf"):
        TimeGrid((0.0, level, 2.0))


def test_the_two_levels_that_do_not_increase_are_named() -> None:
    with pytest.raises(UsageError, match=r"levels 1 and 2 .* 0\.5, then 0\.25"):
        TimeGrid((0.0, 0.5, 0.25, 1.0))


@given(st.floats(0.3, 4), st.floats(-3, 3), st.integers(1, 30), st.booleans())
def test_logistic_grid_is_uniform_issnr(eta: float, kappa: float, n: int, to_data: bool) -> None:
    ends = [1 / (1 + math.exp((-math.log(sigma) - kappa) / eta)) for sigma in (0.01, 20.0)]
    schedule = ISSNR(eta=eta, kappa=kappa, t_min=ends[0], t_max=ends[1])
    uniform = TimeGrid.uniform(schedule, n, to_data=to_data)
    logistic = TimeGrid.logistic(0.01, 20.0, eta, kappa, n, to_data=to_data)
    # 1 - t loses digits at the noisy end of the schedule: 20^(1 / 0.3) times the rounding of t.
    assert logistic.lam == pytest.approx(uniform.lam, abs=1e-6)


def test_logistic_grid_keeps_its_digits_in_the_tails() -> None:
    lam = TimeGrid.logistic(1e-3, 1e3, 0.1, 0.0, 6, to_data=False).lam
    assert lam == pytest.approx([-level for level in lam[::-1]], abs=1e-9)
    assert lam[0] == pytest.approx(-math.log(1e3))


@given(st.integers(1, 30))
def test_angle_grid_has_equal_angles(n_steps: int) -> None:
    lam = TimeGrid.angle(0.01, 20.0, n_steps, to_data=False).lam
    theta = [math.atan(math.exp(-level)) for level in lam]
    steps = [high - low for high, low in itertools.pairwise(theta)]
    assert steps == pytest.approx([(math.atan(20) - math.atan(0.01)) / n_steps] * n_steps)


def gaussian_curve(n: int = 4001) -> MMSECurve:
    """Data of variance 1/4: mmse = v / (1 + gamma^2 v), entropy falls by log(1 + gamma^2 v) / 2."""
    lam = torch.linspace(-3, 5, n, dtype=torch.float64)
    return MMSECurve(tuple(lam.tolist()), tuple((0.25 / (1 + 0.25 * (2 * lam).exp())).tolist()))


def test_entropy_grid_lowers_a_gaussians_entropy_by_equal_amounts() -> None:
    lam = torch.tensor(TimeGrid.entropy(gaussian_curve(), 7, to_data=False).lam)
    entropy = -0.5 * torch.log1p(0.25 * (2 * lam).exp())
    assert torch.allclose(entropy.diff(), entropy.diff().mean().expand(7), rtol=1e-4)
    assert (lam[0], lam[-1]) == (-3, 5)


def test_root_entropy_grid_takes_equal_parts_of_gamma_root_mmse() -> None:
    grid = TimeGrid.entropy(gaussian_curve(), 5, power=0.5, to_data=False)
    # Its integrand, d gamma / sqrt(4 + gamma^2), has the integral asinh(gamma / 2).
    place = torch.asinh(torch.tensor(grid.lam).exp() / 2)
    assert torch.allclose(place.diff(), place.diff().mean().expand(5), rtol=1e-4)


def test_the_curves_entropy_is_the_closed_form() -> None:
    curve = gaussian_curve()
    lam = torch.tensor(curve.lam)
    entropy = -0.5 * torch.log1p(0.25 * (2 * lam).exp())
    assert torch.tensor(curve.entropy()).tolist() == pytest.approx(
        (entropy - entropy[-1]).tolist(), abs=1e-5
    )


def test_a_curve_is_cut_to_a_range_it_covers() -> None:
    cut = gaussian_curve().clip(0.1, 10.0)
    assert (cut.lam[0], cut.lam[-1]) == pytest.approx((-math.log(10), math.log(10)))
    with pytest.raises(UsageError, match=r"measured for sigma 0.00674 to 20.1"):
        gaussian_curve().clip(1e-3, 10.0)


@pytest.mark.parametrize(
    ("lam", "mmse"),
    [((0.0,), (1.0,)), ((0.0, 1.0), (1.0,)), ((1.0, 0.0), (1.0, 1.0)), ((0.0, 1.0), (1.0, -1.0))],
)
def test_impossible_curves_are_refused(lam: tuple[float, ...], mmse: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        MMSECurve(lam, mmse)


@pytest.mark.parametrize("name", GRIDS)
def test_every_named_grid_spans_the_range_asked_for(name: str) -> None:
    options = GridOptions(6, 0.01, 10.0, curve=gaussian_curve(), to_data=False)
    grid = grid_named(name, options)
    assert grid.n_steps == 6
    if name != "uniform":  # follows its schedule's range
        ends = (grid.lam[0], grid.lam[-1])
        assert ends == pytest.approx((-math.log(10), math.log(100)), abs=1e-9)
    assert grid_named(name, replace(options, to_data=True)).lam == (*grid.lam[:-1], math.inf)


def test_grid_names_and_missing_curves_are_usage_errors() -> None:
    with pytest.raises(UsageError, match='Did you mean "karras"'):
        grid_named("kaaras", GridOptions(4))
    with pytest.raises(UsageError, match="Pass curve="):
        grid_named("entropy", GridOptions(4))


# Levels that differ by a rounding error have no place between them.
levels_apart = st.lists(st.floats(-4, 4), min_size=2, max_size=9, unique_by=lambda x: round(x, 6))
grids = levels_apart.flatmap(
    lambda levels: st.sampled_from(
        [
            tuple(sorted(levels)),
            (*sorted(levels), math.inf),
            (-math.inf, *sorted(levels)),
            (-math.inf, *sorted(levels), math.inf),
            (-math.inf, math.inf),
        ]
    )
)


@given(grids, st.floats(0, 1).map(lambda share: round(share, 4)))
def test_places_and_levels_are_inverse(levels: tuple[float, ...], share: float) -> None:
    grid = TimeGrid(levels)
    place = torch.tensor(share * grid.n_steps, dtype=torch.float64)
    level = float(grid.levels_at(place))
    low, high = (grid.lam[min(int(place) + up, grid.n_steps)] for up in (0, 1))
    assert low <= level <= high
    assert float(
        grid.levels_at(torch.tensor(grid.place_of(level), dtype=torch.float64))
    ) == pytest.approx(level)
    assert grid.levels_at(torch.arange(len(levels))).tolist() == list(levels)
    assert [grid.place_of(known) for known in levels] == list(range(len(levels)))


def test_places_outside_the_grid_are_its_ends() -> None:
    grid = TimeGrid((-1.0, 2.0))
    assert grid.levels_at(torch.tensor([-3.0, 9.0])).tolist() == [-1.0, 2.0]
    assert (grid.place_of(-5.0), grid.place_of(5.0)) == (0, 1)


@given(grids, st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 3))
def test_pyramid_rises_along_steps_and_falls_along_the_order(
    levels: tuple[float, ...], ranks: list[int], lag: int
) -> None:
    grid = TimeGrid(levels)
    main, clock = pyramid(grid, torch.tensor([sorted(ranks)]), lag)
    assert main.n_steps == grid.n_steps + lag * max(ranks)
    matrix = torch.stack([clock(level)[0] for level in main.lam])
    assert (matrix[1:] >= matrix[:-1]).all()
    assert (matrix[:, 1:] <= matrix[:, :-1]).all()
    assert (matrix[0] == grid.lam[0]).all()
    assert (matrix[-1] == grid.lam[-1]).all()
    for row, rank in enumerate(sorted(ranks)):
        walked = matrix[lag * rank : lag * rank + len(levels), row]
        assert walked.tolist() == list(levels)


@given(grids, st.floats(-5, 5))
def test_pyramid_without_lag_is_the_plain_grid(levels: tuple[float, ...], lam: float) -> None:
    grid = TimeGrid(levels)
    main, clock = pyramid(grid, torch.tensor([0, 1, 3]), 0)
    assert main == grid
    inside = min(max(lam, grid.lam[0]), grid.lam[-1])
    assert clock(inside).tolist() == pytest.approx([inside] * 3, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["ddim", "dpm++2m", "unipc2"])
def test_solvers_walk_a_pyramid_to_clean_rows(name: str) -> None:
    target = torch.arange(12, dtype=torch.float64).reshape(1, 4, 3)
    main, clock = pyramid(TimeGrid.log_snr(0.1, 10.0, 3), torch.tensor([[0, 1, 2, 2]]), 2)
    x = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = []
    end = solver_named(name).solve(
        lambda *_: target, x, main, offsets={"": clock}, on_step=lambda _, state: rows.append(state)
    )
    assert torch.equal(end, target)
    clean_after = [next(i for i, x in enumerate(rows) if torch.equal(x[0, r], target[0, r]))
                   for r in range(4)]  # fmt: skip
    assert clean_after == [2, 4, 6, 6]


def test_bad_pyramids_are_usage_errors() -> None:
    grid = TimeGrid((0.0, 1.0))
    with pytest.raises(UsageError, match="negative"):
        pyramid(grid, torch.tensor([0, -1]), 1)
    with pytest.raises(UsageError, match="negative"):
        pyramid(grid, torch.tensor([0, 1]), -1)


@pytest.mark.parametrize("name", ["ddim", "dpm++2m", "unipc2"])
def test_sampling_may_start_from_pure_noise(name: str) -> None:
    mixture = toy2()
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    levels = TimeGrid.log_snr(0.01, 1e6, 20).lam
    solver = solver_named(name)
    near = solver.solve(mixture.denoise, x, TimeGrid(levels))
    from_noise = solver.solve(mixture.denoise, x, TimeGrid((-math.inf, *levels[1:])))
    assert from_noise.isfinite().all()
    assert torch.allclose(near, from_noise, atol=1e-4)


def test_bad_requests_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="1 step or more"):
        TimeGrid.uniform(OTFlow(), 0)
    with pytest.raises(UsageError, match="sigmas above 0"):
        TimeGrid.from_sigma([1.0, 0.0])
    with pytest.raises(UsageError, match="large to small"):
        TimeGrid.from_sigma([1.0, 2.0])
    with pytest.raises(UsageError, match="rho above 0"):
        TimeGrid.karras(0.01, 20.0, 0.0, 4)
    with pytest.raises(UsageError, match="needs 'lam'"):
        TimeGrid.from_dict({"levels": [1, 2]})

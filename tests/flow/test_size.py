"""Levels by size: the shift's laws, and a calibration that finds a planted one."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import DDIM, Gaussian, OTFlow, TimeGrid
from molgen.flow.extra.size import LevelCalibration, calibrate_levels, size_lead, size_shift

from .mixtures import Mixture, mol27

dims = st.floats(1, 500)
levels = st.floats(-5, 5)
TABLE = LevelCalibration((10, 20), (-1.0, 1.0), ((0.2, 0.4), (0.0, -0.4)))


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


# ------------------------------------------------------------------------------------- the shift


@given(st.floats(0.001, 0.999), dims, dims)
def test_the_shift_is_the_published_one_on_straight_paths(t: float, d: float, d_ref: float) -> None:
    m = math.sqrt(d / d_ref)
    flow = OTFlow(t_min=0.0, t_max=1.0)
    shifted = flow.t_of_lam(size_shift(flow.lam(scalar(t)), scalar(d), d_ref))
    assert float(shifted) == pytest.approx(m * t / (1 + (m - 1) * t), rel=1e-9)


@given(levels, dims, dims, dims)
def test_shifts_compose_and_invert(lam: float, first: float, second: float, third: float) -> None:
    there = size_shift(size_shift(scalar(lam), scalar(second), first), scalar(third), second)
    assert float(there) == pytest.approx(float(size_shift(scalar(lam), scalar(third), first)))
    back = size_shift(there, scalar(first), third)
    assert float(back) == pytest.approx(lam, abs=1e-9)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=6), st.integers(2, 60))
def test_leads_count_degrees_of_freedom(sizes: list[int], n_ref: int) -> None:
    lead = size_lead(torch.tensor(sizes), n_ref)
    expected = [-0.5 * math.log((3 * n - 3) / (3 * n_ref - 3)) for n in sizes]
    assert lead.dtype == torch.float64
    assert lead.tolist() == pytest.approx(expected, abs=1e-12)


def test_single_atoms_are_clean_and_solvers_take_leads() -> None:
    lead = size_lead(torch.tensor([1, 5, 9]), 5)
    assert lead[0] == math.inf
    assert lead[1] == 0.0
    x = torch.randn(3, 9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = TimeGrid.uniform(OTFlow(), 3, to_data=False)
    end = DDIM().solve(lambda state, _: torch.zeros_like(state), x, grid, offsets={"": lead})  # type: ignore[type-var]
    assert isinstance(end, Tensor)
    assert torch.equal(end[0], x[0])


# ------------------------------------------------------------------------------------- calibration


def test_a_planted_shift_is_found() -> None:
    """Each size reads its levels off by a constant; the mixture itself would read them right."""
    planted, lam = {9: 0.3, 18: -0.2, 27: 0.0}, (-1.0, 0.0, 1.0, 2.0)
    whole = mol27(n_modes=6)
    parts = {d: Mixture(whole.means[:, -d:], whole.deviations[-d:]) for d in planted}
    generator = torch.Generator().manual_seed(0)
    data = {d: part.sample(4000, generator) for d, part in parts.items()}
    noise = {d: torch.randn(x.shape, generator=generator, dtype=x.dtype) for d, x in data.items()}

    def denoise_at(x: Tensor, told: Tensor) -> Tensor:
        return parts[x.shape[1]].denoise(x, told[0] + planted[x.shape[1]])

    found = calibrate_levels(denoise_at, data, noise, lam)
    for size, row in zip(found.sizes, found.delta, strict=True):
        for delta in row:
            assert abs(delta + planted[size]) < 0.05


def test_the_error_never_rises() -> None:
    mixture, lam = mol27(), (-3.0, 0.0, 3.0)
    generator = torch.Generator().manual_seed(0)
    x0 = mixture.sample(300, generator)
    eps = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)

    def denoise_at(x: Tensor, told: Tensor) -> Tensor:
        return 0.9 * mixture.denoise(x, told[0] + 0.4)

    found = calibrate_levels(denoise_at, {27: x0}, {27: eps}, lam)
    for level in lam:
        x = Gaussian().corrupt(x0, eps, scalar(level))
        before, after = (
            (denoise_at(x, told) - x0).square().mean()
            for told in (scalar(level)[None], found.told(level, [27]))
        )
        assert after <= before


@given(st.floats(-3, 3), st.integers(1, 40))
def test_corrections_are_interpolated_and_held_beyond_the_table(lam: float, size: int) -> None:
    where = min(max((lam + 1) / 2, 0.0), 1.0)
    share = min(max((size - 10) / 10, 0.0), 1.0)
    rows = [0.2 + 0.2 * where, -0.4 * where]
    expected = lam + (1 - share) * rows[0] + share * rows[1]
    assert float(TABLE.told(lam, [size])) == pytest.approx(expected, abs=1e-12)


def test_a_wrapped_denoiser_is_told_the_calibrated_levels() -> None:
    heard = []

    def denoise(x: Tensor, lam: Tensor) -> Tensor:
        heard.append(lam)
        return x

    x = torch.zeros(2, 20, 3)
    assert TABLE.wrap(denoise, [10, 20])(x, scalar(1.0)) is x  # type: ignore[arg-type]
    assert heard[0].tolist() == pytest.approx([1.4, 0.6])


def test_a_calibration_survives_json() -> None:
    assert LevelCalibration.from_dict(json.loads(json.dumps(TABLE.to_dict()))) == TABLE


def test_bad_tables_are_refused() -> None:
    for bad in (
        lambda: LevelCalibration((10,), (0.0, 1.0), ((0.1,),)),
        lambda: LevelCalibration((20, 10), (0.0,), ((0.1,), (0.2,))),
        lambda: LevelCalibration((), (), ()),
        lambda: size_lead(torch.tensor([5]), 1),
    ):
        with pytest.raises(UsageError):
            bad()

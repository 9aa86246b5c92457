"""Interpolation in noise space: ends, norms, centring, matching of atoms, quality of midpoints."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import DDIM, AtomOT, Gaussian, TimeGrid
from molgen.flow.edit import ddim_invert
from molgen.flow.interpolation import Route, interpolate, matched, slerp
from molgen.flow.state import tree_map

from .mixtures import mol27

MOL27 = mol27()
GRID = TimeGrid.log_snr(0.02, 20.0, 24, to_data=False)
CENTRED = Gaussian(zero_com=True)
weights = st.floats(0.01, 0.99)
MASK = torch.arange(9) < torch.tensor([[9], [6], [4]])


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# ------------------------------------------------------------------------------- the great circle


@given(weights, st.integers(0, 99))
def test_the_great_circle_keeps_norms_and_divides_angles(weight: float, seed: int) -> None:
    p, q = (x / x.norm(dim=1, keepdim=True) for x in normal(seed, 2, 4, 7))
    between = slerp(p, q, weight)
    torch.testing.assert_close(between.norm(dim=1), torch.ones(4).double())
    whole, part = (torch.acos((p * x).sum(1)) for x in (q, between))
    torch.testing.assert_close(part, weight * whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slerp(q, p, 1 - weight), between)


@given(weights, st.floats(-12, -3))
def test_small_angles_are_straight_lines(weight: float, exponent: float) -> None:
    p, step = normal(0, 2, 4, 7)
    q = p + 10**exponent * step
    straight = (1 - weight) * p + weight * q
    torch.testing.assert_close(
        slerp(p, q, weight), straight, rtol=0, atol=10 ** (2 * exponent) + 1e-14
    )


@given(weights, st.floats(0.3, 3), st.sampled_from([0.0, 0.3, 0.9]), st.integers(0, 99))
def test_norms_between_the_ends_stay_in_the_band_of_noise(
    weight: float, scale: float, fresh: float, seed: int
) -> None:
    route = Route(CENTRED, fresh=fresh)
    first, second, noise = normal(seed, 3, 3, 9, 3)
    first, second = (CENTRED.project(scale * x, MASK) for x in (first, second))
    between = route.between(first, second, weight, MASK, noise)
    low, high = route.band(between, MASK)
    norm = between.flatten(1).norm(dim=1)
    assert ((norm >= low - 1e-9) & (norm <= high + 1e-9)).all()
    torch.testing.assert_close(CENTRED.project(between, MASK), between, rtol=1e-9, atol=1e-9)
    assert torch.equal(route.between(first, second, 0.0, MASK), first)
    assert torch.equal(route.between(first, second, 1.0, MASK), second)


def test_the_band_holds_its_share_of_the_noise() -> None:
    """40 000 draws: standard error 0.0005."""
    mask = (torch.arange(9) < 6).expand(40_000, 9)
    noise = CENTRED.project(normal(3, 40_000, 9, 3), mask)
    low, high = Route(CENTRED).band(noise, mask)
    norm = noise.flatten(1).norm(dim=1)
    share = float(((norm >= low) & (norm <= high)).double().mean())
    assert share == pytest.approx(0.99, abs=0.002)


# ------------------------------------------------------------------------------------- matching


@given(st.integers(0, 99))
def test_a_relabelled_copy_is_matched_to_the_original(seed: int) -> None:
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    pos, element = CENTRED.project(normal(seed, 3, 9, 3)), normal(seed + 1, 3, 9, 5)
    first = {"pos": pos, "element": element}
    second = {"pos": pos[:, order], "element": element[:, order]}
    found = matched(first, second, AtomOT(rotate=False))
    assert isinstance(found, dict)
    for name, leaf in first.items():
        assert torch.equal(found[name], leaf)
    alone = matched(pos, pos[:, order], AtomOT(rotate=False))
    assert isinstance(alone, Tensor)
    assert torch.equal(alone, pos)


# ------------------------------------------------------------------------------------- samples


def pairs(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return MOL27.sample(n, generator), MOL27.sample(n, generator)


def dispersion(x: Tensor) -> float:
    """Mean squared distance from the nearest mode, 1 for samples of the mixture."""
    away = (x[:, None] - MOL27.means) / MOL27.deviations
    return float((away**2).sum(-1).amin(1).mean() / MOL27.dim)


def test_ends_reconstruct_and_midpoints_are_better_than_straight_ones() -> None:
    samples = pairs(60)
    stops = interpolate(MOL27.denoise, samples, (0.0, 0.5, 1.0), GRID, refinements=12)
    start, middle, end = (stop for stop in stops if isinstance(stop, Tensor))
    assert (start - samples[0]).abs().max() < 1e-4
    assert (end - samples[1]).abs().max() < 1e-4
    codes = [ddim_invert(MOL27.denoise, x, GRID, refinements=12).state for x in samples]
    straight = DDIM().solve(MOL27.denoise, tree_map(torch.lerp, *codes, torch.tensor(0.5)), GRID)
    assert isinstance(straight, Tensor)
    assert MOL27.stability(middle) > 0.95
    assert MOL27.stability(0.5 * (samples[0] + samples[1])) < 0.1
    # Noise that is too short stays near the modes: valid, and all alike.
    assert dispersion(straight) < 0.85 * dispersion(middle)


def test_molecules_stay_centred_and_padding_zero_all_the_way() -> None:
    first, second = (CENTRED.project(normal(seed, 3, 9, 3), MASK) for seed in (5, 6))
    codes = normal(7, 3, 9, 5) * MASK[..., None], normal(8, 3, 9, 5) * MASK[..., None]

    def denoise(x: object, lam: Tensor) -> dict[str, Tensor]:
        assert isinstance(x, dict)
        return {"pos": 0.5 * x["pos"], "element": 0.3 * x["element"]}

    stops = interpolate(
        denoise,
        ({"pos": first, "element": codes[0]}, {"pos": second, "element": codes[1]}),
        (0.0, 0.3, 1.0),
        GRID,
        routes={"pos": Route(CENTRED), "element": Route(fresh=0.5)},
        mask=MASK,
        noise=lambda index: {"pos": normal(index, 3, 9, 3), "element": normal(index, 3, 9, 5)},
        refinements=30,
    )
    for stop in stops:
        assert isinstance(stop, dict)
        torch.testing.assert_close(CENTRED.project(stop["pos"], MASK), stop["pos"])
        assert not stop["element"][~MASK].any()
    torch.testing.assert_close(stops[0]["pos"], first, rtol=1e-6, atol=1e-6)  # type: ignore[index]
    torch.testing.assert_close(stops[2]["element"], codes[1], rtol=1e-6, atol=1e-6)  # type: ignore[index]


def test_bad_requests_are_refused() -> None:
    first, second = pairs(2)
    for bad in (
        lambda: interpolate(MOL27.denoise, (first, second), (0.5, 1.5), GRID),
        lambda: interpolate(MOL27.denoise, (first, second), (math.nan,), GRID),
        lambda: Route(quantile=0.0),
        lambda: Route(fresh=1.0),
        lambda: Route(fresh=0.5).between(first, second, 0.5),
        lambda: matched({"pos": first}, second, AtomOT()),
    ):
        with pytest.raises(UsageError):
            bad()

from __future__ import annotations

import math
from functools import cache

import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.nn.embed import NoiseEmbedding, RadialBasis

LOW, HIGH = -4.0, 5.0
CUTOFF = 7.0

levels = st.floats(LOW, HIGH)
distances = st.floats(0, CUTOFF)


@cache
def embedding() -> NoiseEmbedding:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NoiseEmbedding(24, LOW, HIGH).double()


def embed(lam: float) -> torch.Tensor:
    with torch.no_grad():
        return embedding()(torch.tensor([lam], dtype=torch.float64))


@given(st.floats(0, 1e6))
def test_levels_beyond_training_are_clamped(beyond: float) -> None:
    assert torch.equal(embed(HIGH + beyond), embed(HIGH))
    assert torch.equal(embed(LOW - beyond), embed(LOW))


@given(levels, levels)
def test_levels_are_told_apart_and_neighbours_are_alike(one: float, other: float) -> None:
    gap = float((embed(one) - embed(other)).norm())
    if abs(one - other) > 0.1:
        assert gap > 0.01
    assert gap <= 20 * abs(one - other)


def test_the_extremes_of_a_sampler_are_finite() -> None:
    ends = torch.tensor([-math.inf, math.inf, 0.0])
    assert bool(embedding()(ends.double()).isfinite().all())


BASIS = RadialBasis(32, CUTOFF)


def basis(distance: float) -> torch.Tensor:
    return BASIS(torch.tensor(distance, dtype=torch.float64))


@given(distances)
def test_some_function_peaks_near_every_distance(distance: float) -> None:
    values = basis(distance)
    assert values.shape == (32,)
    assert float(values.min()) >= 0
    # Between two centres both functions are half a dims away.
    assert math.exp(-0.126) <= float(values.max()) <= 1


@given(distances, distances)
def test_distances_are_told_apart(one: float, other: float) -> None:
    # Features resolve differences of exp(-d / decay), here by at least a twentieth of a dims.
    apart = abs(math.exp(-one / 1.5) - math.exp(-other / 1.5)) * 31
    if apart > 0.05:
        assert float((basis(one) - basis(other)).norm()) > 0.03


def test_bond_lengths_are_resolved_more_finely_than_diameters() -> None:
    def moved(distance: float) -> float:
        return float((basis(distance + 0.02) - basis(distance)).norm())

    assert moved(1.0) > 0.15
    assert moved(1.0) > 5 * moved(5.0)

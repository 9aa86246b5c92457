"""Guidance of denoisers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.guidance import (
    clash_energy,
    classifier_free,
    energy_guided,
    posterior_variance,
)
from molgen.flow.process import center
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers import DPMpp2M
from molgen.flow.state import State

from .mixtures import Mixture

levels = st.floats(-4, 4)
GRID = TimeGrid.log_snr(0.01, 10.0, 24)


def level(lam: float) -> Tensor:
    return torch.tensor(lam, dtype=torch.float64)


class Counted:
    """A denoiser that counts its calls."""

    def __init__(self, factor: float) -> None:
        self.factor, self.calls = factor, 0

    def __call__(self, x: State, _: Tensor) -> State:
        self.calls += 1
        if isinstance(x, Tensor):
            return x * self.factor + 0.1
        return {name: value * self.factor + 0.1 for name, value in x.items()}


def states(seed: int = 0) -> list[State]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 5, 3, generator=generator)
    return [x, {"pos": x, "element": x[..., :2]}]


def assert_equal(one: State, other: State) -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
        return
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@given(levels)
def test_scale_one_is_the_conditional_denoiser(lam: float) -> None:
    for x in states():
        known, blind = Counted(0.7), Counted(0.2)
        guided = classifier_free(known, blind, 1.0, rescale=0.5)
        assert_equal(guided(x, level(lam)), Counted(0.7)(x, level(lam)))
        assert blind.calls == 0


@given(levels, st.floats(0, 5))
def test_outside_the_interval_only_the_conditional_denoiser_is_called(
    lam: float, scale: float
) -> None:
    for x in states():
        known, blind = Counted(0.7), Counted(0.2)
        result = classifier_free(known, blind, scale, interval=(-1.0, 1.0))(x, level(lam))
        if -1 <= lam <= 1:
            assert (known.calls, blind.calls) == (1, int(scale != 1))
        else:
            assert (known.calls, blind.calls) == (1, 0)
            assert_equal(result, Counted(0.7)(x, level(lam)))


@given(levels, st.floats(0, 5))
def test_guidance_extrapolates_clean_data_and_noise_alike(lam: float, scale: float) -> None:
    x = states()[0].double()
    known, blind = Counted(0.7)(x, level(lam)), Counted(0.2)(x, level(lam))
    guided = classifier_free(Counted(0.7), Counted(0.2), scale)(x, level(lam))
    torch.testing.assert_close(guided, blind + scale * (known - blind))
    a, b = unit_tv(level(lam))
    noises = [(x - a * clean) / b for clean in (known, blind, guided)]
    torch.testing.assert_close(noises[2], noises[1] + scale * (noises[0] - noises[1]))


def test_full_rescaling_restores_the_magnitude_and_none_leaves_it() -> None:
    x = states()[0]

    def norms(rescale: float) -> Tensor:
        guided = classifier_free(Counted(0.7), Counted(0.2), 4.0, rescale=rescale)
        return guided(x, level(0.0)).flatten(1).norm(dim=1)

    wanted = Counted(0.7)(x, level(0.0)).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms(1.0), wanted)
    torch.testing.assert_close(norms(0.5), (norms(0.0) + wanted) / 2)
    assert (norms(0.0) > 1.5 * wanted).all()


def two_classes() -> tuple[Mixture, Mixture]:
    """A mixture of two overlapping classes, and the class that is asked for."""
    means = torch.tensor([[-1.0, 0.5], [-0.4, -0.8], [0.4, 0.8], [1.0, -0.5]], dtype=torch.float64)
    deviations = torch.full((2,), 0.6, dtype=torch.float64)
    return Mixture(means, deviations), Mixture(means[2:], deviations)


def class_error(scale: float, n: int = 4000) -> float:
    """Mean probability, by the exact classifier, that a guided sample is of the other class."""
    everything, wanted = two_classes()
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    guided = classifier_free(wanted.denoise, everything.denoise, scale)
    x0 = DPMpp2M().solve(guided, x, GRID)
    log_density = -0.5 * (((x0[:, None] - everything.means) / everything.deviations) ** 2).sum(-1)
    return float(log_density.softmax(1)[:, :2].sum(1).mean())


def test_the_error_of_the_property_falls_with_the_scale() -> None:
    errors = [class_error(scale) for scale in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert all(high > low + 0.01 for high, low in pairwise(errors)), errors
    assert errors[0] == pytest.approx(0.5, abs=0.03)


def spheres() -> tuple[Tensor, Tensor]:
    """Two atoms that overlap, three far away, and one of padding."""
    pos = torch.tensor(
        [[0.0, 0, 0], [0.6, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5], [0, 0, 0]], dtype=torch.float64
    )
    mask = torch.tensor([True] * 5 + [False])
    return pos[None], mask[None]


def test_clash_energy_counts_overlaps_of_real_pairs_once() -> None:
    pos, mask = spheres()
    assert float(clash_energy(pos, mask, 0.5)) == pytest.approx(0.4**2)
    radii = torch.tensor([[0.5, 0.3, 0.5, 0.5, 0.5, 0.5]])
    assert float(clash_energy(pos, mask, radii)) == pytest.approx(0.2**2)
    assert float(clash_energy(pos, mask, 0.2)) == 0


@given(st.integers(0, 10_000))
def test_clash_energy_does_not_see_motions_and_labels(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pos = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    radii = torch.rand(2, 6, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[True] * 6, [True] * 6])
    order = torch.randperm(6, generator=generator)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    moved = clash_energy(pos[:, order] @ turn + 3, mask, radii[:, order])
    torch.testing.assert_close(moved, clash_energy(pos, mask, radii))


@pytest.mark.parametrize("clip", [math.inf, 0.05])
def test_guidance_lowers_the_clash_and_leaves_far_atoms_alone(clip: float) -> None:
    pos, mask = spheres()

    def energy(x0: State) -> Tensor:
        return clash_energy(x0, mask, 0.5)

    guided = energy_guided(lambda x, _: x, energy, 0.25, clip=clip)(pos, level(-3.0))
    assert float(energy(guided)) < 0.8 * float(energy(pos))
    assert torch.equal(guided[:, 2:], pos[:, 2:])
    torch.testing.assert_close(guided.sum(1), pos.sum(1))
    assert float((guided - pos).norm(dim=2).max()) <= clip + 1e-12


@given(st.integers(0, 10_000), levels, st.sampled_from([math.inf, 0.1]))
def test_guided_positions_stay_centred_and_turn_with_the_data(
    seed: int, lam: float, clip: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(6).expand(3, 6) < torch.tensor([[6], [4], [2]])
    pos = center(torch.randn(3, 6, 3, generator=generator, dtype=torch.float64), mask)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]

    def guided(x: Tensor) -> State:
        energy = lambda x0: clash_energy(x0, mask, 0.9)  # noqa: E731
        return energy_guided(lambda x, _: x, energy, 2.0, clip=clip)(x, level(lam))

    shifted = guided(pos)
    assert float(shifted.sum(1).abs().max()) < 1e-12
    assert not shifted[~mask].any()
    torch.testing.assert_close(guided(pos @ turn), shifted @ turn)


def test_modalities_that_the_energy_does_not_read_stay_as_they_are() -> None:
    x = states()[1]
    guided = energy_guided(lambda x, _: x, lambda x0: x0["pos"].square().sum((1, 2)), 0.1)
    moved = guided(x, level(-2.0))
    assert torch.equal(moved["element"], x["element"])
    assert not torch.equal(moved["pos"], x["pos"])


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_gradients_work_where_the_caller_has_switched_them_off(mode: type) -> None:
    x = states()[0]
    guided = energy_guided(Counted(0.7), lambda x0: x0.square().sum((1, 2)), 0.1)
    expected = guided(x, level(-1.0))
    with mode():
        found = guided(x.clone(), level(-1.0))
        assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@given(levels)
def test_no_strength_and_levels_outside_change_nothing(lam: float) -> None:
    x = states()[0]
    energy = lambda x0: x0.square().sum((1, 2))  # noqa: E731
    plain = Counted(0.7)(x, level(lam))
    assert_equal(energy_guided(Counted(0.7), energy, 0.0)(x, level(lam)), plain)
    inside = energy_guided(Counted(0.7), energy, 1.0, interval=(-1.0, 1.0))(x, level(lam))
    assert torch.equal(inside, plain) == (abs(lam) > 1)


@given(levels)
def test_unit_strength_samples_the_tilted_gaussian_to_first_order(lam: float) -> None:
    # Unit normal data tilted by exp(-k x): the exact posterior mean moves by -k b^2.
    x = torch.randn(5, 1, 1, dtype=torch.float64)
    a, _ = unit_tv(level(lam))
    guided = energy_guided(lambda x, _: a * x, lambda x0: 0.3 * x0.sum((1, 2)), 1.0)
    torch.testing.assert_close(guided(x, level(lam)), a * x - 0.3 * posterior_variance(level(lam)))


@pytest.mark.parametrize(
    "build",
    [
        lambda f: classifier_free(f, f, 2.0, interval=(1.0, 1.0)),
        lambda f: classifier_free(f, f, 2.0, rescale=1.5),
        lambda f: energy_guided(f, f, 1.0, clip=0.0),
        lambda f: energy_guided(f, f, 1.0, interval=(2.0, 1.0)),
    ],
)
def test_senseless_guidance_is_refused(build: object) -> None:
    with pytest.raises(UsageError):
        build(Counted(1.0))  # type: ignore[operator]

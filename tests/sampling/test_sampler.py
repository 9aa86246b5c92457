"""Molecule i depends on the seed and on i, never on what is drawn beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.checkpoint import LoadedModel
from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import decode_argmax
from molgen.config import Config, parse_config
from molgen.errors import UsageError
from molgen.flow.plan_options import PlanOptions
from molgen.models.info import ModelInfo, SamplingPreset
from molgen.nn.network import Estimate
from molgen.sampling.noise import draw_sizes
from molgen.sampling.plan import Plan, default_plan, make_plan
from molgen.sampling.sampler import (
    CPU_BATCH,
    WINDOW,
    Draw,
    draw,
)
from molgen.sampling.sizes import size_probability

from ..networks import random_model  # noqa: TID252

N_ATOMS = (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1)
INFO = ModelInfo("random", parse_config({"model": {"pos_scale": 1.4}}), N_ATOMS)
WIDE = replace(INFO, presets={2: SamplingPreset("ddim", (20.0, 0.5), input_scale=(1.0, 1.3))})
PLANS = {
    "fitted": default_plan(INFO, 3),
    "stochastic": make_plan(INFO, 4, PlanOptions(solver="ancestral")),
    "issnr": make_plan(INFO, 3, PlanOptions(solver="heun", kappa=0.5)),
    "wide": default_plan(WIDE, 2),
}

each_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return LoadedModel(random_model().eval(), INFO)


def drawn(loaded: LoadedModel, indices: object, plan: Plan, **options: object) -> list[Draw]:
    return list(draw(loaded, indices, plan=plan, seed=5, **options))  # type: ignore[arg-type]


def assert_same_molecule(one: Beliefs, other: Beliefs) -> None:
    """Same graph, coordinates within 0.001 Å."""
    here, there = decode_argmax(one), decode_argmax(other)
    assert np.array_equal(here.atomic_numbers, there.atomic_numbers)
    assert np.array_equal(here.formal_charge, there.formal_charge)
    assert np.array_equal(here.bonds, there.bonds)
    assert np.abs(here.pos - there.pos).max() < 1e-3


def equal(one: Beliefs, other: Beliefs) -> bool:
    names = ("pos", "element_log_prob", "charge_log_prob", "bond_log_prob")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@each_plan
def test_the_batch_size_changes_nothing(loaded: LoadedModel, plan: Plan) -> None:
    reference = drawn(loaded, range(40), plan)
    assert [one.index for one in reference] == list(range(40))
    for batch_size in (1, 7, 40):
        other = drawn(loaded, range(40), plan, batch_size=batch_size)
        for one, two in zip(reference, other, strict=True):
            assert one.index == two.index
            assert_same_molecule(one.beliefs, two.beliefs)


@each_plan
def test_neither_order_nor_company_changes_anything(loaded: LoadedModel, plan: Plan) -> None:
    reference = {one.index: one.beliefs for one in drawn(loaded, range(40), plan)}
    for indices in ([39, 3, 17, 0], range(30, 10, -3), [2**40, 8]):
        others = drawn(loaded, indices, plan, batch_size=3)
        assert [one.index for one in others] == list(indices)
        for one in others:
            if one.index in reference:
                assert_same_molecule(reference[one.index], one.beliefs)


@each_plan
def test_equal_shapes_are_equal_bits(loaded: LoadedModel, plan: Plan) -> None:
    for one, other in zip(
        drawn(loaded, range(20), plan, batch_size=6),
        drawn(loaded, range(20), plan, batch_size=6),
        strict=True,
    ):
        assert equal(one.beliefs, other.beliefs)


def test_molecules_seeds_and_steps_differ(loaded: LoadedModel) -> None:
    plan = PLANS["fitted"]
    eights = (8, 8)
    same_size = drawn(loaded, range(6), plan, n_atoms=eights)
    other_seed = list(draw(loaded, range(6), plan=plan, seed=6, n_atoms=eights))
    everything = [one.beliefs.pos for one in same_size + other_seed]
    for row, pos in enumerate(everything):
        assert all(np.abs(pos - other).max() > 0.01 for other in everything[:row])


def test_fresh_noise_reaches_the_stochastic_solver(loaded: LoadedModel) -> None:
    plan = PLANS["stochastic"]
    without = replace(plan, solver=replace(plan.solver, rho=0.0))  # type: ignore[type-var]
    for one, other in zip(
        drawn(loaded, range(3), plan), drawn(loaded, range(3), without), strict=True
    ):
        assert np.abs(one.beliefs.pos - other.beliefs.pos).max() > 0.01


def test_calls_are_made_at_the_total_variance_of_the_plan(loaded: LoadedModel) -> None:
    plan, seen = default_plan(WIDE, 2), []
    forward = loaded.model.forward

    def watched(x: dict[str, Tensor], *rest: Any, **named: Any) -> Estimate:
        seen.append(x["pos"])
        return forward(x, *rest, **named)

    for one in (plan, replace(plan, input_scale=None)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loaded.model, "forward", watched)
            drawn(loaded, range(3), one)
    wide, plain = seen[:2], seen[2:]
    assert torch.equal(wide[0], plain[0])
    torch.testing.assert_close(wide[1], 1.3 * plain[1])


def test_beliefs_are_complete(loaded: LoadedModel) -> None:
    for one in drawn(loaded, range(12), PLANS["fitted"]):
        beliefs, n = one.beliefs, one.beliefs.n_atoms
        assert beliefs.vocabulary == INFO.vocabulary
        assert beliefs.pos.dtype == np.float32
        assert np.abs(beliefs.pos.mean(axis=0)).max() < 1e-5
        assert beliefs.element_log_prob.shape == (n, 5)
        assert beliefs.charge_log_prob.shape == (n, 3)
        assert beliefs.bond_log_prob.shape == (n, n, 5)
        for log_prob in (
            beliefs.element_log_prob, beliefs.charge_log_prob, beliefs.bond_log_prob
        ):  # fmt: skip
            assert np.exp(log_prob).sum(axis=-1) == pytest.approx(1.0, abs=1e-5)
        transposed = beliefs.bond_log_prob.transpose(1, 0, 2)
        assert beliefs.bond_log_prob == pytest.approx(transposed, abs=1e-4)


def test_positions_come_in_angstrom(loaded: LoadedModel) -> None:
    """The model's units are a matter between the model and itself."""
    double = LoadedModel(random_model(), INFO)
    scales = double.model.scales
    grid = PLANS["fitted"]
    try:
        double.model.scales = replace(scales, pos=2 * scales.pos)
        twice = drawn(double, range(2), grid)
    finally:
        double.model.scales = scales
    once = drawn(loaded, range(2), grid)
    for one, two in zip(once, twice, strict=True):
        assert two.beliefs.pos == pytest.approx(2 * one.beliefs.pos, rel=1e-5, abs=1e-5)


def test_an_endless_request_works_as_far_as_it_is_read(loaded: LoadedModel) -> None:
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in count():
            asked.append(number)
            yield number

    stream = draw(loaded, numbers(), plan=PLANS["fitted"], seed=5, batch_size=4)
    assert asked == []
    first = list(islice(stream, 3))
    assert [one.index for one in first] == [0, 1, 2]
    assert len(asked) == 4  # the first window is one batch
    assert [one.index for one in islice(stream, 40)] == list(range(3, 43))
    assert len(asked) == 4 + WINDOW


def test_nothing_asked_nothing_drawn(loaded: LoadedModel) -> None:
    assert drawn(loaded, [], PLANS["fitted"]) == []


@pytest.mark.parametrize("solver", ["dpm++2m", "heun", "ancestral"])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_network_calls_are_counted(loaded: LoadedModel, solver: str, steps: int) -> None:
    plan = make_plan(INFO, steps, PlanOptions(solver=solver))
    calls: list[int] = []
    hook = loaded.model.register_forward_hook(
        lambda _, inputs, __: calls.append(len(inputs[2]))  # the mask
    )
    try:
        drawn(loaded, range(10), plan, batch_size=4)
    finally:
        hook.remove()
    # Two windows, of one batch and of two.
    assert calls == [4] * steps + [4] * steps + [2] * steps
    assert plan.nfe == steps


def test_the_default_batch_suits_the_device(loaded: LoadedModel) -> None:
    calls: list[int] = []
    hook = loaded.model.register_forward_hook(
        lambda _, inputs, __: calls.append(len(inputs[2]))  # the mask
    )
    try:
        drawn(loaded, range(CPU_BATCH + 5), default_plan(INFO, 1))
    finally:
        hook.remove()
    assert calls == [CPU_BATCH, 5]


@settings(max_examples=20)
@given(st.integers(3, 12), st.integers(0, 9), st.integers(0, 2**32))
def test_sizes_stay_in_the_range_asked_for(low: int, extra: int, seed: int) -> None:
    high = low + extra
    assume(any(N_ATOMS[low : high + 1]))
    probability = size_probability(INFO, (low, high))
    drawn_sizes = set(draw_sizes(probability, seed, range(20)).tolist())
    assert all(low <= size <= high and N_ATOMS[size] for size in drawn_sizes)


def test_the_range_reaches_the_molecules(loaded: LoadedModel) -> None:
    few = drawn(loaded, range(12), PLANS["fitted"], n_atoms=(8, 9))
    assert {one.beliefs.n_atoms for one in few} == {8, 9}


@pytest.mark.parametrize("sizes", [(1, 2), (4, 4), (13, 99)])
def test_a_range_without_training_molecules(loaded: LoadedModel, sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="Choose within 3-12"):
        drawn(loaded, range(2), PLANS["fitted"], n_atoms=sizes)


def test_sizes_follow_the_training_data() -> None:
    probability = size_probability(INFO, None)
    assert probability == pytest.approx(np.array(N_ATOMS) / sum(N_ATOMS))
    n = 3000
    counts = np.bincount(draw_sizes(probability, 0, range(n)), minlength=13)
    assert not counts[np.array(N_ATOMS) == 0].any()
    expected = n * probability[probability > 0]
    chi2 = ((counts[probability > 0] - expected) ** 2 / expected).sum()
    # Seven degrees of freedom: 24.3 is exceeded once in a thousand seeds.
    assert chi2 < 24.3


def test_sampling_leaves_no_trace(loaded: LoadedModel) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    drawn(loaded, range(5), PLANS["stochastic"])
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_the_recipe_of_the_model_is_not_the_default() -> None:
    """Otherwise the tests above could not tell the two apart."""
    assert INFO.config.model.pos_scale != Config().model.pos_scale

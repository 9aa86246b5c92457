"""What the model's numbers mean: parameterisation, self_cond, the solver's view of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from molgen.config import parse_config
from molgen.flow.asynchronous import CLEAN_LEVEL
from molgen.flow.grid import TimeGrid
from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.models.build import build
from molgen.models.denovo import ELEMENT, SelfConditioned
from molgen.nn.block import NetworkDims

from ..networks import (  # noqa: TID252
    DTYPES,
    SIZES,
    TOLERANCE,
    agreeing_model,
    estimate_of,
    random_case,
    random_model,
    seeds,
    sizes,
)


def test_every_parameter_gets_a_gradient() -> None:
    model = random_model(torch.float64)
    case = random_case([5, 7], 0, torch.float64, hinted=True)
    estimate = model(case.state, case.lam, case.mask, case.self_cond)
    parts = (estimate.pos, estimate.element, estimate.charge, estimate.bond)
    loss = sum((part * torch.linspace(0.5, 2, part.shape[-1])).square().sum() for part in parts)
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    assert [name for name, g in zip(names, gradients, strict=True) if not g.any()] == []
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_at_low_noise_the_estimate_is_the_input() -> None:
    model = random_model(torch.float64)
    case = random_case([6], 1, torch.float64, hinted=False)
    errors = []
    for lam in (2.0, 4.0, 6.0):
        estimate = estimate_of(model, replace(case, lam=torch.full((1,), lam).double()))
        errors.append(float((estimate.pos - case.state["pos"]).abs().max()))
    # The velocity is multiplied by the noise amplitude, so its error falls as exp(-lam).
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 0.3 * errors[1]


def test_without_a_hint_means_a_hint_of_zeros() -> None:
    model = random_model()
    case = random_case([4, 6], 2, torch.float32, hinted=False)
    one = estimate_of(model, case)
    other = model(case.state, case.lam, case.mask, model.no_self_cond(case.mask))
    assert torch.equal(one.pos, other.pos)
    assert torch.equal(one.bond, other.bond)


def test_clean_elements_are_centred_and_scaled() -> None:
    clean = random_model().clean_elements(torch.eye(SIZES.n_elements))
    torch.testing.assert_close(clean.sum(dim=-1), torch.zeros(SIZES.n_elements))
    spread = clean.diagonal() - clean[0, 1]
    torch.testing.assert_close(spread, torch.full((SIZES.n_elements,), 2.0))


def test_the_solver_sees_expected_clean_data_and_the_estimate_is_fed_back() -> None:
    model = random_model()
    case = random_case([3, 5], 4, torch.float32, hinted=False)
    denoise = SelfConditioned(model, case.mask)
    with pytest.raises(RuntimeError, match="not been called"):
        _ = denoise.estimate
    lam = torch.tensor(0.5, dtype=torch.float64)
    level = torch.full((2,), 0.5)
    with torch.no_grad():
        first = denoise(case.state, lam)
        expected = model(case.state, level, case.mask)
        again = denoise(case.state, lam)
        fed_back = model(case.state, level, case.mask, model.self_cond(expected))
    assert isinstance(first, dict)
    assert isinstance(again, dict)
    assert torch.equal(first["pos"], expected.pos)
    probability = expected.element.softmax(dim=-1)
    clean = ELEMENT.project(model.clean_elements(probability), case.mask)
    torch.testing.assert_close(first["element"], clean)
    assert not bool(first["element"][~case.mask].any())
    assert torch.equal(again["pos"], fed_back.pos)
    assert not torch.equal(again["pos"], first["pos"])
    assert torch.equal(denoise.estimate.bond, fed_back.bond)
    with pytest.raises(TypeError, match="modalities"):
        denoise(case.state["pos"], lam)


LEAN = LogitBias.of({"element": (0.0, 0.5, -1.0, 0.3, 0.0), "bond": (0.7, 0.0, 0.0, 0.0, 0.0)})


def test_what_leans_is_passed_on_and_heard_by_the_next_call() -> None:
    model = random_model()
    case = random_case([3, 5], 4, torch.float32, hinted=False)
    memory = SelfConditioned(model, case.mask, TimeGrid((0.0, 1.0, math.inf)), LEAN)
    level, weights = torch.ones(2), dict(LEAN.added)
    with torch.no_grad():
        said = model(case.state, 0 * level, case.mask)
        passed_on = memory(case.state, torch.tensor(0.0, dtype=torch.float64))
        leant = memory.estimate
        memory(case.state, torch.tensor(1.0, dtype=torch.float64))
        again = model(case.state, level, case.mask, model.self_cond(leant))
    assert isinstance(passed_on, dict)
    named = ELEMENT.project(model.clean_elements(leant.element.softmax(dim=-1)), case.mask)
    torch.testing.assert_close(passed_on["element"], named)
    for name in ("element", "bond"):
        added = torch.tensor(weights[name])
        torch.testing.assert_close(getattr(leant, name), getattr(said, name) + added)
        last = getattr(memory.estimate, name)
        torch.testing.assert_close(last, getattr(again, name) + added)
    torch.testing.assert_close(memory.estimate.pos, again.pos)


def test_a_last_call_leans_before_its_classes_are_brought_to_terms() -> None:
    case = random_case([3, 5], 4, torch.float32, hinted=False)
    model, end = agreeing_model(), torch.full((2,), math.inf)
    with torch.no_grad():
        plain, leant = (
            model(
                case.state,
                torch.ones(2),
                case.mask,
                lam_end=end,
                ends_clean=True,
                logit_bias=logit_bias,
            )
            for logit_bias in (NO_LOGIT_BIAS, LEAN)
        )
    for name in ("element", "bond"):
        added = torch.tensor(dict(LEAN.added)[name])
        torch.testing.assert_close(getattr(leant.heads, name), getattr(plain.heads, name) + added)
    assert not torch.allclose(leant.bond, plain.bond + torch.tensor(dict(LEAN.added)["bond"]))


def test_a_recipe_decides_the_network() -> None:
    recipe = {
        "data": {"dataset": {"name": "x", "atomic_numbers": [1, 6, 8], "charges": [0]}},
        "model": {"n_layers": 3, "dims": {"scalar": 16, "n_heads": 2, "mlp": 24}},
        "lam_max": 4.0,
    }
    model = build(parse_config(recipe), max_atoms=17)
    network = model.network
    assert (network.sizes.n_elements, network.sizes.n_charges) == (3, 1)
    assert (network.sizes.max_atoms, network.sizes.lam_max) == (17, 4.0)
    assert len(network.blocks) == 3
    assert network.dims == NetworkDims(scalar=16, n_heads=2, mlp=24)
    assert network.sizes.cutoff * model.scales.pos == pytest.approx(10.0)


@pytest.mark.parametrize("dtype", DTYPES)
@given(n_atoms=sizes, seed=seeds)
@settings(max_examples=10)
def test_given_atoms_stay_and_hold_the_frame(
    dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    case = random_case(n_atoms, seed, dtype, hinted=True, per_atom=True)
    held = torch.zeros_like(case.mask)
    held[::2, 0] = True
    lam = case.lam.clamp(max=4.0).masked_fill(held, CLEAN_LEVEL)
    shift = torch.tensor([0.4, -1.3, 0.9], dtype=dtype) * case.mask[..., None]
    moved = case.state["pos"] + torch.where(held.any(dim=1)[:, None, None], shift, 0.0)
    pos = estimate_of(
        random_model(dtype), replace(case, lam=lam, state={**case.state, "pos": moved})
    ).pos
    torch.testing.assert_close(pos[held], moved[held], rtol=0, atol=1e-6)
    free = pos[1::2].sum(dim=1)
    assert float(free.abs().max() if len(free) else 0.0) < TOLERANCE[dtype] * pos.abs().sum()

"""Networks whose last call is fitted to the distances that they believe in, and its classes
to the valences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from torch import Tensor

from molgen.config import parse_config
from molgen.errors import ConfigError
from molgen.models.build import build
from molgen.models.denovo import DeNovo
from molgen.nn.block import pair_distances
from molgen.nn.network import Estimate

from ..networks import (  # noqa: TID252
    DTYPES,
    Case,
    agreeing_model,
    assert_close,
    fitting_model,
    random_case,
    random_model,
    refining_model,
    seeds,
    sizes,
)

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)
Made = Callable[..., DeNovo]
each_model = pytest.mark.parametrize("made", [fitting_model, refining_model])
LAST = torch.full((1,), math.inf)


@torch.no_grad()
def told(model: DeNovo, case: Case, end: Tensor | None) -> Estimate:
    until = None if end is None else end.to(case.lam).expand(len(case.lam))
    return model(case.state, case.lam, case.mask, case.self_cond, None, until)


@torch.no_grad()
def rested(model: DeNovo, case: Case) -> Tensor:
    """Where a last call ends."""
    return model.refined(told(model, case, LAST), case.mask).pos


def test_before_training_positions_stay_where_they_are() -> None:
    case = random_case([4, 7], 0, torch.float64, hinted=True)
    plain = told(random_model(torch.float64), case, None)
    assert_close(
        told(fitting_model(untrained=True, dtype=torch.float64), case, LAST).pos, plain.pos
    )


def test_the_last_call_has_distances_nearer_to_what_it_believes() -> None:
    case = random_case([9, 6], 1, torch.float32, hinted=True)
    before, after = (told(fitting_model(), case, end) for end in (torch.zeros(1), LAST))
    # What the head believes depends on where it is told that the step ends, hence its own beliefs.
    assert after.distances is not None
    pairs = (case.mask[:, :, None] & case.mask[:, None, :]) & ~torch.eye(9, dtype=torch.bool)
    weight = (-2 * after.distances.log_spread).exp() * pairs

    def stress(pos: Tensor) -> float:
        found = pair_distances(pos[..., None]).squeeze(-1)
        return float((weight * (found - after.distances.mean).square()).sum())

    assert stress(after.pos) < 0.5 * stress(before.pos)


def test_other_calls_are_left_alone() -> None:
    case = random_case([5, 5], 2, torch.float32, hinted=True)
    ends = torch.tensor([0.5, math.inf])
    mixed, early = (
        told(fitting_model(), case, ends),
        told(fitting_model(), case, torch.full((1,), 0.5)),
    )
    assert torch.equal(mixed.pos[0], early.pos[0])
    assert float((mixed.pos[1] - early.pos[1]).abs().max()) > 1e-3
    plain = told(random_model(), case, None).pos
    assert torch.equal(told(fitting_model(), case, None).pos, plain)


@torch.no_grad()
def test_a_caller_who_knows_gets_what_one_who_does_not_gets() -> None:
    model, case = fitting_model(), random_case([5, 8], 5, torch.float32, hinted=True)
    for end in (0.5, math.inf):
        known = (case.state, case.lam, case.mask, case.self_cond, None, torch.full((2,), end))
        here, there = model(*known), model(*known, math.isinf(end))
        assert torch.equal(here.pos, there.pos)
        assert (there.distances is None) == math.isfinite(end)


@each_model
@each_precision
@settings(max_examples=15)
@given(sizes, seeds)
def test_it_turns_reflects_and_stays_centred(
    made: Made, dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    model, case = made(dtype=dtype), random_case(n_atoms, seed, dtype, hinted=False)
    turn = -o3.rand_matrix(dtype=torch.float64).to(dtype)
    turned = replace(case, state={**case.state, "pos": case.state["pos"] @ turn})
    here, there = (rested(model, each) for each in (case, turned))
    assert_close(there, here @ turn, "pos")
    assert_close(here.sum(dim=1), torch.zeros_like(here[:, 0]), "centre")
    assert bool((here[~case.mask] == 0).all())


@each_model
@each_precision
def test_a_molecule_knows_nothing_of_its_batch(made: Made, dtype: torch.dtype) -> None:
    case = random_case([5, 8, 3], 3, dtype, hinted=False)
    together = rested(made(dtype=dtype), case)
    for row, n in enumerate((5, 8, 3)):
        state = {name: value[row : row + 1, :n] for name, value in case.state.items()}
        alone = Case(state, case.lam[row : row + 1], case.mask[row : row + 1, :n], None)
        assert_close(rested(made(dtype=dtype), alone), together[row : row + 1, :n], "pos")


def test_beliefs_are_symmetric_under_autocast() -> None:
    case = random_case([7, 4], 4, torch.float32, hinted=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = told(fitting_model(), case, LAST)
    distances = estimate.distances
    assert distances is not None
    for part in (distances.mean, distances.log_spread, estimate.bond.movedim(-1, 0)):
        assert part.dtype == torch.float32
        assert torch.equal(part, part.mT)


def test_only_the_classes_of_a_last_call_are_brought_to_terms() -> None:
    case = random_case([5, 8], 6, torch.float32, hinted=True)
    model = agreeing_model()
    ends = torch.tensor([0.5, math.inf])
    plain, mixed = told(fitting_model(), case, ends), told(model, case, ends)
    assert plain.alone is None
    assert mixed.alone is not None
    assert model.valence_bp is not None
    heads = (plain.element, plain.charge, plain.bond)
    agreed = model.valence_bp(*heads, case.mask)
    for name, before, after in zip(("element", "charge", "bond"), heads, agreed, strict=True):
        said = getattr(mixed, name)
        assert torch.equal(getattr(mixed.heads, name), before)
        assert torch.equal(said[0], before[0])
        assert torch.equal(said[1], after[1])
        assert float((before.softmax(-1) - after.exp())[1].abs().max()) > 0.01
    assert told(model, case, torch.zeros(1)).alone is not None  # asked of the device: not known
    early = model(case.state, case.lam, case.mask, case.self_cond, None, torch.zeros(2), False)
    assert early.alone is None
    assert told(model, case, None).alone is None


@each_precision
def test_agreed_classes_do_not_depend_on_the_frame(dtype: torch.dtype) -> None:
    case = random_case([6, 9], 7, dtype, hinted=False)
    turn = -o3.rand_matrix(dtype=torch.float64).to(dtype)
    turned = replace(case, state={**case.state, "pos": case.state["pos"] @ turn})
    here, there = (told(agreeing_model(dtype), each, LAST) for each in (case, turned))
    for name in ("element", "charge", "bond"):
        assert_close(getattr(there, name).exp(), getattr(here, name).exp(), name)


@pytest.mark.parametrize("name", ["smacof_iterations", "valence_bp_rounds", "refine_layers"])
def test_only_a_network_that_hears_of_ends_knows_its_last_call(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} needs step_size_cond"):
        parse_config({"model": {name: 5}})
    asked = {"step_size_cond": True, "smacof_iterations": 5, name: 5}
    model = build(parse_config({"model": asked}), 9)
    assert (model.valence_bp is not None) == (name == "valence_bp_rounds")
    assert (model.network.refine is not None) == (name == "refine_layers")


def test_a_network_that_fits() -> None:
    model = build(parse_config({"model": {"smacof_iterations": 5, "step_size_cond": True}}), 9)
    assert model.network.distances is not None
    assert model.network.sizes.smacof_iterations == 5

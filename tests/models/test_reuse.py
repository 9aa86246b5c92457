"""Calls that repeat the work of the first blocks: what they equal, what they spare."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from molgen.errors import UsageError
from molgen.flow.state import State
from molgen.models.denovo import SelfConditioned
from molgen.models.reuse import ReuseFeatures

from ..networks import Case, random_case, random_model  # noqa: TID252

LEVELS = (-1.0, 0.0, 1.0, 2.0)


def walk(denoise: SelfConditioned, case: Case) -> list[dict[str, torch.Tensor]]:
    """What a denoiser answers at rising levels, each time for the answer before."""
    state: State = case.state
    answers = []
    with torch.no_grad():
        for lam in LEVELS:
            state = denoise(state, torch.tensor(lam, dtype=torch.float64))
            assert isinstance(state, dict)
            answers.append(state)
    return answers


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def case() -> Case:
    return random_case([5, 8], 0, torch.float32, hinted=False)


@pytest.mark.parametrize("settings", [{"every": 1}, {"from_lam": math.inf}], ids=str)
def test_without_a_repeated_call_nothing_changes(case: Case, settings: dict[str, float]) -> None:
    model = random_model()
    plain = walk(SelfConditioned(model, case.mask), case)
    reusing = walk(ReuseFeatures(model, case.mask, n_blocks=1, **settings), case)
    assert all(map(equal, plain, reusing))


def test_every_other_late_call_repeats(case: Case) -> None:
    model = random_model()
    plain = walk(SelfConditioned(model, case.mask), case)
    reusing = walk(ReuseFeatures(model, case.mask, n_blocks=1, from_lam=0.0), case)
    assert [equal(*pair) for pair in zip(plain, reusing, strict=True)][:3] == [True, True, False]


def test_a_repeated_call_still_sees_the_positions(case: Case) -> None:
    model = random_model()
    answers = []
    for stretch in (1.0, 1.2):
        denoise = ReuseFeatures(model, case.mask, n_blocks=2)
        with torch.no_grad():
            denoise(case.state, torch.tensor(0.0))
            moved = {**case.state, "pos": stretch * case.state["pos"]}
            denoise(moved, torch.tensor(0.5))
        answers.append(denoise.estimate.bond)
    assert float((answers[0] - answers[1]).abs().max()) > 1e-3


def test_repeated_calls_turn_with_the_molecule() -> None:
    case = random_case([5, 8], 0, torch.float64, hinted=False)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    turned = Case({**case.state, "pos": case.state["pos"] @ turn}, case.lam, case.mask, None)
    model = random_model(torch.float64)
    here, there = (
        walk(ReuseFeatures(model, one.mask, n_blocks=1), one)[-1]["pos"] for one in (case, turned)
    )
    torch.testing.assert_close(there, here @ turn, rtol=0, atol=1e-9)


def test_a_repeated_call_spares_the_operations_of_its_blocks(case: Case) -> None:
    model = random_model()
    denoise = ReuseFeatures(model, case.mask, n_blocks=1)

    def operations() -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            denoise(case.state, torch.tensor(0.0))
        return counter.get_total_flops()

    full, repeated = operations(), operations()
    # One of two blocks; the rest of the network is small beside a block.
    assert 0.4 * full < repeated < 0.7 * full


def test_weights_are_shared_and_the_model_keeps_its_blocks(case: Case) -> None:
    model = random_model()
    before = list(model.network.blocks)
    denoise = ReuseFeatures(model, case.mask, n_blocks=2)
    assert list(model.network.blocks) == before
    assert set(denoise.model.parameters()) == set(model.parameters())


@pytest.mark.parametrize(
    "settings", [{"n_blocks": 0}, {"n_blocks": 3}, {"n_blocks": 1, "every": 0}]
)
def test_impossible_settings_are_refused(case: Case, settings: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        ReuseFeatures(random_model(), case.mask, **settings)

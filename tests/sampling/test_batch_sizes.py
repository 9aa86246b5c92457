"""A molecule is the same in every batch: nothing makes much of a rounding error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from molgen.checkpoint import LoadedModel, find_model, load_model
from molgen.flow.plan_options import PlanOptions
from molgen.nn.network import ROWS
from molgen.sampling.plan import make_plan
from molgen.sampling.quantised import quantised
from molgen.sampling.sampler import LEAST_PADDED, draw


@pytest.fixture(scope="module")
def few() -> LoadedModel:
    return load_model(find_model("qm9-few"), "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4])
def test_shipped_weights(few: LoadedModel, steps: int) -> None:
    plan = make_plan(few.info, steps, PlanOptions())
    runs = [
        [one.beliefs for one in draw(few, range(64), plan=plan, batch_size=size)]
        for size in (64, 7, 1)
    ]
    for one, *others in zip(*runs, strict=True):
        for other in others:
            assert np.abs(one.pos - other.pos).max() < 1e-3  # Å
            assert (one.bond_log_prob.argmax(-1) == other.bond_log_prob.argmax(-1)).all()


@pytest.mark.slow
def test_integers_do_not_make_much_of_rounding(few: LoadedModel) -> None:
    """A rounding error before an integer is an error of a whole step where it tips the integer."""
    plan = make_plan(few.info, 4, PlanOptions())
    model = quantised(few, plan)
    runs = [
        [one.beliefs for one in draw(model, range(24), plan=plan, batch_size=size)]
        for size in (64, 7, 1)
    ]
    for one, *others in zip(*runs, strict=True):
        for other in others:
            assert np.abs(one.pos - other.pos).max() < 1e-3  # Å


def estimate(few: LoadedModel, n_atoms: int, n_rows: int, padded: int) -> torch.Tensor:
    """Of a molecule in the last row of a batch of larger ones."""
    sample = torch.Generator().manual_seed(n_atoms)
    own = torch.randn(n_atoms, 8, generator=sample)
    state = torch.randn(n_rows, padded, 8, generator=sample)
    mask = torch.ones(n_rows, padded, dtype=torch.bool)
    state[-1], mask[-1, n_atoms:] = 0, False
    state[-1, :n_atoms] = own
    level = torch.zeros(n_rows)
    with torch.inference_mode():
        found = few.model({"pos": state[..., :3], "element": state[..., 3:]}, level, mask)
    return found.pos[-1, :n_atoms]


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="other processors sum otherwise"
)
@pytest.mark.parametrize("n_atoms", [9, 15, 17, 21])
def test_one_call_gives_the_same_bits(few: LoadedModel, n_atoms: int) -> None:
    least = max(n_atoms, LEAST_PADDED)
    expected = estimate(few, n_atoms, 4 * ROWS, least)
    for n_rows in (1, 2, ROWS - 1, ROWS, 2 * ROWS + 1):
        for padded in (least, least + 2):
            assert torch.equal(estimate(few, n_atoms, n_rows, padded), expected), (n_rows, padded)

"""The laws of the graph network: motion, reflection, permutation, batch, padding, slopes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.baselines.egnn import EGNN, PairLayers

from ..networks import (  # noqa: TID252
    DTYPES,
    assert_close,
    seeds,
    sizes,
)

N_IN, N_OUT = 4, 3
each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)
some_examples = settings(max_examples=25)


@cache
def random_network(dtype: torch.dtype) -> EGNN:
    """A network in which atoms move as far as features change, unlike in a fresh one."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = EGNN(N_IN, N_OUT, hidden=12, n_layers=3)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network.to(dtype)


@dataclass(frozen=True)
class Case:
    """Arguments of one forward pass."""

    pos: Tensor
    features: Tensor
    mask: Tensor


def random_case(n_atoms: list[int], seed: int, dtype: torch.dtype) -> Case:
    generator = torch.Generator().manual_seed(seed)
    batch, n = len(n_atoms), max(n_atoms)
    pos, features = (
        torch.randn(batch, n, width, generator=generator, dtype=torch.float64).to(dtype)
        for width in (3, N_IN)
    )
    # What stands on padding must not matter, so it is not zero.
    return Case(pos, features, torch.arange(n) < torch.tensor(n_atoms)[:, None])


@torch.no_grad()
def answer(case: Case) -> tuple[Tensor, Tensor]:
    return random_network(case.pos.dtype)(case.pos, case.features, case.mask)


def orthogonal(seed: int, dtype: torch.dtype) -> Tensor:
    """A rotation or a reflection, both equally likely."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0].to(dtype)


@each_precision
@given(n_atoms=sizes, seed=seeds, shift=st.tuples(*[st.floats(-5, 5)] * 3))
@some_examples
def test_displacements_turn_with_the_molecule_and_features_do_not(
    n_atoms: list[int], seed: int, shift: tuple[float, ...], dtype: torch.dtype
) -> None:
    case, turn = random_case(n_atoms, seed, dtype), orthogonal(seed + 1, dtype)
    moved, features = answer(case)
    other = answer(replace(case, pos=case.pos @ turn + torch.tensor(shift, dtype=dtype)))
    assert_close(other[0], moved @ turn, "displacement")
    assert_close(other[1], features, "features")


@each_precision
@given(n_atoms=sizes, seed=seeds)
@some_examples
def test_atoms_may_come_in_any_order(n_atoms: list[int], seed: int, dtype: torch.dtype) -> None:
    case = random_case(n_atoms, seed, dtype)
    order = torch.randperm(max(n_atoms), generator=torch.Generator().manual_seed(seed))
    shuffled = Case(case.pos[:, order], case.features[:, order], case.mask[:, order])
    for one, other in zip(answer(shuffled), answer(case), strict=True):
        assert_close(one, other[:, order])


@each_precision
@given(n_atoms=sizes, seed=seeds)
@some_examples
def test_a_molecule_does_not_see_its_batch(
    n_atoms: list[int], seed: int, dtype: torch.dtype
) -> None:
    case = random_case(n_atoms, seed, dtype)
    together = answer(case)
    for row, n in enumerate(n_atoms):
        cut = (slice(row, row + 1), slice(n))
        alone = answer(Case(case.pos[cut], case.features[cut], case.mask[cut]))
        for one, other in zip(alone, together, strict=True):
            assert_close(one, other[cut])
            assert not other[row, n:].any()


def test_the_network_moves_atoms() -> None:
    moved, features = answer(random_case([5, 7], 0, torch.float64))
    assert float(moved.abs().amax(dim=(1, 2)).min()) > 1e-2
    assert float(features[:, 0].std()) > 1e-2


def test_layers_of_pairs_are_those_of_the_joined_features() -> None:
    torch.manual_seed(0)
    layers = PairLayers(6).double()
    scalars, distances = torch.randn(2, 4, 6).double(), torch.rand(2, 4, 4, 2).double()
    left, right = layers.of_atoms.weight.chunk(2)
    joined = torch.cat([left, right, layers.of_distances.weight], dim=1)
    one, other = scalars[:, :, None].expand(2, 4, 4, 6), scalars[:, None].expand(2, 4, 4, 6)
    first = torch.cat([one, other, distances], dim=-1) @ joined.T + layers.of_distances.bias
    silu = torch.nn.functional.silu
    expected = silu(layers.second(silu(first)))
    torch.testing.assert_close(layers(scalars, distances), expected)
    # Drawn like one layer over all that is read.
    assert float(joined.detach().abs().max()) <= (2 * 6 + 2) ** -0.5


def test_slopes_are_those_of_finite_differences() -> None:
    case = random_case([3, 4], 1, torch.float64)
    network = EGNN(N_IN, N_OUT, hidden=5, n_layers=2).double()
    weights = dict(network.named_parameters())
    chosen = ["blocks.0.force.weight", "blocks.1.gate.weight", "blocks.0.message.of_atoms.weight"]

    def function(pos: Tensor, features: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        changed = {**weights, **dict(zip(chosen, values, strict=True))}
        return torch.func.functional_call(network, changed, (pos, features, case.mask))

    given_ = [case.pos, case.features, *(weights[name].detach() for name in chosen)]
    assert torch.autograd.gradcheck(function, [x.clone().requires_grad_() for x in given_])


def test_slopes_are_finite_where_atoms_coincide() -> None:
    case = random_case([3], 2, torch.float32)
    pos = case.pos[:, :1].expand(1, 3, 3).clone().requires_grad_()
    moved, features = random_network(torch.float32)(pos, case.features, case.mask)
    (slope,) = torch.autograd.grad(moved.square().sum() + features.sum(), pos)
    assert bool(slope.isfinite().all())

"""Laws of the batched auction: permutations, what keeps its place, and the cost beside the best."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import auction_kernel
from molgen.flow.assignment import Auction, bid_in_rounds, bidding_for, hungarian
from molgen.flow.coupling import DEVICE, ENGINES, HOST, AtomOT
from molgen.flow.process import center

seeds = st.integers(0, 10_000)
sizes = st.lists(st.integers(1, 29), min_size=1, max_size=64).map(torch.tensor)


def draw(seed: int, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gains of centred points and noise, real rows, and some that are held."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.arange(int(sizes.max())) < sizes[:, None]
    x0, eps = (center(x, real) for x in torch.randn(2, *real.shape, 3, generator=generator))
    held = torch.rand(real.shape, generator=generator) < 0.3
    return x0 @ eps.transpose(1, 2), real, held & real


def total(gain: Tensor, rows: Tensor, real: Tensor) -> Tensor:
    return (gain.gather(2, rows[..., None]).squeeze(2) * real).double().sum(dim=1)


@settings(max_examples=12)
@given(seeds, sizes, st.booleans())
def test_the_auction_permutes_free_rows_alone(seed: int, sizes: Tensor, hold: bool) -> None:
    gain, real, held = draw(seed, sizes)
    rows = Auction()(gain, real, held if hold else None)
    order = torch.arange(real.shape[1]).expand(real.shape)
    fixed = ~real | held if hold else ~real
    assert torch.equal(rows.sort(dim=1).values, order)
    assert torch.equal(rows[fixed], order[fixed])


@settings(max_examples=12)
@given(seeds, sizes, st.booleans())
def test_the_auction_is_within_its_slack_of_the_best(seed: int, sizes: Tensor, hold: bool) -> None:
    # Bertsekas: once everyone is served, the sum is within (rows times least raise) of the best;
    # the slack is that product over the span of the gains.
    gain, real, held = draw(seed, sizes)
    kept = held if hold else None
    best, found = (total(gain, assign(gain, real, kept), real) for assign in (hungarian, Auction()))
    span = gain.amax(dim=(1, 2)) - gain.amin(dim=(1, 2))
    assert (found <= best + 1e-4).all()
    assert (found >= best - 0.05 * span - 1e-4).all()


@pytest.mark.parametrize(("n", "bound"), [(3, 0.001), (9, 0.001), (18, 0.001), (29, 0.002)])
def test_the_squared_distance_is_nearly_the_best(n: int, bound: float) -> None:
    _assert_near(n, 64, bound)


def test_the_squared_distance_of_large_molecules_is_nearly_the_best() -> None:
    _assert_near(60, 16, 0.01)


def _assert_near(n: int, n_samples: int, bound: float) -> None:
    generator = torch.Generator().manual_seed(n)
    real = torch.ones(n_samples, n, dtype=torch.bool)
    x0, eps = (center(x, real) for x in torch.randn(2, n_samples, n, 3, generator=generator))
    exact, near = (
        (x0 - AtomOT(rotate=False, engine=engine).pair(x0, eps, real).noise).square().sum()
        for engine in (HOST, DEVICE)
    )
    assert float(exact) <= float(near) * (1 + 1e-6)
    assert float(near) <= float(exact) * (1 + bound)


@settings(max_examples=15)
@given(seeds)
def test_too_few_rounds_still_give_a_permutation_that_is_no_worse_than_none(seed: int) -> None:
    gain, real, held = draw(seed, torch.tensor([9, 1, 4, 29]))
    rows = Auction(slack=1e-6, rounds=1)(gain, real, held)
    order = torch.arange(real.shape[1])
    assert torch.equal(rows.sort(dim=1).values, order.expand_as(rows))
    assert torch.equal(rows[~real | held], order.expand_as(rows)[~real | held])
    plain = total(gain, order.expand_as(rows), real)
    assert (total(gain, rows, real) >= plain - 1e-5).all()


@settings(max_examples=10)
@given(seeds)
def test_a_sample_does_not_depend_on_its_batch(seed: int) -> None:
    gain, real, _ = draw(seed, torch.tensor([7, 18, 3]))
    rows = Auction()(gain, real, None)
    alone = Auction()(gain[1:2], real[1:2], None)
    assert torch.equal(rows[1:2], alone)


def test_equal_gains_and_empty_batches_are_no_trouble() -> None:
    real = torch.ones(2, 5, dtype=torch.bool)
    rows = Auction()(torch.zeros(2, 5, 5), real, None)
    assert torch.equal(rows.sort(dim=1).values, torch.arange(5).expand(2, 5))
    assert Auction()(torch.zeros(0, 5, 5), real[:0], None).shape == (0, 5)
    nobody = torch.zeros(2, 5, dtype=torch.bool)
    assert torch.equal(Auction()(torch.randn(2, 5, 5), nobody, None), rows.sort(dim=1).values)


@settings(max_examples=5)
@given(seeds)
def test_both_engines_shorten_paths_alike(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real = torch.arange(18) < torch.randint(5, 19, (64,), generator=generator)[:, None]
    x0, eps = (center(x, real) for x in torch.randn(2, 64, 18, 3, generator=generator))
    exact, near = (
        (x0 - AtomOT(engine=engine).pair(x0, eps, real).noise).square().sum()
        for engine in (HOST, DEVICE)
    )
    # With turns both end in local optima, which differ by several per cent for one molecule.
    assert float(near) == pytest.approx(float(exact), rel=0.03)


def test_the_host_is_exact_and_accelerators_do_not_wait() -> None:
    assert ENGINES["cpu"] is HOST
    assert HOST.assign is hungarian
    assert ENGINES["cuda"] is DEVICE
    assert bidding_for("cpu", 20) is bid_in_rounds


def test_an_auction_without_an_end_is_refused() -> None:
    for wrong in ({"slack": 0.0}, {"rounds": 0}):
        with pytest.raises(UsageError):
            Auction(**wrong)


INTERPRETED = """
import torch
from molgen.flow.assignment import _benefit, bid_in_rounds
from molgen.flow.auction_kernel import bid_in_one_kernel, is_able
generator = torch.Generator().manual_seed(0)
for n in (1, 9, 29):
    assert is_able(n, "cpu")
    free = torch.rand(3, n, generator=generator) < 0.8
    x0, eps = torch.randn(2, 3, n, 3, generator=generator)
    benefit = _benefit(x0 @ eps.mT, free)
    least = 0.05 / free.sum(dim=1).clamp_min(1).float()
    one, many = (bid(benefit, free, least, 6 * n) for bid in (bid_in_one_kernel, bid_in_rounds))
    assert torch.equal(one, many), n
"""


def test_the_kernel_does_what_the_rounds_do() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", INTERPRETED], check=True, env=environment, cwd=root)


@pytest.fixture
def _without_memory() -> Iterator[None]:
    for known in (bidding_for, auction_kernel._is_built):
        known.cache_clear()
    yield
    for known in (bidding_for, auction_kernel._is_built):
        known.cache_clear()


@pytest.mark.usefixtures("_without_memory")
def test_a_machine_that_cannot_build_the_kernel_bids_in_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no C compiler\nmore")

    is_able = auction_kernel.is_able
    monkeypatch.setattr(auction_kernel, "triton", object())
    monkeypatch.setattr(auction_kernel, "bid_in_one_kernel", refuse)
    monkeypatch.setattr(auction_kernel, "is_able", lambda n, _: is_able(n, "cpu"))
    with pytest.warns(RuntimeWarning, match="goes on without its kernel.*no C compiler"):
        assert bidding_for("cuda", 20) is bid_in_rounds
    assert bidding_for("cuda", 21) is bid_in_rounds  # of the same tile, and says nothing more
    assert not is_able(auction_kernel.LARGEST + 1, "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("n", [1, 5, 16, 20, 29, 32, 60, 100])
def test_the_kernel_on_a_gpu_does_what_the_rounds_do(n: int) -> None:
    pytest.importorskip("triton")
    assert bidding_for("cuda", n) is auction_kernel.bid_in_one_kernel
    gain, real, held = draw(n, torch.randint(1, n + 1, (512,)))
    rows = Auction()(gain.cuda(), real.cuda(), held.cuda()).cpu()
    free = real & ~held
    best, here, there = (
        total(gain, found, real)
        for found in (hungarian(gain, real, held), Auction()(gain, real, held), rows)
    )
    span = gain.amax(dim=(1, 2)) - gain.amin(dim=(1, 2))
    order = torch.arange(n).expand(free.shape)
    assert torch.equal(rows.sort(dim=1).values, order)
    assert torch.equal(rows[~free], order[~free])
    assert (there >= best - 0.05 * span - 1e-4).all()
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_pairing_on_a_gpu_does_not_wait_for_it() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    real = torch.arange(20, device="cuda") < torch.randint(3, 21, (256, 1), device="cuda")
    x0, eps = torch.randn(2, 256, 20, 3, device="cuda", generator=generator)
    x0, eps = center(x0, real), center(eps, real)
    AtomOT().pair(x0, eps, real)
    torch.cuda.set_sync_debug_mode("error")
    try:
        near = AtomOT().pair(x0, eps, real).noise
    finally:
        torch.cuda.set_sync_debug_mode("default")
    exact = AtomOT(engine=HOST).pair(x0.cpu(), eps.cpu(), real.cpu()).noise
    costs = [float((x0.cpu() - noise.cpu()).square().sum()) for noise in (near, exact)]
    assert costs[0] == pytest.approx(costs[1], rel=0.03)

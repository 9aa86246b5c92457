from __future__ import annotations

import pytest
import torch

from molgen.nn.block import Block, ChannelMix, NetworkDims, pair_distances
from molgen.nn.network import EquivariantTransformer, NetworkSpec

from ..networks import WIDTH, estimate_of, random_case, random_model  # noqa: TID252


def test_pair_distances_are_euclidean() -> None:
    frames = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    distances = pair_distances(frames)
    for channel in range(4):
        expected = torch.cdist(frames[..., channel], frames[..., channel])
        # 1e-6 under the root keeps the gradient finite at zero.
        torch.testing.assert_close(distances[..., channel], expected, rtol=1e-5, atol=1e-3)


def test_coincident_atoms_have_a_finite_gradient() -> None:
    frames = torch.zeros(1, 3, 3, 1, requires_grad=True)
    pair_distances(frames).sum().backward()
    assert frames.grad is not None
    assert bool(frames.grad.isfinite().all())


def test_autocast_leaves_channel_mixing_exact() -> None:
    mix = ChannelMix(6, 4)
    vectors = torch.randn(2, 5, 3, 6)
    exact = mix(vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mix(vectors), exact)


def test_vectors_stay_float32_under_autocast() -> None:
    model = random_model()
    case = random_case([5, 8], 5, torch.float32, hinted=True)
    streams: list[tuple[torch.dtype, ...]] = []
    hooks = [
        block.register_forward_hook(
            lambda _, __, output: streams.append(tuple(part.dtype for part in output))
        )
        for block in model.network.blocks
    ]
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            estimate = estimate_of(model, case)
    finally:
        for hook in hooks:
            hook.remove()
    assert [dtypes[1] for dtypes in streams] == [torch.float32] * 2
    assert estimate.pos.dtype == torch.float32
    # Autocast was on: other streams are coarse, so the estimates differ, but a little only.
    exact = estimate_of(model, case)
    assert not torch.equal(estimate.bond.float(), exact.bond)
    torch.testing.assert_close(estimate.pos, exact.pos, rtol=0.1, atol=0.1)


def test_a_new_block_ignores_the_noise_level() -> None:
    block = Block(WIDTH)
    batch, n = 2, 4
    scalars = torch.randn(batch, n, WIDTH.scalar)
    vectors = torch.randn(batch, n, 3, WIDTH.vector)
    pairs = torch.randn(batch, n, n, WIDTH.pair)
    mask = torch.ones(batch, n, n, dtype=torch.bool)
    quiet, loud = torch.zeros(batch, 1, WIDTH.noise), torch.randn(batch, n, WIDTH.noise)
    for one, other in zip(
        block(scalars, vectors, pairs, quiet, mask),
        block(scalars, vectors, pairs, loud, mask),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_an_empty_row_of_the_batch_stays_finite() -> None:
    case = random_case([4, 6], 6, torch.float32, hinted=False)
    mask = case.mask.clone()
    mask[0] = False
    estimate = random_model()(case.state, case.lam, mask)
    for part in (estimate.pos, estimate.element, estimate.charge, estimate.bond):
        assert bool(part.isfinite().all())


@pytest.mark.parametrize("n_layers", [1, 3])
def test_shapes(n_layers: int) -> None:
    sizes = NetworkSpec(n_elements=4, n_charges=2, n_bonds=3, n_layers=n_layers, n_radial=5)
    network = EquivariantTransformer(sizes, NetworkDims(16, 4, 8, 8, 2, 2, 16, 8))
    batch, n = 2, 6
    case = random_case([n, n], 0, torch.float32, hinted=False)
    self_cond = type(random_model().no_self_cond(case.mask))(
        torch.zeros(batch, n, 3), torch.zeros(batch, n, 4), torch.zeros(batch, n, n, 3)
    )
    lam = torch.zeros(batch)
    element = torch.randn(batch, n, 4)
    estimate = network(case.state["pos"], element, lam, lam, self_cond, case.mask)
    assert estimate.pos.shape == (batch, n, 3)
    assert estimate.element.shape == (batch, n, 4)
    assert estimate.charge.shape == (batch, n, 2)
    assert estimate.bond.shape == (batch, n, n, 3)

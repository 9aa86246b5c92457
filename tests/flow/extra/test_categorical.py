"""Discrete processes: exact valence_bp, Bayes' rule, closed forms; classes as Gaussian vectors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import Gaussian, unit_tv
from molgen.flow.extra.categorical import AnalogBits, Categorical, Masked, Uniform, draw, survival
from molgen.flow.extra.multi import MultiProcess
from molgen.flow.process import ScaledOneHot

levels = st.floats(-4, 5)
gaps = st.floats(0.01, 4)
K = 4
PROCESSES = [Masked(K), Uniform(K), Uniform(K, (1.0, 2.0, 0.5, 4.0))]
processes = st.sampled_from(PROCESSES)
B, N = 3, 5
MASK = torch.arange(N) < torch.tensor([[5], [3], [1]])


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def data(seed: int) -> Tensor:
    """A distribution over the classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(K, generator=generator, dtype=torch.float64).pow(3).softmax(0)


def noise(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*(shape or (B, N)), generator=generator, dtype=torch.float64)


def classes(seed: int) -> Tensor:
    """Clean one-hot rows, padding zero."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(K, (B, N), generator=generator)
    return torch.nn.functional.one_hot(index, K).double() * MASK[..., None]


def transition(process: Categorical, lam: Tensor, since: Tensor | None = None) -> Tensor:
    """Forward probabilities ``[S, S]`` from ``since`` (clean data if None) to ``lam``."""
    alpha = survival(lam)[0] / (1 if since is None else survival(since)[0])
    states = torch.eye(process.n_states, dtype=torch.float64)
    return alpha * states + (1 - alpha) * process.limit(states)


def marginal(process: Categorical, p0: Tensor, lam: Tensor) -> Tensor:
    """Distribution of the states at ``lam``."""
    wide = torch.zeros(process.n_states, dtype=torch.float64)
    wide[:K] = p0
    return wide @ transition(process, lam)


def believed(process: Categorical, p0: Tensor, lam: Tensor) -> Tensor:
    """Probabilities of the classes given each state at ``lam``, ``[S, K]``."""
    joint = p0[:, None] * transition(process, lam)[:K]
    return (joint / joint.sum(0).clamp_min(1e-300)).T


# ------------------------------------------------------------------------------------- drawing


@given(st.integers(0, 99))
def test_draws_follow_their_probabilities(seed: int) -> None:
    p, n = data(seed), 4000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    share = draw(p.expand(n, K), u).mean(0)
    assert (share - p).abs().max() <= 1 / n


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(seed=st.integers(0, 9999))
def test_impossible_classes_are_never_drawn(dtype: torch.dtype, seed: int) -> None:
    p = noise(seed, 64, K).to(dtype)
    p[:, seed % K] = 0.0
    almost_one = torch.nextafter(torch.ones(64, dtype=dtype), torch.zeros((), dtype=dtype))
    for u in (torch.zeros(64, dtype=dtype), noise(seed + 1, 64).to(dtype), almost_one):
        drawn = draw(p, u)
        assert not drawn[:, seed % K].any()
        assert torch.equal(drawn.sum(-1), torch.ones(64, dtype=dtype))


# ------------------------------------------------------------------------------------- the process


@given(levels)
def test_survival_is_the_power_of_the_gaussian_signal(lam: float) -> None:
    a, b = unit_tv(scalar(lam))
    alpha, lost = survival(scalar(lam))
    assert float(alpha) == pytest.approx(float(a**2), rel=1e-12)
    assert float(lost) == pytest.approx(float(b**2), rel=1e-12)


@given(processes, levels, st.integers(0, 99))
def test_corruption_has_the_stated_marginal(process: Categorical, lam: float, seed: int) -> None:
    p0, n = data(seed), 4000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x = process.corrupt(p0.expand(1, n, K), u[None], scalar(lam))
    assert (x.mean((0, 1)) - marginal(process, p0, scalar(lam))).abs().max() <= 1 / n


@given(processes, levels, gaps, st.integers(0, 99))
def test_the_posterior_is_bayes_rule(
    process: Categorical, lam: float, gap: float, seed: int
) -> None:
    """Against sums over all paths, for any opinion about the data that the state allows."""
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    first, second = transition(process, lam_s), transition(process, lam_t, lam_s)
    whole = transition(process, lam_t)
    for state in range(process.n_states):
        x_t = torch.eye(process.n_states, dtype=torch.float64)[state].view(1, 1, -1)
        opinion = data(seed) * (whole[:K, state] > 0)
        opinion = opinion / opinion.sum()
        paths = first[:K] * second[:, state] / whole[:K, state, None].clamp_min(1e-300)
        expected = opinion @ paths
        got = process.posterior(x_t, opinion.view(1, 1, K), lam_t, lam_s).flatten()
        torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-9)


@given(processes, st.lists(levels, min_size=3, max_size=6, unique=True), st.integers(0, 99))
def test_marginals_stay_exact_through_any_number_of_steps(
    process: Categorical, lams: list[float], seed: int
) -> None:
    p0, path = data(seed), [scalar(lam) for lam in sorted(lams)]
    states = torch.eye(process.n_states, dtype=torch.float64)[None]
    law = marginal(process, p0, path[0])
    for lam_t, lam_s in itertools.pairwise(path):
        x0 = believed(process, p0, lam_t)[None]
        law = law @ process.posterior(states, x0, lam_t, lam_s)[0]
    torch.testing.assert_close(law, marginal(process, p0, path[-1]), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("process", PROCESSES)
def test_sampled_steps_reach_the_data(process: Categorical) -> None:
    """20 000 rows: the largest standard error of a share is 0.0035."""
    p0, n = data(3), 20_000
    path = [scalar(lam) for lam in (-3.0, -1.0, 0.0, 1.0, math.inf)]
    x = process.corrupt(p0.expand(1, n, K), noise(0, 1, n), path[0])
    for index, (lam_t, lam_s) in enumerate(itertools.pairwise(path)):
        x0 = believed(process, p0, lam_t)[x.argmax(-1)]
        x = process.step(x, x0, lam_t, lam_s, z=noise(index + 1, 1, n))
    assert (x[..., :K].mean((0, 1)) - p0).abs().max() < 0.014


@given(st.lists(levels, min_size=3, max_size=6, unique=True), st.integers(0, 99))
def test_what_is_open_stays_as_it_is(lams: list[float], seed: int) -> None:
    process, x0 = Masked(K), classes(seed)
    path = [scalar(lam) for lam in sorted(lams)]
    opinion = data(seed).expand(B, N, K)
    x = process.corrupt(x0, noise(seed), path[0])
    for index, (lam_t, lam_s) in enumerate(itertools.pairwise(path)):
        x_s = process.step(x, opinion, lam_t, lam_s, z=noise(seed + index))
        is_open = x[..., :K].sum(-1) > 0
        assert torch.equal(x_s[is_open], x[is_open])
        x = x_s
    clean = process.step(x, opinion, path[-1], scalar(math.inf), z=noise(seed + 50))
    assert not clean[..., K].any()


@given(levels, gaps, st.floats(0.01, 0.99))
def test_two_classes_have_closed_forms(lam: float, gap: float, p: float) -> None:
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    alpha_t, alpha_s = float(survival(lam_t)[0]), float(survival(lam_s)[0])
    ratio = alpha_t / alpha_s
    x_t = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    x0 = torch.tensor([[[p, 1 - p]]], dtype=torch.float64)
    agree = (1 + ratio) * (1 + alpha_s) / (2 * (1 + alpha_t))
    # Without cancellation where alpha_t is nearly 1.
    lost_t = float(survival(lam_t)[1])
    differ = (1 + ratio) * float(survival(lam_s)[1]) / (2 * lost_t)
    got = Uniform(2).posterior(x_t, x0, lam_t, lam_s).flatten()
    assert float(got[0]) == pytest.approx(p * agree + (1 - p) * differ, rel=1e-9)
    hidden = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
    opened = (alpha_s - alpha_t) / (1 - alpha_t)
    got = Masked(2).posterior(hidden, x0, lam_t, lam_s).flatten()
    expected = [p * opened, (1 - p) * opened, 1 - opened]
    assert got.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(processes, st.lists(levels, min_size=B, max_size=B), st.integers(0, 99))
def test_rows_that_do_not_move_stay_bit_equal(
    process: Categorical, lams: list[float], seed: int
) -> None:
    lam_t = torch.tensor(lams, dtype=torch.float64)
    lam_s = lam_t + torch.tensor([0.0, 1.0, math.inf])
    lam_t[2] = math.inf
    x_t = process.corrupt(classes(seed), noise(seed), lam_t)
    moved = process.step(x_t, data(seed).expand(B, N, K), lam_t, lam_s, z=noise(seed + 1))
    assert torch.equal(moved[[0, 2]], x_t[[0, 2]])
    assert torch.equal(x_t[2, :1, :K], classes(seed)[2, :1])


@given(processes, levels, gaps, st.integers(0, 99))
def test_padding_stays_zero(process: Categorical, lam: float, gap: float, seed: int) -> None:
    start = process.start(noise(seed), scalar(lam), MASK)
    assert torch.equal(start.sum(-1), MASK.double())
    x_t = process.corrupt(classes(seed), noise(seed), scalar(lam))
    x0 = data(seed).expand(B, N, K) * MASK[..., None]
    x_s = process.step(x_t, x0, scalar(lam), scalar(lam + gap), z=noise(seed + 1))
    for x in (x_t, x_s):
        assert torch.equal(x.sum(-1), MASK.double())


def test_starts_are_pure_noise() -> None:
    assert torch.equal(
        Masked(K).decode(Masked(K).start(noise(0), scalar(0.0))), torch.full((B, N), K)
    )
    process, n = Uniform(K, (1.0, 2.0, 0.5, 4.5)), 4000
    u = (torch.arange(n, dtype=torch.float64)[None] + 0.5) / n
    share = process.start(u, scalar(0.0)).mean((0, 1))
    assert share.tolist() == pytest.approx([0.125, 0.25, 0.0625, 0.5625], abs=1 / n)


@pytest.mark.parametrize("process", PROCESSES)
def test_indices_and_states_are_inverse(process: Categorical) -> None:
    index = torch.arange(process.n_states)
    assert torch.equal(process.decode(process.encode(index)), index)


def test_bad_requests_are_refused() -> None:
    x = Masked(K).encode(torch.zeros(B, N, dtype=torch.int64))
    for bad in (
        lambda: Masked(1),
        lambda: Uniform(3, (1.0, 1.0)),
        lambda: Uniform(2, (1.0, 0.0)),
        lambda: Masked(K).step(x, x[..., :K], scalar(0.0), scalar(1.0)),
        lambda: ScaledOneHot(scale=0.0),
        lambda: AnalogBits(n_classes=1),
    ):
        with pytest.raises(UsageError):
            bad()


# ------------------------------------------------------------------------- classes as vectors

CODES = [ScaledOneHot(scale=0.25), *(AnalogBits(scale=2.0, n_classes=k) for k in (2, 5, 16, 17))]


@pytest.mark.parametrize("process", CODES)
def test_codes_are_decoded(process: ScaledOneHot) -> None:
    n = process.n_classes if isinstance(process, AnalogBits) else 7
    one_hot = torch.eye(n)
    codes = process.encode(one_hot)
    assert torch.equal(process.decode(codes), torch.arange(n))
    assert torch.equal(process.decode(0.6 * codes), torch.arange(n))


@pytest.mark.parametrize("process", CODES)
def test_clean_data_of_logits_are_the_expected_code(process: ScaledOneHot) -> None:
    n = process.n_classes if isinstance(process, AnalogBits) else 7
    logits = torch.randn(B, N, n, generator=torch.Generator().manual_seed(0))
    expected = logits.softmax(-1) @ process.encode(torch.eye(n))
    torch.testing.assert_close(process.clean_from_logits(logits), expected)


def test_bits_are_as_few_as_can_be() -> None:
    assert [AnalogBits(n_classes=k).n_bits for k in (2, 3, 4, 5, 8, 9)] == [1, 2, 2, 3, 3, 4]
    codes = AnalogBits(n_classes=5, scale=0.5).codes(torch.zeros(()))
    assert codes.tolist()[4] == [0.5, -0.5, -0.5]


def test_one_hot_codes_are_centred_and_scaled() -> None:
    p = torch.rand(B, N, K, generator=torch.Generator().manual_seed(1)).softmax(-1)
    code = ScaledOneHot(scale=4.0).encode(p)
    assert torch.equal(code, (p - 1 / K) * 4.0)
    assert code.sum(-1).abs().max() < 1e-6


@given(levels, gaps)
def test_codes_are_a_gaussian_modality(lam: float, gap: float) -> None:
    generator = torch.Generator().manual_seed(2)
    x0, eps = torch.randn(2, B, N, K, generator=generator, dtype=torch.float64)
    code, plain = ScaledOneHot(scale=2.0), Gaussian()
    t, s = scalar(lam), scalar(lam + gap)
    both = MultiProcess({"code": code, "plain": plain})
    x = both.corrupt({"code": x0, "plain": x0}, {"code": eps, "plain": eps}, t)
    end = both.step(x, {"code": x0, "plain": x0}, t, s)
    assert torch.equal(end["code"], end["plain"])

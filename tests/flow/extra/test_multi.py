"""Several modalities on one clock: leads, time offsets, scaffolds, one step for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import DDIM, ISSNR, Gaussian, OTFlow, TimeGrid, unit_tv
from molgen.flow.extra.bridge import FromStructure
from molgen.flow.extra.categorical import Masked
from molgen.flow.extra.clocks import TimeOffset, held, revised
from molgen.flow.extra.multi import MultiProcess
from molgen.flow.process import ScaledOneHot

if TYPE_CHECKING:
    from molgen.flow.state import State

levels = st.floats(-4, 4)
gaps = st.floats(0.01, 4)
B, N, K = 3, 5, 4
MASK = torch.arange(N) < torch.tensor([[5], [3], [2]])
KNOWN = torch.arange(N) < torch.tensor([[2], [3], [0]])


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def process(**offsets: float) -> MultiProcess:
    kinds = {"pos": Gaussian(zero_com=True), "element": ScaledOneHot(scale=2.0), "bond": Masked(K)}
    return MultiProcess(kinds, offsets)


def draw(seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Clean data and raw noise of every modality."""
    generator = torch.Generator().manual_seed(seed)
    pos, eps = torch.randn(2, B, N, 3, generator=generator, dtype=torch.float64)
    code, eta = torch.randn(2, B, N, K, generator=generator, dtype=torch.float64)
    bond = torch.eye(K, dtype=torch.float64)[torch.randint(K, (B, N), generator=generator)]
    uniform = torch.rand(B, N, generator=generator, dtype=torch.float64)
    clean = {"pos": pos, "element": code, "bond": bond}
    return clean, {"pos": eps, "element": eta, "bond": uniform}


# ------------------------------------------------------------------------------------- one step


@given(levels, gaps, st.floats(-2, 2), st.integers(0, 99))
def test_every_modality_moves_as_it_does_alone(
    lam: float, gap: float, lead: float, seed: int
) -> None:
    (x0, noise), many = draw(seed), process(element=lead)
    t, s = scalar(lam), scalar(lam + gap)
    x_t = many.corrupt(x0, noise, t)
    x_s = many.step(x_t, x0, t, s, 0.5, noise)
    for name, kind in many.processes.items():
        ahead = lead if name == "element" else 0.0
        own_t, own_s = scalar(lam + ahead), scalar(lam + gap + ahead)
        alone = kind.corrupt(x0[name], noise[name], own_t)
        assert torch.equal(x_t[name], alone)
        assert torch.equal(x_s[name], kind.step(alone, x0[name], own_t, own_s, 0.5, noise[name]))


def test_the_last_step_makes_everything_clean() -> None:
    x0, noise = draw(0)
    many = process(element=1.5)
    end = many.step(
        many.corrupt(x0, noise, scalar(0.0)), x0, scalar(0.0), scalar(math.inf), 1.0, noise
    )
    assert torch.equal(end["pos"], x0["pos"])
    assert torch.equal(end["element"], x0["element"])
    assert torch.equal(end["bond"][..., :K].sum(-1), torch.ones(B, N, dtype=torch.float64))


def test_starts_come_from_processes_or_other_priors() -> None:
    x0, noise = draw(1)
    many, lam = process(), scalar(-3.0)
    start = many.start(noise, lam, MASK)
    assert torch.equal(start["pos"], Gaussian(zero_com=True).prior(noise["pos"], MASK))
    assert start["bond"][..., K].sum() == MASK.sum()
    x_hat = Gaussian(zero_com=True).project(x0["pos"], MASK)
    prior = FromStructure(x_hat, zero_com=True)
    other = many.start(noise, lam, MASK, {"pos": prior})
    assert torch.equal(other["pos"], prior.start(noise["pos"], lam, MASK))
    assert torch.equal(other["element"], start["element"])


def test_training_levels_follow_each_sample() -> None:
    lam = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    lead = held(KNOWN, MASK)
    clock = TimeOffset(OTFlow(), 0.5, 0.5)
    many = MultiProcess(
        dict.fromkeys("abcd", Gaussian()), {"b": lead, "c": clock, "d": revised(KNOWN, MASK, 1.0)}
    )
    assert torch.equal(many.levels("a", lam), lam)
    assert torch.equal(many.levels("b", lam), lam[:, None] + lead)
    assert torch.equal(many.levels("c", lam), torch.stack([clock(float(each)) for each in lam]))
    for index, each in enumerate(lam):
        for name in "bd":
            assert torch.equal(many.levels(name, lam)[index], many.levels(name, each)[index])


def test_leads_of_unknown_modalities_are_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        process(colour=1.0)


# ------------------------------------------------------------------------------- time offsets


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_time_offsets_have_the_published_form(span: float, share: float, t: float) -> None:
    schedule, ahead = OTFlow(t_min=0.0, t_max=1.0), share * span
    lam = float(schedule.lam(scalar(t)))
    own = min(max(t * (1 + span) - ahead, 0.0), 1.0)
    got = schedule.t_of_lam(TimeOffset(schedule, span, ahead)(lam))
    assert float(got) == pytest.approx(own, abs=1e-9)


@pytest.mark.parametrize("schedule", [OTFlow(), ISSNR(1.5, 1.0)])
def test_leaders_are_clean_first_and_followers_start_last(schedule: OTFlow | ISSNR) -> None:
    span = 0.3
    first, last = TimeOffset(schedule, span, span), TimeOffset(schedule, span, 0.0)
    noisy, clean = (float(schedule.lam(scalar(t))) for t in (schedule.t_max, schedule.t_min))
    times = torch.linspace(schedule.t_max, schedule.t_min, 40, dtype=torch.float64)
    lams = schedule.lam(times).tolist()
    ahead, behind = (torch.stack([clock(lam) for lam in lams]) for clock in (first, last))
    assert (ahead >= behind - 1e-9).all()
    for path in (ahead, behind):
        assert float(path[0]) == pytest.approx(noisy, rel=1e-9)
        assert float(path[-1]) == pytest.approx(clean, rel=1e-9)
        assert (path.diff() >= 0).all()
    waits, rests = (behind == behind[0]).double().mean(), (ahead == ahead[-1]).double().mean()
    assert float(waits) == pytest.approx(span / (1 + span), abs=0.05)
    assert float(rests) == pytest.approx(span / (1 + span), abs=0.05)
    assert first(math.inf).item() == last(math.inf).item() == math.inf


def test_leads_outside_the_span_are_refused() -> None:
    for ahead in (-0.1, 0.4):
        with pytest.raises(UsageError):
            TimeOffset(OTFlow(), 0.3, ahead)


class Molecules:
    """Sixteen molecules: 'kind' is a code word, 'pos' is what only that kind may have."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kind = torch.nn.functional.one_hot(torch.arange(16), 16).double()
        self.kind = (self.kind - 1 / 16) * 4
        self.pos = torch.randn(16, 12, generator=generator, dtype=torch.float64)
        self.width = {"kind": 0.05, "pos": 0.05}

    def denoiser(self, many: MultiProcess):  # noqa: ANN201
        def denoise(x: State, lam: Tensor) -> State:
            assert isinstance(x, Mapping)
            means, logits = {"kind": self.kind, "pos": self.pos}, torch.zeros(len(x["pos"]), 16)
            parts = {}
            for name, mean in means.items():
                a, b = unit_tv(many.levels(name, lam))
                variance = a**2 * self.width[name] ** 2 + b**2
                away = x[name][:, None] - a * mean
                logits = logits - 0.5 * (away**2).sum(-1) / variance
                parts[name] = (a, variance, mean)
            weight = logits.softmax(-1)
            return {
                name: weight @ mean
                + a * self.width[name] ** 2 / variance * (x[name] - a * (weight @ mean))
                for name, (a, variance, mean) in parts.items()
            }

        return denoise

    def consistency(self, x: Mapping[str, Tensor]) -> float:
        """Share of samples whose positions are valid and belong to their kind."""
        kind = torch.cdist(x["kind"], self.kind).argmin(1)
        away = torch.cdist(x["pos"], self.pos)
        width = self.width["pos"] * math.sqrt(12)
        return float(((away.argmin(1) == kind) & (away.amin(1) < 2 * width)).double().mean())


def sampled(many: MultiProcess, n_steps: int) -> float:
    toy, generator = Molecules(), torch.Generator().manual_seed(1)
    x = {
        "kind": torch.randn(2000, 16, generator=generator, dtype=torch.float64),
        "pos": torch.randn(2000, 12, generator=generator, dtype=torch.float64),
    }
    grid = TimeGrid.uniform(OTFlow(), n_steps)
    denoise = toy.denoiser(many)
    for now, then in pairwise(grid.lam):
        x = many.step(x, denoise(x, scalar(now)), scalar(now), scalar(then))
    return toy.consistency(x)


def test_kinds_that_lead_make_three_steps_enough() -> None:
    kinds = {"kind": Gaussian(), "pos": Gaussian()}
    plain = sampled(MultiProcess(kinds), 3)
    constant = sampled(MultiProcess(kinds, {"kind": 2.5}), 3)
    clocks = {"kind": TimeOffset(OTFlow(), 0.5, 0.5), "pos": TimeOffset(OTFlow(), 0.5, 0.0)}
    timed = sampled(MultiProcess(kinds, clocks), 3)
    # Measured: 0.938, 1.000 and 0.999 of 2000 samples.
    assert plain < 0.95
    assert min(constant, timed) > 0.98


# ------------------------------------------------------------------------------------- scaffolds


def test_known_atoms_are_held_clean() -> None:
    (x0, noise), lead = draw(2), held(KNOWN, MASK)
    assert lead[KNOWN].isinf().all()
    assert not lead[~KNOWN].any()
    many = MultiProcess({"pos": Gaussian()}, {"pos": lead})
    pos = {"pos": x0["pos"]}
    x = many.corrupt(pos, {"pos": noise["pos"]}, scalar(-2.0))
    assert torch.equal(x["pos"][KNOWN], x0["pos"][KNOWN])
    wrong = {"pos": torch.randn_like(x0["pos"])}
    for now, then in ((-2.0, 0.0), (0.0, math.inf)):
        x = many.step(x, wrong, scalar(now), scalar(then), 1.0, {"pos": noise["pos"]})
    assert torch.equal(x["pos"][KNOWN], x0["pos"][KNOWN])
    assert torch.equal(x["pos"][~KNOWN], wrong["pos"][~KNOWN])


def test_scaffolds_drift_as_far_as_their_noise_allows() -> None:
    """A network that wants the scaffold elsewhere moves it less, the less noise it gets."""
    (x0, noise), elsewhere = draw(3), 0.5
    clean, grid = x0["pos"], TimeGrid.log_snr(0.01, 10.0, 12, to_data=False)

    def denoise(x: State, lam: Tensor) -> State:
        """Exact for atoms with standard deviation 0.1 about a shifted scaffold."""
        assert isinstance(x, Tensor)
        a, b = unit_tv(clock(float(lam)))
        a, b = a[..., None], b[..., None]
        centre = clean + elsewhere
        return centre + a * 0.01 / (a**2 * 0.01 + b**2) * (x - a * centre)

    drifts = []
    for lam in (-1.0, 1.0, 2.0, 3.0, 4.0, math.inf):
        clock = revised(KNOWN, MASK, lam)
        a, b = unit_tv(clock(grid.lam[0]))
        x = a[..., None] * clean + b[..., None] * noise["pos"]
        end = DDIM().solve(denoise, x, grid, offsets={"": clock})
        assert isinstance(end, Tensor)
        drifts.append(float((end - clean)[KNOWN].abs().mean()))
    assert all(low > high for low, high in pairwise(drifts))
    assert drifts[-2] < 0.02
    assert drifts[-1] == 0.0


def test_scaffolds_larger_than_their_molecule_are_refused() -> None:
    known = KNOWN.clone()
    known[1] = True
    for bad in (lambda: held(known, MASK), lambda: revised(known, MASK, 2.0)):
        with pytest.raises(UsageError, match="5 atoms, the molecule 3"):
            bad()

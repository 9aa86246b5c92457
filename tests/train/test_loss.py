"""The joint loss and the corruption of batches, on real molecules."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from molgen.chem.elements import Vocabulary
from molgen.config import LossConfig
from molgen.data.loader import Batch, DeviceData, load_split
from molgen.data.store import MoleculeStore
from molgen.flow.asynchronous import CLEAN_LEVEL, Completion, is_given
from molgen.flow.coupling import AtomOT, Independent
from molgen.flow.times import LogUniform
from molgen.models.denovo import POS
from molgen.nn.network import Estimate
from molgen.train.loss import TERMS, Corrupted, corrupt, per_molecule, random_orthogonal, total

from ..networks import random_model  # noqa: TID252

SCALE = random_model().scales.pos
LOSS = LossConfig()
levels = st.floats(-3.5, 4.5)
seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def real() -> DeviceData:
    store = MoleculeStore.open(Path(__file__).resolve().parents[2] / "data" / "sample")
    return load_split(store, "train", Vocabulary((1, 6, 7, 8, 9), (-1, 0, 1)))


def noised(batch: Batch, lam: float, seed: int = 0) -> Corrupted:
    """A corrupted batch; made in float32 as training does, then exact for the comparisons."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.full((len(batch.mask),), lam)
    made = corrupt(random_model(), batch, levels, Independent(), generator)
    state = {name: value.double() for name, value in made.state.items()}
    return Corrupted(state, made.clean_pos.double(), made.lam.double(), made.lam_element.double())


def perfect(batch: Batch, clean_pos: Tensor) -> Estimate:
    """What a network that knows everything would say."""

    def sure(classes: Tensor, n_classes: int) -> Tensor:
        return 50.0 * functional.one_hot(classes, n_classes).to(clean_pos)

    return Estimate(clean_pos, sure(batch.element, 5), sure(batch.charge, 3), sure(batch.bond, 5))


def guess(batch: Batch, seed: int) -> Estimate:
    """What a network that knows nothing would say."""
    generator = torch.Generator().manual_seed(seed)
    b, n = batch.mask.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    bond = normal(b, n, n, 5)
    return Estimate(
        POS.project(normal(b, n, 3), batch.mask),
        normal(b, n, 5),
        normal(b, n, 3),
        bond + bond.transpose(1, 2),
    )


def terms_of(estimate: Estimate, batch: Batch, state: Corrupted) -> dict[str, Tensor]:
    return per_molecule(estimate, batch, state, LOSS, SCALE)


@settings(max_examples=10)
@given(levels, seeds)
def test_a_perfect_estimate_costs_nothing(real: DeviceData, lam: float, seed: int) -> None:
    batch = real.batch(torch.arange(6))
    state = noised(batch, lam, seed)
    terms = terms_of(perfect(batch, state.clean_pos), batch, state)
    assert tuple(terms) == TERMS
    for name, term in terms.items():
        assert term.shape == (6,)
        assert float(term.abs().max()) < 1e-9, name
    assert float(total(terms, LOSS)) < 1e-8


@settings(max_examples=15)
@given(levels, seeds, st.tuples(*[st.floats(0, 6.3)] * 3), st.booleans())
def test_the_loss_does_not_see_rotations_and_reflections(
    real: DeviceData, lam: float, seed: int, turn: tuple, reflect: bool
) -> None:
    batch = real.batch(torch.arange(6))
    state, estimate = noised(batch, lam), guess(batch, seed)
    alpha, beta, gamma = torch.tensor(turn, dtype=torch.float64)
    parity = torch.tensor(float(reflect), dtype=torch.float64)
    matrix = o3.Irreps("1o").D_from_angles(alpha, beta, gamma, parity).T
    here = terms_of(estimate, batch, state)
    there = terms_of(
        replace(estimate, pos=estimate.pos @ matrix),
        batch,
        replace(state, clean_pos=state.clean_pos @ matrix),
    )
    for name in TERMS:
        torch.testing.assert_close(there[name], here[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lam", [-1.0, 4.0])
def test_padding_does_not_change_the_loss_of_a_molecule(real: DeviceData, lam: float) -> None:
    batch = real.batch(torch.tensor([0, 7, 55]))
    state, estimate = noised(batch, lam), guess(batch, 1)
    together = terms_of(estimate, batch, state)
    for row, n in enumerate(batch.mask.sum(dim=1).tolist()):
        alone = slice(row, row + 1)
        bare = Batch(
            batch.pos[alone, :n],
            batch.element[alone, :n],
            batch.charge[alone, :n],
            batch.bond[alone, :n, :n],
            batch.mask[alone, :n],
        )
        said = Estimate(
            estimate.pos[alone, :n],
            estimate.element[alone, :n],
            estimate.charge[alone, :n],
            estimate.bond[alone, :n, :n],
        )
        clean = replace(
            state,
            clean_pos=state.clean_pos[alone, :n],
            lam=state.lam[alone],
            lam_element=state.lam_element[alone],
        )
        terms = terms_of(said, bare, clean)
        for name in TERMS:
            torch.testing.assert_close(terms[name][0], together[name][row], rtol=1e-6, atol=1e-6)


def test_terms_are_what_they_say(real: DeviceData) -> None:
    """Against loops over the atoms and pairs of one molecule."""
    batch = real.batch(torch.tensor([3]))
    state, estimate = noised(batch, 2.5), guess(batch, 2)
    terms = {name: float(term) for name, term in terms_of(estimate, batch, state).items()}
    n = int(batch.mask.sum())

    def surprise(logits: Tensor, truth: Tensor) -> float:
        return -float(logits.log_softmax(-1)[truth])

    squared = (estimate.pos - state.clean_pos).square().mean()
    assert terms["pos"] == pytest.approx(float(squared) * min(1 + math.exp(5.0), 2000), rel=1e-5)
    for name, logits, truth in (
        ("element", estimate.element, batch.element),
        ("charge", estimate.charge, batch.charge),
    ):
        by_hand = sum(surprise(logits[0, i], truth[0, i]) for i in range(n)) / n
        assert terms[name] == pytest.approx(by_hand, rel=1e-5)

    bond = weights = wrong = near = 0.0
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            weight = LOSS.bonded if batch.bond[0, i, j] else 1.0
            bond += weight * surprise(estimate.bond[0, i, j], batch.bond[0, i, j])
            weights += weight
            clean = float((state.clean_pos[0, i] - state.clean_pos[0, j]).norm()) * SCALE
            said = float((estimate.pos[0, i] - estimate.pos[0, j]).norm()) * SCALE
            if clean < LOSS.distance_reach:
                error = abs(said - clean) / 0.1
                wrong += 0.5 * error**2 if error < 1 else error - 0.5
                near += 1
    assert terms["bond"] == pytest.approx(bond / weights, rel=1e-5)
    assert terms["distance"] == pytest.approx(wrong / near, rel=1e-4)


@given(levels)
def test_the_distance_term_is_off_above_its_noise(real: DeviceData, lam: float) -> None:
    batch = real.batch(torch.arange(3))
    state = noised(batch, lam)
    distance = terms_of(guess(batch, 3), batch, state)["distance"]
    assert bool((distance > 0).all()) == (math.exp(-lam) * SCALE < LOSS.distance_sigma)
    assert bool((distance > 0).any()) == bool((distance > 0).all())


def test_the_total_weighs_the_terms() -> None:
    terms = {name: torch.tensor([1.0, 3.0]) * 10**place for place, name in enumerate(TERMS)}
    config = LossConfig(pos=1, element=2, charge=3, bond=4, distance=5)
    assert float(total(terms, config)) == pytest.approx(2 * 54321)


def test_turns_are_spread_over_rotations_and_reflections() -> None:
    turns = random_orthogonal(4000, torch.Generator().manual_seed(0), torch.device("cpu"))
    identity = torch.eye(3).expand(4000, 3, 3)
    torch.testing.assert_close(turns @ turns.transpose(1, 2), identity, rtol=0, atol=1e-5)
    share = float((torch.linalg.det(turns) > 0).float().mean())
    assert share == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))
    # Haar measure: entries have mean 0 and variance 1/3, and no preferred direction.
    assert float(turns.mean(dim=0).abs().max()) < 4 / math.sqrt(3 * 4000)
    assert float((turns.var(dim=0) - 1 / 3).abs().max()) < 0.03


@settings(max_examples=10)
@given(levels, seeds)
def test_corruption_mixes_clean_data_and_noise_at_unit_total_variance(
    real: DeviceData, lam: float, seed: int
) -> None:
    batch = real.batch(torch.arange(8))
    state = noised(batch, lam, seed)
    signal, noise = 1 / math.sqrt(1 + math.exp(-2 * lam)), 1 / math.sqrt(1 + math.exp(2 * lam))
    added = (state.state["pos"] - signal * state.clean_pos) / noise
    for pos in (state.state["pos"], state.clean_pos, added):
        assert float(pos.sum(dim=1).abs().max()) < 1e-4
        assert not bool(pos[~batch.mask].any())
    # The clean molecules are the batch's own, turned.
    clean = state.clean_pos * SCALE
    there = batch.pos.double()
    torch.testing.assert_close(
        torch.cdist(clean, clean), torch.cdist(there, there), rtol=0, atol=1e-5
    )
    ahead = lam + random_model().scales.element_lead
    signal, noise = 1 / math.sqrt(1 + math.exp(-2 * ahead)), 1 / math.sqrt(1 + math.exp(2 * ahead))
    one_hot = functional.one_hot(batch.element, 5).double()
    expected = signal * random_model().clean_elements(one_hot) * batch.mask[..., None]
    added = (state.state["element"] - expected) / noise
    assert not bool(added[~batch.mask].any())
    spread = float(added[batch.mask].std())
    assert spread == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("lam", [-3.0, 0.0, 3.0])
def test_every_degree_of_freedom_has_unit_variance(real: DeviceData, lam: float) -> None:
    batch = real.batch(torch.arange(240))
    freedom = 3 * (batch.mask.sum() - 240)
    clean = noised(batch, lam).clean_pos.square().sum() / freedom
    variances = [
        float(noised(batch, lam, seed).state["pos"].square().sum() / freedom) for seed in range(3)
    ]
    share = 1 / (1 + math.exp(-2 * lam))
    expected = share * float(clean) + (1 - share)
    assert sum(variances) / 3 == pytest.approx(expected, rel=0.02)
    # QM9's coordinates have about the variance that the scale of 1.4 Å takes out.
    assert expected == pytest.approx(1, abs=0.12)


def test_pairing_keeps_the_noise_and_shortens_the_way(real: DeviceData) -> None:
    batch = real.batch(torch.arange(16))
    lam = torch.full((16,), -20.0)  # nothing but noise
    here, there = (
        corrupt(random_model(), batch, lam, coupling, torch.Generator().manual_seed(4))
        for coupling in (Independent(), AtomOT())
    )
    torch.testing.assert_close(here.clean_pos, there.clean_pos)
    one, other = here.state["pos"], there.state["pos"]
    norm = other.square().sum(dim=(1, 2))
    torch.testing.assert_close(norm, one.square().sum(dim=(1, 2)), rtol=1e-4, atol=1e-4)
    far, near = ((x - here.clean_pos).square().sum(dim=(1, 2)) for x in (one, other))
    assert bool((near < far).all())


def test_corruption_follows_from_its_generator(real: DeviceData) -> None:
    batch = real.batch(torch.arange(4))
    one, same, other = (noised(batch, 0.3, seed) for seed in (1, 1, 2))
    assert torch.equal(one.state["pos"], same.state["pos"])
    assert torch.equal(one.state["element"], same.state["element"])
    assert not torch.equal(one.state["pos"], other.state["pos"])


def completed(batch: Batch, lam: float, seed: int = 0) -> Corrupted:
    """Every molecule with some atoms given, the others at one level."""
    base = LogUniform(math.exp(-lam - 1e-6), math.exp(-lam))
    generator = torch.Generator().manual_seed(seed)
    levels = Completion(base, share=1.0).levels(batch.pos, generator, batch.mask)
    return corrupt(random_model(), batch, levels, AtomOT(), generator)


@settings(max_examples=10)
@given(levels, seeds)
def test_given_atoms_are_exact_and_fix_the_origin(real: DeviceData, lam: float, seed: int) -> None:
    batch = real.batch(torch.arange(8))
    made = completed(batch, lam, seed)
    held = is_given(made.lam) & batch.mask
    assert held.any(dim=1).all()
    torch.testing.assert_close(made.state["pos"][held], made.clean_pos[held], rtol=0, atol=1e-6)
    origin = (made.clean_pos * held[..., None]).sum(dim=1)
    assert float(origin.abs().max()) < 1e-4
    torch.testing.assert_close(
        torch.cdist(made.clean_pos, made.clean_pos)[:, :5, :5] * SCALE,
        torch.cdist(batch.pos, batch.pos)[:, :5, :5],
        rtol=0,
        atol=1e-4,
    )
    one_hot = functional.one_hot(batch.element, 5).float()
    clean = random_model().clean_elements(one_hot)
    torch.testing.assert_close(made.state["element"][held], clean[held], rtol=0, atol=1e-6)
    assert torch.equal(made.lam_element == CLEAN_LEVEL, is_given(made.lam) & batch.mask)


def test_noise_around_given_atoms_knows_no_direction(real: DeviceData) -> None:
    """Turned noise would point to where atoms are missing, which no sampler can know."""
    batch = real.batch(torch.arange(200))
    made = completed(batch, -20.0 + 1e-3)  # the others are nothing but noise
    open_ = batch.mask & ~is_given(made.lam)
    weight = open_[..., None] / open_.sum(dim=1)[:, None, None]
    noise = (made.state["pos"] * weight).sum(dim=1)
    where = (made.clean_pos * weight).sum(dim=1)
    spread = noise * open_.sum(dim=1)[:, None].sqrt()
    assert float(spread.square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / 600))
    along = (noise * where).sum(dim=1) / noise.norm(dim=1) / where.norm(dim=1)
    assert abs(float(along.mean())) < 4 / math.sqrt(3 * 200)


def test_given_atoms_do_not_count_where_they_are_known(real: DeviceData) -> None:
    batch = real.batch(torch.arange(6))
    made, estimate = completed(batch, 1.0), guess(batch, 5)
    held = (is_given(made.lam) & batch.mask)[..., None]
    before = terms_of(estimate, batch, made)
    wrong = replace(
        estimate, pos=estimate.pos + 7 * held, element=torch.where(held, 9.0, estimate.element)
    )
    after = terms_of(wrong, batch, made)
    for name in ("pos", "element"):
        torch.testing.assert_close(after[name], before[name])
    moved = replace(estimate, pos=estimate.pos + 7 * ~held)
    assert bool((terms_of(moved, batch, made)["pos"] > before["pos"]).all())


def test_one_level_per_molecule_is_a_special_case_of_one_per_atom(real: DeviceData) -> None:
    batch = real.batch(torch.arange(6))
    lam = torch.linspace(-2, 4, 6)

    def made(lam: Tensor) -> Corrupted:
        return corrupt(random_model(), batch, lam, AtomOT(), torch.Generator().manual_seed(1))

    here, there = made(lam), made(lam[:, None].expand(batch.mask.shape))
    for name, value in here.state.items():
        assert torch.equal(value, there.state[name]), name
    one, many = (terms_of(guess(batch, 2), batch, state) for state in (here, there))
    for name in TERMS:
        torch.testing.assert_close(one[name], many[name])

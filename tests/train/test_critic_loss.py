"""The critic of few-step distillation: what it learns, and where it draws the student."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from molgen.checkpoint import load_model, save_model
from molgen.chem.elements import QM9
from molgen.config import AdversaryConfig, Config
from molgen.data.loader import load_split
from molgen.data.same_sizes import SameSizes
from molgen.data.store import MoleculeStore
from molgen.errors import ConfigError, DataError
from molgen.flow.coupling import AtomOT, Independent
from molgen.models.build import build
from molgen.models.denovo import DeNovo
from molgen.models.info import ModelInfo
from molgen.models.rollout import advance, noise
from molgen.nn.network import Estimate
from molgen.train.critic_loss import Adversary
from molgen.train.distil_loss import Comparison, Target
from molgen.train.loss import corrupt
from molgen.train.run import train

from .conftest import ROOT, assert_equal_trees, checkpoint_of, rows_of

Recipe = Callable[..., Config]
END = 1.0
"""Half log-SNR at the end of the step that is judged."""


@pytest.fixture(scope="module")
def real() -> SameSizes:
    """The sample's molecules."""
    store = MoleculeStore.open(ROOT / "data" / "sample")
    return SameSizes.of(load_split(store, "train", QM9), ())


@pytest.fixture
def teacher(recipe: Recipe) -> DeNovo:
    """A network that sees something everywhere."""
    torch.manual_seed(3)
    model = build(recipe(), 29)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.requires_grad_(False).eval()


def adversary_for(teacher: DeNovo, real: SameSizes, **options: float) -> Adversary:
    torch.manual_seed(4)
    config = AdversaryConfig(**{"hidden": 16, "alone": 0, **options})
    return Adversary(config, teacher, real, Independent(), [END])


def case(model: DeNovo, real: SameSizes, seed: int, width: float) -> tuple[Estimate, Comparison]:
    """An estimate of a first call: real molecules, all of them ``width`` as wide."""
    generator = torch.Generator().manual_seed(seed)
    sizes = real.data.n_atoms[torch.randint(len(real.data.n_atoms), (16,), generator=generator)]
    mask = torch.arange(int(sizes.max())) < sizes[:, None]
    batch = real.draw(mask, generator)
    clean = corrupt(model, batch, torch.zeros(16), Independent(), generator).clean_pos
    n, sizes_of = mask.shape[1], model.network.sizes
    estimate = Estimate(
        pos=(width * clean).requires_grad_(),
        element=torch.randn(16, n, sizes_of.n_elements, generator=generator),
        charge=torch.zeros(16, n, sizes_of.n_charges),
        bond=torch.zeros(16, n, n, sizes_of.n_bonds),
    )
    target = Target(estimate.pos.detach() + 0.1, estimate.element, estimate.charge, estimate.bond)
    x = noise(model, mask, generator)
    return estimate, Comparison(x, None, (-2.0, END), mask, target)


def pulled(
    adversary: Adversary, model: DeNovo, real: SameSizes, steps: int, width: float
) -> list[Tensor]:
    """Gradients at the estimates of the last batches of some."""
    gradients = []
    for step in range(steps):
        estimate, one = case(model, real, step, width)
        loss = (estimate.pos - one.target.pos).square().mean()
        pull = adversary.pull(estimate, one, loss, torch.Generator().manual_seed(1000 + step))
        if pull.requires_grad:
            (gradient,) = torch.autograd.grad(pull, estimate.pos)
            gradients.append((gradient * estimate.pos.detach()).sum() / gradient.norm())
    return gradients[-10:]


def test_it_tells_compact_molecules_apart_and_draws_them_apart(
    teacher: DeNovo, real: SameSizes
) -> None:
    adversary = adversary_for(teacher, real, lr=3e-3)
    pulled(adversary, teacher, real, 20, 0.5)
    first = adversary.read()["0.52026"]
    outward = pulled(adversary, teacher, real, 60, 0.5)
    assert adversary.read()["0.52026"] > max(first, 0.9)
    # Against the gradient is where the student goes: atoms move away from the centre.
    assert all(float(one) < 0 for one in outward)


def test_of_molecules_that_are_real_it_can_only_guess(teacher: DeNovo, real: SameSizes) -> None:
    adversary = adversary_for(teacher, real)
    pulled(adversary, teacher, real, 60, 1.0)
    assert 0.35 < adversary.read()["0.52026"] < 0.65
    assert adversary.read() == {}


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_its_pull_is_as_long_as_the_losss(teacher: DeNovo, real: SameSizes, weight: float) -> None:
    adversary = adversary_for(teacher, real, weight=weight)
    pulled(adversary, teacher, real, 30, 0.5)
    estimate, one = case(teacher, real, 77, 0.5)
    loss = 1e-4 * (estimate.pos - one.target.pos).square().sum()
    pull = adversary.pull(estimate, one, loss, torch.Generator().manual_seed(0))
    own, drawn = (torch.autograd.grad(f, estimate.pos, retain_graph=True)[0] for f in (loss, pull))
    assert float(drawn.norm() / own.norm()) == pytest.approx(weight, rel=1e-3)


def test_it_is_not_heard_before_it_has_learnt(teacher: DeNovo, real: SameSizes) -> None:
    adversary = adversary_for(teacher, real, alone=3)
    assert len(pulled(adversary, teacher, real, 5, 0.5)) == 2


def test_its_pull_reaches_positions_alone(teacher: DeNovo, real: SameSizes) -> None:
    adversary = adversary_for(teacher, real)
    pulled(adversary, teacher, real, 3, 0.5)
    estimate, one = case(teacher, real, 5, 0.5)
    element = estimate.element.clone().requires_grad_()
    estimate = replace(estimate, element=element)
    loss = estimate.pos.square().sum() + element.square().sum()
    kept = [weight.detach().clone() for weight in teacher.parameters()]
    pull = adversary.pull(estimate, one, loss, torch.Generator().manual_seed(0))
    weights = list(adversary.critic.parameters())
    for weight in weights:
        weight.grad = None
    pull.backward()
    assert element.grad is None
    assert all(weight.grad is None for weight in (*weights, *teacher.parameters()))
    assert all(map(torch.equal, kept, teacher.parameters()))


def test_it_does_not_look_at_elements(teacher: DeNovo, real: SameSizes) -> None:
    scores = []
    for seed in (0, 1):
        adversary = adversary_for(teacher, real)
        torch.nn.init.ones_(adversary.critic.score.weight)
        estimate, one = case(teacher, real, 0, 0.5)
        element = torch.randn(estimate.element.shape, generator=torch.Generator().manual_seed(seed))
        loss = estimate.pos.square().sum()
        generator = torch.Generator().manual_seed(0)
        pull = adversary.pull(replace(estimate, element=element), one, loss, generator)
        scores.append(float(pull.detach()))
    assert scores[0] == scores[1] != 0


def last_call(
    model: DeNovo, real: SameSizes, seed: int, width: float
) -> tuple[Estimate, Comparison]:
    """The same as a second call, which ends with a molecule."""
    estimate, one = case(model, real, seed, width)
    return estimate, replace(one, before=estimate.detached(), step=(0.5, math.inf))


def test_last_calls_are_judged_where_it_is_asked_for_and_something_went_before(
    teacher: DeNovo, real: SameSizes
) -> None:
    asked, not_asked = (adversary_for(teacher, real, last=last) for last in (0.5, 0.0))
    (_, way), (_, last) = case(teacher, real, 0, 0.5), last_call(teacher, real, 0, 0.5)
    assert [asked.judges(one) for one in (way, last, replace(last, before=None))] == [1, 1, 0]
    assert [not_asked.judges(one) for one in (way, last)] == [1, 0]


def test_a_molecule_is_judged_under_noise_and_drawn_apart_too(
    teacher: DeNovo, real: SameSizes
) -> None:
    torch.manual_seed(4)
    config = AdversaryConfig(hidden=16, alone=0, lr=3e-3, last=0.4, last_sigma=(0.1, 0.4))
    adversary = Adversary(config, teacher, real, AtomOT(), [END, math.inf])
    for step in range(80):
        estimate, one = last_call(teacher, real, step, 0.5)
        loss = 1e-4 * (estimate.pos - one.target.pos).square().sum()
        pull = adversary.pull(estimate, one, loss, torch.Generator().manual_seed(step))
    assert adversary.columns() == ["0.52026", "molecule"]
    assert adversary.read()["molecule"] > 0.8
    own, drawn = (torch.autograd.grad(f, estimate.pos, retain_graph=True)[0] for f in (loss, pull))
    assert float(drawn.norm() / own.norm()) == pytest.approx(0.4, rel=1e-3)
    assert float((drawn * estimate.pos.detach()).sum()) < 0


@pytest.mark.parametrize("low_high", [(0.1, 1.0), (0.3, 0.3)])
def test_molecules_are_shown_under_noise_between_two_levels(
    teacher: DeNovo, real: SameSizes, low_high: tuple[float, float]
) -> None:
    config = AdversaryConfig(last=1.0, last_sigma=low_high)
    adversary = Adversary(config, teacher, real, Independent(), [END, math.inf])
    _, one = last_call(teacher, real, 0, 0.5)
    drawn = torch.cat(
        [adversary._levels(one, torch.Generator().manual_seed(seed)) for seed in range(40)]
    )
    sigma = torch.exp(-drawn) * teacher.scales.pos
    low, high = low_high
    assert bool(((sigma > low - 1e-6) & (sigma < high + 1e-6)).all())
    middle = math.sqrt(low * high)  # as many levels are below as above
    assert float(sigma.median()) == pytest.approx(middle, rel=0.25)


def levels_of(lam: float) -> tuple[float, float]:
    """Signal and noise of unit total variance."""
    return 1 / math.hypot(1, math.exp(-lam)), 1 / math.hypot(1, math.exp(lam))


def test_a_state_is_carried_on_with_its_gradient(teacher: DeNovo, real: SameSizes) -> None:
    estimate, one = case(teacher, real, 0, 0.7)
    there = advance(teacher, one.x, estimate, one.step, one.mask)
    (gradient,) = torch.autograd.grad(there["pos"].sum(), estimate.pos)
    # Deterministic step: x' = a' x0 + b' (x - a x0) / b between half log-SNRs of -2 and 1.
    (a, b), (a_end, b_end) = levels_of(-2.0), levels_of(END)
    expected = a_end - b_end * a / b
    assert float(gradient[0, 0, 0]) == pytest.approx(expected, rel=1e-5)


# Whole runs


@pytest.fixture
def weights(tmp_path: Path, teacher: DeNovo, recipe: Recipe) -> Path:
    """The teacher's file: it makes molecules of the sample's sizes."""
    store = MoleculeStore.open(ROOT / "data" / "sample")
    counts = np.bincount(store.n_atoms[store.split("train")])
    path = tmp_path / "teacher.safetensors"
    sizes = tuple(int(count) for count in counts)
    model = build(recipe(), len(sizes) - 1)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    save_model(path, model, ModelInfo("teacher", recipe(), sizes))
    return path


def few(recipe: Recipe, weights: Path, *overrides: str) -> Config:
    return recipe(
        f"distil.teacher={weights}",
        f"train.init={weights}",
        "train.precision=32-true",
        "distil.schedules=[{sigma: [20, 2, 0.3]}]",
        "distil.adversary={hidden: 16, alone: 2, last: 0.5}",
        *overrides,
    )


def test_a_run_tells_how_well_the_critic_does(
    recipe: Recipe, weights: Path, tmp_path: Path
) -> None:
    config = few(recipe, weights, "train.max_steps=8")
    made = train(config, name="few", out=tmp_path / "run", device="cpu", progress=False)
    rows = rows_of(tmp_path / "run" / "critic.csv")
    assert list(rows[0]) == ["step", "molecules", "seconds", "2", "0.3", "molecule"]
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert all(0 <= float(row[level]) <= 1 for row in rows for level in ("2", "0.3", "molecule"))
    names = load_model(made, "cpu").model.state_dict()
    assert not any("critic" in name for name in names)


def test_a_resumed_run_goes_on_with_its_critic(
    recipe: Recipe, weights: Path, tmp_path: Path
) -> None:
    config = few(recipe, weights, "optim.decay_from=0.99", "train.max_steps=8")
    half = few(recipe, weights, "optim.decay_from=0.99", "train.max_steps=4")
    once, twice = tmp_path / "once", tmp_path / "twice"
    train(config, name="few", out=once, device="cpu", progress=False)
    train(half, name="few", out=twice, device="cpu", progress=False)
    train(config, name="few", out=twice, device="cpu", progress=False, resume=True)
    for part in ("state_dict", "molgen_adversary"):
        assert_equal_trees(*(checkpoint_of(folder)[part] for folder in (once, twice)))
    logs = [rows_of(folder / "critic.csv") for folder in (once, twice)]
    for level in ("2", "0.3", "molecule"):
        assert [row[level] for row in logs[0]] == [row[level] for row in logs[1]]


def test_the_critic_changes_what_the_student_learns(
    recipe: Recipe, weights: Path, tmp_path: Path
) -> None:
    ends = []
    for name, override in (("with", ()), ("without", ("distil.adversary=null",))):
        config = few(recipe, weights, "train.max_steps=6", *override)
        train(config, name="few", out=tmp_path / name, device="cpu", progress=False)
        ends.append(checkpoint_of(tmp_path / name)["state_dict"])
    assert not (tmp_path / "without" / "critic.csv").exists()
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_critic_needs_molecules_of_the_sizes_that_are_made(
    recipe: Recipe, weights: Path, tmp_path: Path
) -> None:
    loaded = load_model(weights, "cpu")
    more = tmp_path / "more.safetensors"
    save_model(more, loaded.model, replace(loaded.info, n_atoms=(0, 5, *loaded.info.n_atoms[2:])))
    with pytest.raises(DataError, match="no molecules of 1 atoms"):
        train(few(recipe, more), name="few", out=tmp_path / "run", device="cpu", progress=False)
    elsewhere = few(recipe, weights, "data.store=nowhere")
    with pytest.raises(DataError, match="nowhere"):
        train(elsewhere, name="few", out=tmp_path / "other", device="cpu", progress=False)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{weight: 0}", "greater than 0"),
        ("{last: -1}", "greater than or equal to 0"),
        ("{last_sigma: [1, 0.25]}", "the smaller first"),
        ("{last_sigma: [0, 1]}", "above 0"),
    ],
)
def test_a_critic_that_makes_no_sense_is_refused(
    recipe: Recipe, section: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(f"distil.adversary={section}")

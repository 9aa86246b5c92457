"""Last calls that start from noised real molecules: where they start, and what they are to find."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from molgen.checkpoint import load_model, save_model
from molgen.chem.elements import QM9
from molgen.config import AdversaryConfig, Config
from molgen.data.loader import load_split
from molgen.data.same_sizes import SameSizes
from molgen.data.store import MoleculeStore
from molgen.errors import DataError
from molgen.flow.coupling import Independent
from molgen.models.build import build, start_from
from molgen.models.info import ModelInfo
from molgen.train.adversary import Adversary
from molgen.train.blank import Blank
from molgen.train.distil import DistillationModule
from molgen.train.distil_loss import Comparison
from molgen.train.pace import Pace
from molgen.train.run import train

from .conftest import ROOT, assert_equal_trees, checkpoint_of

Recipe = Callable[..., Config]
LAST = 0.3
"""Å of noise at the last call."""
ALONE = "distil.ladders=[{sigma: [20]}]"


@pytest.fixture(scope="module")
def real() -> SameSizes:
    """The sample's molecules."""
    store = MoleculeStore.open(ROOT / "data" / "sample")
    return SameSizes.of(load_split(store, "train", QM9), ())


@pytest.fixture
def weights(tmp_path: Path, real: SameSizes, recipe: Recipe) -> Path:
    """A teacher that says something everywhere, of the sample's sizes."""
    sizes = tuple(real.count.tolist())
    torch.manual_seed(3)
    model = build(recipe(), len(sizes) - 1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    path = tmp_path / "teacher.safetensors"
    save_model(path, model, ModelInfo("teacher", recipe(), sizes))
    return path


def few(recipe: Recipe, weights: Path, *overrides: str) -> Config:
    return recipe(
        f"distil.teacher={weights}",
        f"train.init={weights}",
        "train.precision=32-true",
        f"distil.ladders=[{{sigma: [20, 2, {LAST}]}}]",
        "distil.real=1",
        *overrides,
    )


def module_of(config: Config, weights: Path, real: SameSizes) -> DistillationModule:
    student, teacher = (load_model(weights, "cpu").model for _ in range(2))
    built = build(config, student.network.sizes.max_atoms)
    start_from(built, student)
    module = DistillationModule(built, teacher, config, Pace(100, None), real)
    module.on_fit_start()
    return module


def mask_of(sizes: tuple[int, ...]) -> Tensor:
    return torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]


def distances(pos: Tensor) -> Tensor:
    return (pos[:, None] - pos[None]).norm(dim=-1)


def learnt(module: DistillationModule, mask: Tensor) -> list[Comparison]:
    """What a step learns from."""
    seen: list[Comparison] = []
    learn = module._learn

    def watched(one: Comparison, judging: torch.Generator) -> object:
        seen.append(one)
        return learn(one, judging)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_learn", watched)
        module.training_step(Blank(mask), 0).backward()
    return seen


def test_the_last_call_finds_real_molecules_of_the_sizes_asked_for(
    recipe: Recipe, weights: Path, real: SameSizes
) -> None:
    module, sizes = module_of(few(recipe, weights), weights, real), (9, 17, 18)
    *others, last = learnt(module, mask_of(sizes))
    assert [one.is_real for one in others] == [False, False]
    assert last.is_real
    scale = module.model.scales.pos
    for row, n in enumerate(sizes):
        found = scale * distances(last.target.pos[row, :n])
        same = [
            place
            for place in (real.data.n_atoms == n).nonzero().flatten().tolist()
            if distances(real.data.pos[place, :n]).allclose(found, atol=1e-3)
        ]
        assert len(same) == 1
        assert torch.equal(last.target.element[row, :n].argmax(-1), real.data.element[same[0], :n])
        assert torch.equal(last.target.charge[row, :n].argmax(-1), real.data.charge[same[0], :n])
        bonds = real.data.padded(torch.tensor(same), n).bond[0]
        assert torch.equal(last.target.bond[row, :n, :n].argmax(-1), bonds)


def test_it_starts_from_them_under_the_noise_of_that_call(
    recipe: Recipe, weights: Path, real: SameSizes
) -> None:
    module = module_of(few(recipe, weights, "coupling.kind=independent"), weights, real)
    # Noise that is not paired is as large as it is said to be.
    *_, last = learnt(module, mask_of((18,) * 40))
    lam, end = last.step
    assert end == math.inf
    assert math.exp(-lam) * module.model.scales.pos == pytest.approx(LAST)
    signal, noise = 1 / math.hypot(1, math.exp(-lam)), 1 / math.hypot(1, math.exp(lam))
    left = last.x["pos"] - signal * last.target.pos
    # Centred noise of 18 atoms has 17 degrees of freedom.
    assert float(left.square().mean().sqrt()) == pytest.approx(noise * math.sqrt(17 / 18), rel=0.05)
    assert last.before is not None
    assert not last.before.pos.requires_grad


def test_noise_alone_says_nothing_of_a_real_molecule(
    recipe: Recipe, weights: Path, real: SameSizes
) -> None:
    module = module_of(few(recipe, weights, ALONE), weights, real)
    (only,) = learnt(module, mask_of((9, 17)))
    assert not only.is_real


def test_a_share_of_last_calls_does(recipe: Recipe, weights: Path, real: SameSizes) -> None:
    module = module_of(few(recipe, weights, "distil.real=0.3"), weights, real)
    choosing = torch.Generator().manual_seed(0)
    before = learnt(module, mask_of((9,)))[1].before
    last, way = (-0.5, math.inf), (-0.5, 1.0)
    share = sum(module._is_anchored(last, before, choosing) for _ in range(2000)) / 2000
    assert share == pytest.approx(0.3, abs=0.04)
    assert not any(module._is_anchored(way, before, choosing) for _ in range(100))


def test_the_critic_judges_what_the_student_came_to_by_itself(
    recipe: Recipe, weights: Path, real: SameSizes
) -> None:
    module = module_of(few(recipe, weights), weights, real)
    *_, last = learnt(module, mask_of((9, 17)))
    teacher = load_model(weights, "cpu").model
    config = AdversaryConfig(hidden=16, last=1.0)
    adversary = Adversary(config, teacher, real, Independent(), [math.inf])
    assert not adversary.judges(last)


def test_a_resumed_run_meets_the_same_molecules(
    recipe: Recipe, weights: Path, tmp_path: Path
) -> None:
    steps = "optim.decay_from=0.99", "distil.real=0.5"
    config = few(recipe, weights, *steps, "train.max_steps=8")
    half = few(recipe, weights, *steps, "train.max_steps=4")
    once, twice = tmp_path / "once", tmp_path / "twice"
    train(config, name="few", out=once, device="cpu", progress=False)
    train(half, name="few", out=twice, device="cpu", progress=False)
    train(config, name="few", out=twice, device="cpu", progress=False, resume=True)
    assert_equal_trees(*(checkpoint_of(folder)["state_dict"] for folder in (once, twice)))


def test_it_needs_a_store(recipe: Recipe, weights: Path, tmp_path: Path, real: SameSizes) -> None:
    config = few(recipe, weights, "data.store=nowhere")
    with pytest.raises(DataError, match="nowhere"):
        train(config, name="few", out=tmp_path / "run", device="cpu", progress=False)
    teacher = load_model(weights, "cpu").model
    with pytest.raises(ValueError, match="real molecules"):
        DistillationModule(build(config, 29), teacher, config, Pace(100, None))

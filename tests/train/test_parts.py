"""Every mechanism of training that a recipe can name is built, and a step with it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from molgen.config import Config
from molgen.data.loader import Batch, load_split
from molgen.data.store import MoleculeStore
from molgen.errors import ConfigError, UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, Asynchronous, Completion
from molgen.flow.coupling import AtomOT, BatchOT, Chain, Independent
from molgen.flow.schedules import SCHEDULES
from molgen.flow.weighting import CappedSNR, EDMWeight, IntervalWeights, MinSNR, Sigmoid, Unit
from molgen.modality import Modality
from molgen.models.build import build
from molgen.train.module import DenoisingModule, noise_levels, tasks_of
from molgen.train.parts import coupling_of, weighting_of
from molgen.train.time_budget import TimeBudget

Recipe = Callable[..., Config]
SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def batch() -> Batch:
    vocabulary = Config().data
    store = MoleculeStore.open(SAMPLE)
    from molgen.chem.elements import Vocabulary

    known = Vocabulary(vocabulary.atomic_numbers, vocabulary.charges)
    return load_split(store, "train", known).batch(torch.arange(6))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{kind: independent}", Independent()),
        ("{kind: batch_ot, size: 4}", BatchOT(size=4)),
        ("{kind: atom_ot, rotate: false}", AtomOT(rotate=False)),
        ("{kind: chain}", Chain((BatchOT(), AtomOT()))),
    ],
)
def test_couplings(recipe: Recipe, text: str, expected: object) -> None:
    assert coupling_of(recipe(f"coupling={text}").coupling) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{kind: unit}", Unit()),
        ("{kind: min_snr, cap: 7}", MinSNR(7.0)),
        ("{kind: capped_snr}", CappedSNR(5.0)),
        ("{kind: edm, sigma_data: 0.5}", EDMWeight(0.5)),
        ("{kind: sigmoid, bias: 1}", Sigmoid(1.0)),
    ],
)
def test_weightings(recipe: Recipe, text: str, expected: object) -> None:
    assert weighting_of(recipe(f"loss.weighting={text}").loss.weighting) == expected


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_uniform_time_of_any_schedule_stays_in_the_range(recipe: Recipe, schedule: str) -> None:
    config = recipe(f"times=[{{kind: uniform_time, schedule: {schedule}}}]")
    lam = noise_levels(config).at(1.0).sample(500, torch.Generator().manual_seed(0))
    assert config.lam_min - 1e-4 <= float(lam.min()) <= float(lam.max()) <= config.lam_max + 1e-4
    assert float(lam.std()) > 0.3


def test_log_normal_levels_are_those_of_edm(recipe: Recipe) -> None:
    config = recipe("times=[{kind: log_normal}]", "lam_min=-9", "lam_max=9")
    lam = noise_levels(config).at(1.0).sample(4000, torch.Generator().manual_seed(0))
    assert float(lam.mean()) == pytest.approx(1.2, abs=0.02)
    assert float(lam.std()) == pytest.approx(1.2, abs=0.02)


def test_a_curriculum_opens_the_levels_from_the_noisy_end(recipe: Recipe) -> None:
    levels = noise_levels(recipe("curriculum={edges: [0.0, 1.0], until: 0.5}"))

    def highest(progress: float) -> float:
        return float(levels.at(progress).sample(2000, torch.Generator().manual_seed(0)).max())

    assert highest(0.0) <= 0.0 < highest(0.2) <= 1.0 < highest(0.4)
    assert highest(0.4) == highest(0.5) == highest(1.0)


def test_rows(recipe: Recipe) -> None:
    some = noise_levels(recipe("rows={kind: asynchronous, p_async: 0.25}")).at(1.0)
    assert isinstance(some, Asynchronous)
    assert some.p_async == 0.25
    part = noise_levels(recipe("rows={kind: completion, share: 0.5}")).at(1.0)
    assert isinstance(part, Completion)
    assert part.share == 0.5


def test_tasks_give_and_hide_modalities(recipe: Recipe) -> None:
    tasks = tasks_of(recipe("tasks=[{given: [element]}, {predicted: [element], weight: 3}]"))
    levels = tasks.levels(torch.zeros(8), torch.Generator().manual_seed(0))
    assert int((levels[Modality.ELEMENT] == CLEAN_LEVEL).sum()) == 2
    assert int((levels[Modality.ELEMENT] == -CLEAN_LEVEL).sum()) == 6
    assert torch.equal(levels[Modality.POS], torch.zeros(8))


@pytest.mark.parametrize(
    "override",
    [
        "coupling={kind: chain}",
        "loss.weighting={kind: sigmoid}",
        "loss.balance={edges: [0, 2]}",
        "rows={kind: completion, share: 1}",
        "rows={kind: asynchronous, p_async: 1, p_clean: 0.5}",
        "tasks=[{given: [element]}, {given: [pos]}, {predicted: [element]}, {predicted: [pos]}]",
        "curriculum={edges: [1.0]}",
    ],
)
def test_a_step_with_it_is_finite_and_reaches_the_weights(
    recipe: Recipe, override: str, batch: Batch
) -> None:
    config = recipe(override, "train.self_condition=1")
    torch.manual_seed(0)
    module = DenoisingModule(build(config, 29), config, TimeBudget(100, None))
    loss = module.training_step(batch, 0)
    loss.backward()
    assert bool(loss.isfinite())
    gradients = [weight.grad for weight in module.model.parameters()]
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in gradients)


def test_learned_balance_is_trained_without_decay(recipe: Recipe) -> None:
    config = recipe("loss.balance={edges: [0, 2]}")
    module = DenoisingModule(build(config, 29), config, TimeBudget(100, None))
    assert isinstance(module.balance, IntervalWeights)
    (own,) = module.balance.parameters()
    groups = module.configure_optimizers().param_groups
    (group,) = (one for one in groups if any(p is own for p in one["params"]))
    assert group["weight_decay"] == 0
    assert not any(name.startswith("balance") for name in module.averaged.state_dict())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("coupling={kind: atomic}", "coupling"),
        ("coupling={kind: atom_ot, permut: true}", "Did you mean 'permute'?"),
        ("loss.weighting={kind: min_snr, cap: 0.5}", "loss.weighting.cap"),
        ("tasks=[{given: [pos, element]}]", "gives every modality"),
        ("tasks=[{given: [bonds]}]", "tasks.0.given"),
        ("rows={kind: completion, share: 2}", "rows.share"),
    ],
)
def test_a_wrong_choice_is_told_in_one_line(recipe: Recipe, override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(override)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tasks_do_not_go_with_levels_per_atom(recipe: Recipe) -> None:
    with pytest.raises(ConfigError, match=r"rows\.kind must be together"):
        recipe("tasks=[{given: [element]}]", "rows={kind: completion}")


def test_an_unknown_schedule_is_told(recipe: Recipe) -> None:
    config = recipe("times=[{kind: uniform_time, schedule: cosin}]")
    with pytest.raises(UsageError, match="cosine"):
        noise_levels(config)


def test_recipes_of_old_headers_are_read(recipe: Recipe) -> None:
    assert recipe("loss={snr_cap: 50}").loss.weighting.cap == 50

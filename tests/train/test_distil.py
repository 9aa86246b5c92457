"""Few-step distillation: its targets, its stream of sizes, and whole runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from molgen.checkpoint import load_model, save_model
from molgen.config import Config, LossConfig
from molgen.errors import ConfigError, UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.solvers.base import Evaluation, transfer
from molgen.flow.state import State
from molgen.models.build import build, start_from
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.models.info import ModelInfo
from molgen.models.rollout import noise
from molgen.nn.block import pair_distances
from molgen.nn.distances import Distances
from molgen.nn.network import Estimate
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw
from molgen.train.class_balance import ClassBalance
from molgen.train.distil import DistillationModule
from molgen.train.distil_loss import Target, per_molecule
from molgen.train.module import DenoisingModule
from molgen.train.run import train
from molgen.train.size_batches import GROUP, SizeBatch, SizeStream
from molgen.train.time_budget import TimeBudget

from .conftest import assert_equal_trees, checkpoint_of, rows_of

Recipe = Callable[..., Config]

N_ATOMS = (0, 0, 0, 3, 5, 2, 1)
_GENERATOR = torch.Generator().manual_seed(0)
MASK = torch.ones(2, 4, dtype=torch.bool)
ESTIMATE = Estimate(
    pos=torch.randn(2, 4, 3, generator=_GENERATOR),
    element=torch.zeros(2, 4, 5),
    charge=torch.zeros(2, 4, 3),
    bond=torch.zeros(2, 4, 4, 5),
)
TARGET = Target(
    pos=torch.randn(2, 4, 3, generator=_GENERATOR),
    element=torch.full((2, 4, 5), 0.2),
    charge=torch.full((2, 4, 3), 1 / 3),
    bond=torch.full((2, 4, 4, 5), 0.2),
)
LADDER = "distil.schedules=[{sigma: [20, 2, 0.3]}]"


@pytest.fixture
def teacher(tmp_path: Path, recipe: Recipe) -> Path:
    """Weights that say something everywhere."""
    torch.manual_seed(3)
    config = recipe()
    model = build(config, len(N_ATOMS) - 1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    path = tmp_path / "teacher.safetensors"
    save_model(path, model, ModelInfo("teacher", config, N_ATOMS))
    return path


def few(recipe: Recipe, teacher: Path, *overrides: str) -> Config:
    """A recipe that distils the teacher from its own weights."""
    return recipe(
        "data.store=nowhere",
        f"distil.teacher={teacher}",
        f"train.init={teacher}",
        "train.precision=32-true",
        "train.sample_steps=3",
        LADDER,
        *overrides,
    )


def module_of(config: Config, teacher: Path) -> DistillationModule:
    student = build(config, len(N_ATOMS) - 1)
    start_from(student, load_model(teacher, "cpu").model)
    module = DistillationModule(
        student, load_model(teacher, "cpu").model, config, TimeBudget(100, None)
    )
    module.on_fit_start()
    return module


def loss_terms(module: DistillationModule) -> dict[str, float]:
    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    module.training_step(batch, 0)
    assert module.meter is not None
    return module.meter.read()


def test_a_student_that_is_its_teacher_call_for_call_has_nothing_to_learn(
    recipe: Recipe, teacher: Path
) -> None:
    config = few(recipe, teacher, "distil.sigma=[20, 2, 0.3]", "distil.solver=ddim")
    terms = loss_terms(module_of(config, teacher))
    assert terms["pos"] < 1e-8
    assert terms["distance"] < 1e-8


def test_it_has_where_the_teacher_takes_more_calls(recipe: Recipe, teacher: Path) -> None:
    config = few(recipe, teacher, "distil.sigma=[20, 6, 2, 1, 0.3, 0.1]", "distil.solver=ddim")
    terms = loss_terms(module_of(config, teacher))
    assert terms["pos"] > 1e-4
    assert terms["distance"] > 1e-4


def test_a_teacher_may_start_from_wider_noise_than_its_student(
    recipe: Recipe, teacher: Path
) -> None:
    names = ("distil.sigma=[20, 6, 2, 1, 0.3, 0.1]", "distil.solver=ddim")
    wide = module_of(few(recipe, teacher, *names, "distil.paired=1.2"), teacher)
    plain = module_of(few(recipe, teacher, *names), teacher)
    x = noise(wide.model, MASK, torch.Generator().manual_seed(1))
    first, second, _ = wide.schedules[0].substeps

    target = wide._target(x, None, first, MASK)
    x0 = {"pos": target.pos, "element": torch.zeros_like(x["element"])}
    lam, end, offsets = first.lam[0], first.lam[-1], wide.model.offsets
    landed = cast("dict[str, Tensor]", transfer(Evaluation(lam, x, x0), x0, end, offsets))
    walked = SelfConditioned(load_model(teacher, "cpu").model, MASK)
    wider = {**x, "pos": 1.2 * x["pos"]}
    meant = cast("dict[str, Tensor]", wide.solver.solve(walked, wider, first, offsets=offsets))
    torch.testing.assert_close(landed["pos"], meant["pos"], rtol=1e-4, atol=1e-5)
    assert (target.pos - plain._target(x, None, first, MASK).pos).abs().max() > 0.01

    later = [module._target(landed, ESTIMATE, second, MASK).pos for module in (wide, plain)]
    torch.testing.assert_close(*later, rtol=0, atol=0)


def test_only_the_student_is_trained_and_saved(recipe: Recipe, teacher: Path) -> None:
    module = module_of(few(recipe, teacher), teacher)
    groups = module.configure_optimizers().param_groups
    trained = {id(weight) for group in groups for weight in group["params"]}
    assert trained == {id(weight) for weight in module.model.parameters()}
    on_data = DenoisingModule(module.model, module.config, TimeBudget(100, None))
    assert module.state_dict().keys() == on_data.state_dict().keys()


def test_the_student_learns_to_hear_where_its_step_ends(recipe: Recipe, teacher: Path) -> None:
    module = module_of(few(recipe, teacher, "model.step_size_cond=true"), teacher)
    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    module.training_step(batch, 0).backward()
    ends = module.model.network.noise_end
    assert ends is not None
    assert float(ends[1].weight.detach().abs().max()) == 0
    gradient = ends[1].weight.grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0


def test_targets_can_be_sharper_than_the_teacher(recipe: Recipe, teacher: Path) -> None:
    plain, sharp = (
        loss_terms(module_of(few(recipe, teacher, f"distil.sharpness={power}"), teacher))
        for power in (1, 4)
    )
    assert plain["pos"] == sharp["pos"]
    assert plain["bond"] != sharp["bond"]


def test_the_last_step_of_any_length_learns_distances(recipe: Recipe, teacher: Path) -> None:
    """One call from pure noise leads to a molecule; the first of two leads to a noisy state."""
    one = few(recipe, teacher, "distil.schedules=[{sigma: [20]}]")
    assert loss_terms(module_of(one, teacher))["distance"] > 0
    terms = [
        per_molecule(ESTIMATE, TARGET, (-2.0, end), MASK, LossConfig(), 1.0)["distance"]
        for end in (0.0, math.inf)
    ]
    assert float(terms[0].abs().max()) == 0
    assert float(terms[1].min()) > 0


def test_a_last_step_learns_the_distances_that_it_is_fitted_to(
    recipe: Recipe, teacher: Path
) -> None:
    preset = "distil.schedules=[{sigma: [20, 0.5]}]"
    fitting = ("model.step_size_cond=true", "model.smacof_iterations=4")
    module = module_of(few(recipe, teacher, preset, *fitting), teacher)
    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    module.training_step(batch, 0).backward()
    head = module.model.network.distances
    assert head is not None
    for last in (head.out, head.own):
        assert last.weight.grad is not None
        assert float(last.weight.grad.abs().max()) > 0
    said = Distances(
        mean=pair_distances(TARGET.pos[..., None]).squeeze(-1),
        log_spread=torch.full((2, 4, 4), -2.0),
        log_own=torch.zeros(2, 4),
    )
    right = fit_of(said, math.inf)
    assert float(fit_of(said, 0.0).abs().max()) == 0
    wrong = fit_of(replace(said, mean=said.mean + 0.2), math.inf)
    doubting = fit_of(
        replace(said, mean=said.mean + 0.2, log_spread=0.5 + said.log_spread), math.inf
    )
    # exp(-2) is less than 0.2, so an error of 0.2 is more likely where there is more doubt.
    assert bool((right < doubting).all())
    assert bool((doubting < wrong).all())


def test_distillation_leaves_the_refinement_alone(recipe: Recipe, teacher: Path) -> None:
    fitting = ("model.step_size_cond=true", "model.smacof_iterations=4", "model.refine_layers=1")
    module = module_of(
        few(recipe, teacher, "distil.schedules=[{sigma: [20, 0.5]}]", *fitting), teacher
    )
    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    module.training_step(batch, 0).backward()
    network = module.model.network
    assert network.distances is not None
    assert network.distances.out.weight.grad is not None
    assert network.refine is not None
    assert all(parameter.grad is None for parameter in network.refine.parameters())


def fit_of(said: Distances, end: float) -> Tensor:
    estimate = replace(ESTIMATE, distances=said)
    return per_molecule(estimate, TARGET, (-2.0, end), MASK, LossConfig(), 1.0)["fit"]


def test_a_last_step_learns_its_classes_before_and_after_they_agree(
    recipe: Recipe, teacher: Path
) -> None:
    preset = "distil.schedules=[{sigma: [20, 0.5]}]"
    plain, agreeing = (
        loss_terms(
            module_of(few(recipe, teacher, preset, "model.step_size_cond=true", *more), teacher)
        )
        for more in ((), ("model.valence_bp_rounds=3",))
    )
    assert plain["graph"] == 0
    assert agreeing["graph"] > 0
    for name in ("element", "charge", "bond"):
        assert agreeing[name] == plain[name]


def test_a_share_of_last_steps_leads_to_the_students_own_molecules(
    recipe: Recipe, teacher: Path
) -> None:
    preset = "distil.schedules=[{sigma: [20, 2, 0.5]}]"
    deciding = ("distil.decoder=geometry", "distil.compared=1", "distil.self_target_prob=1")
    module = module_of(few(recipe, teacher, preset, *deciding), teacher)
    asked: list[Target] = []
    target_decoder = module.target_decoder
    assert target_decoder is not None

    def watched(target: Target, mask: Tensor, class_balance: ClassBalance | None) -> Target:
        asked.append(target)
        return target_decoder(target, mask, class_balance)

    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "target_decoder", watched)
        # The last step is the only one compared, so the teacher has nothing to say.
        patch.setattr(module, "_teacher", ())
        loss = module.training_step(batch, 0)
    (said,) = asked
    assert loss.requires_grad
    assert not said.pos.requires_grad
    assert said.bond.sum(dim=-1).allclose(torch.ones(()))
    # Positions that nobody relaxed are the student's own: there is nothing to learn from them.
    assert module.meter is not None
    terms = module.meter.read()
    assert terms["pos"] < 1e-8
    assert terms["bond"] > 0


def test_the_student_is_left_to_itself_from_some_point_of_the_run_on(
    recipe: Recipe, teacher: Path
) -> None:
    deciding = (
        "distil.decoder=geometry",
        "distil.self_target_prob=1",
        "distil.self_target_from=0.5",
    )
    module = module_of(few(recipe, teacher, *deciding), teacher)
    with pytest.MonkeyPatch.context() as patch:
        for step, expected in ((0, False), (49, False), (50, True), (99, True)):
            patch.setattr(DistillationModule, "global_step", step)
            assert module._is_self_target(module.generator()) == expected


def test_the_elements_of_decoded_targets_are_counted_for_every_ladder(
    recipe: Recipe, teacher: Path
) -> None:
    presets = "distil.schedules=[{sigma: [20]}, {sigma: [20, 2]}]"
    keeping = ("distil.decoder=map", "distil.reference=qm9")
    module = module_of(few(recipe, teacher, presets, *keeping), teacher)
    assert sorted(module.class_balances) == [1, 2]
    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    module.training_step(batch, 0)
    leaning = [steps for steps, one in module.class_balances.items() if one.log_prior.any()]
    assert len(leaning) == 1
    assert not module_of(few(recipe, teacher, "distil.decoder=map"), teacher).class_balances


def test_rollouts_are_learned_from_again(recipe: Recipe, teacher: Path) -> None:
    module = module_of(few(recipe, teacher, "distil.replay=2", "distil.keep=2"), teacher)
    walks: list[SizeBatch] = []
    walk = module._rollout

    def counted(batch: SizeBatch) -> Tensor:
        walks.append(batch)
        return walk(batch)

    stream = iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_rollout", counted)
        for step in range(7):
            patch.setattr(DistillationModule, "global_step", step)
            loss = module.training_step(next(stream), step)
            assert loss.requires_grad
    assert len(walks) == 3
    assert len(module.kept) == 2
    for one in module.kept[0]:
        assert not one.target.pos.requires_grad
        assert one.before is None or not one.before.bond.requires_grad


def test_an_old_rollout_costs_no_call_of_the_teacher_and_has_the_loss_it_had(
    recipe: Recipe, teacher: Path
) -> None:
    module = module_of(few(recipe, teacher, "distil.replay=1"), teacher)
    batch = next(iter(SizeStream(N_ATOMS, 8, 0, torch.device("cpu"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DistillationModule, "global_step", 0)
        first = module.training_step(batch, 0)
        patch.setattr(DistillationModule, "global_step", 1)
        patch.setattr(module, "_target", None)
        again = module.training_step(batch, 1)
    assert float(first.detach()) == pytest.approx(float(again.detach()), rel=1e-6)


def test_a_resumed_run_with_replay_starts_with_a_rollout(
    recipe: Recipe, teacher: Path, tmp_path: Path
) -> None:
    config = few(recipe, teacher, "distil.replay=3", "train.max_steps=6")
    half = few(recipe, teacher, "distil.replay=3", "train.max_steps=3")
    train(half, name="few", out=tmp_path / "run", device="cpu", progress=False)
    train(config, name="few", out=tmp_path / "run", device="cpu", progress=False, resume=True)
    assert checkpoint_of(tmp_path / "run")["global_step"] == 6


def test_some_steps_are_compared_and_the_last_always(recipe: Recipe, teacher: Path) -> None:
    preset = "distil.schedules=[{sigma: [20, 8, 4, 2, 1, 0.5]}]"
    module = module_of(few(recipe, teacher, preset, "distil.compared=3"), teacher)
    seen: list[float] = []
    target = module._target

    def watched(x: State, before: Estimate | None, grid: TimeGrid, *rest: object) -> Target:
        seen.append(grid.lam[0])
        return target(x, before, grid, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_target", watched)
        loss_terms(module)
    levels = module.schedules[0].grid.lam
    assert len(seen) == 3
    assert seen == sorted(seen)
    assert seen[-1] == levels[-2]
    whole = module_of(few(recipe, teacher, preset), teacher)
    assert whole._compared(6, whole.generator()) == set(range(6))


def test_a_run_needs_no_data_learns_and_makes_weights_that_sample_in_its_steps(
    recipe: Recipe, teacher: Path, tmp_path: Path
) -> None:
    config = few(recipe, teacher, "model.step_size_cond=true", "optim.lr=0.003")
    weights = train(config, name="few", out=tmp_path / "run", device="cpu", progress=False)
    rows = rows_of(tmp_path / "run" / "losses.csv")
    early, late = (np.mean([float(row["pos"]) for row in part]) for part in (rows[:4], rows[-4:]))
    assert late < early
    loaded = load_model(weights, "cpu")
    assert loaded.info.training["teacher"] == "teacher"
    assert list(loaded.info.presets) == [3]
    assert loaded.info.n_atoms == N_ATOMS
    plan = default_plan(loaded.info, 3)
    drawn = list(draw(loaded, range(4), plan=plan, seed=1))
    assert all(np.isfinite(one.beliefs.pos).all() for one in drawn)


def test_a_resumed_run_ends_at_the_same_bits(recipe: Recipe, teacher: Path, tmp_path: Path) -> None:
    two = "distil.schedules=[{sigma: [20, 0.5]}, {sigma: [20, 2, 0.5], weight: 2}]"
    # Annealing starts after the half, so that both halves have the rates of the whole.
    own = ("distil.decoder=map", "distil.self_target_prob=0.5", "distil.reference=qm9")
    common = (two, "distil.compared=2", *own, "optim.decay_from=0.99")
    config = few(recipe, teacher, *common, "train.max_steps=8")
    half = few(recipe, teacher, *common, "train.max_steps=4")
    train(config, name="few", out=tmp_path / "once", device="cpu", progress=False)
    train(half, name="few", out=tmp_path / "twice", device="cpu", progress=False)
    train(config, name="few", out=tmp_path / "twice", device="cpu", progress=False, resume=True)
    once, twice = (checkpoint_of(tmp_path / name)["state_dict"] for name in ("once", "twice"))
    assert_equal_trees(once, twice)


def test_sizes_of_a_batch_follow_from_its_number() -> None:
    stream = SizeStream(N_ATOMS, 4, 7, torch.device("cpu"))
    masks = [mask.mask for mask, _ in zip(stream, range(2 * GROUP + 3), strict=False)]
    late = SizeStream(N_ATOMS, 4, 7, torch.device("cpu"), step=GROUP + 2)
    for mask, other in zip(masks[GROUP + 2 :], late, strict=False):
        assert torch.equal(mask, other.mask)


def test_sizes_are_those_of_the_training_data() -> None:
    stream = SizeStream(N_ATOMS, 50, 0, torch.device("cpu"))
    sizes = torch.cat([one.mask.sum(dim=1) for one, _ in zip(stream, range(200), strict=False)])
    share = torch.bincount(sizes, minlength=len(N_ATOMS)).double() / len(sizes)
    wanted = torch.tensor(N_ATOMS).double() / sum(N_ATOMS)
    assert float((share - wanted).abs().max()) < 0.02  # five standard errors of 10,000 draws


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("distil.sigma=[1, 2]", "from large to small"),
        ("distil.schedules=[{sigma: [2, 0]}]", "from large to small"),
        ("distil.schedules=[{sigma: [2]}, {sigma: [3]}]", "same number of calls"),
        ("distil.schedules=[]", "at least 1"),
        ("distil.relax=5", "relax needs a decoder"),
        ("distil.self_target_prob=0.5", "self_target_prob needs a decoder"),
        ("distil.reference=qm9", "reference needs a decoder"),
        ("distil.self_target_prob=2", "less than or equal to 1"),
        ("distil.replay=-1", "greater than or equal to 0"),
        ("distil.compared=0", "greater than or equal to 1"),
    ],
)
def test_ladders_that_make_no_sense_are_refused(
    recipe: Recipe, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(override)


def test_weights_of_another_network_are_no_start(recipe: Recipe) -> None:
    aware: DeNovo = build(recipe("model.step_size_cond=true"), 9)
    plain = build(recipe(), 9)
    with pytest.raises(UsageError, match="of another network"):
        start_from(plain, aware)
    with pytest.raises(UsageError, match="other sizes"):
        start_from(plain, build(recipe("model.dims.mlp=24"), 9))
    start_from(aware, plain)
    assert torch.equal(aware.network.size.weight, plain.network.size.weight)

"""Networks with levels per atom see what is known as it is, and keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from molgen.checkpoint import LoadedModel
from molgen.config import parse_config
from molgen.flow.asynchronous import CLEAN_LEVEL
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers import SOLVERS, solver_named
from molgen.models.info import ModelInfo
from molgen.sampling import sampler
from molgen.sampling.conditioning import remark
from molgen.sampling.noise import Streams, normal_noise
from molgen.sampling.prediction import Prediction
from molgen.sampling.sampler import Draw, draw
from molgen.sampling.steering.steering import Steering
from molgen.tasks import scaffold as tasks_scaffold
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.scaffold import PER_ATOM, scaffold_task

from ..networks import random_model  # noqa: TID252

N_ATOMS = (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1)
RECIPE = {"model": {"pos_scale": 1.4}, "rows": {"kind": "completion"}}
INFO = ModelInfo("random", parse_config(RECIPE), N_ATOMS)
GRID = TimeGrid.from_sigma([10.0, 1.0, 0.3, 0.05])
PLAN = Plan(solver_named("dpm++2m"), GRID)
SCAFFOLD = np.array([[40.0, -7.0, 3.0], [41.2, -7.5, 3.9], [39.1, -6.2, 3.6]])
GUIDED = Steering(scale=2.5, interval=(-1.0, 2.0))


def info_of(kind: str) -> ModelInfo:
    return ModelInfo("other", parse_config({**RECIPE, "rows": {"kind": kind}}), N_ATOMS)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return LoadedModel(random_model().eval(), INFO)


def scaffold(pos: np.ndarray = SCAFFOLD) -> Conditioning:
    """C, N+ and O- far from the origin."""
    return Conditioning(
        scaffold_task(INFO),
        (GivenAtoms(np.array([1, 2, 3]), pos, np.array([1, 2, 0])),),
        "scaffold",
    )


def drawn(
    loaded: LoadedModel, known: Conditioning, plan: Plan = PLAN, n: int = 3, **options: object
) -> list[Draw]:
    return list(draw(loaded, range(n), plan=plan, seed=5, given=known, **options))  # type: ignore[arg-type]


@pytest.fixture
def seen(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Arguments of every network call."""
    calls: list[tuple] = []
    forward = loaded.model.forward

    def spy(*arguments: object) -> object:
        calls.append(arguments)
        return forward(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loaded.model, "forward", spy)
    return calls


def test_the_model_says_how_a_scaffold_is_given() -> None:
    assert scaffold_task(INFO) is PER_ATOM
    for kind in ("together", "asynchronous"):
        assert scaffold_task(info_of(kind)) is tasks_scaffold.SCAFFOLD


def test_only_models_of_one_level_come_with_a_warning() -> None:
    assert not remark(INFO, scaffold())
    other = info_of("together")
    given = replace(scaffold(), task=scaffold_task(other))
    assert "one noise level" in remark(other, given)


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions as the solver leaves them: known ones are not written over at the end."""

    def move(given: Conditioning, batch: Prediction) -> Prediction:
        for row, index in zip(batch.pos, batch.indices, strict=True):
            row[:] = row + given.of(index).origin
        return batch

    monkeypatch.setattr(sampler, "_restored", move)


@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize("name", SOLVERS)
def test_known_atoms_stay_where_they_are(loaded: LoadedModel, name: str) -> None:
    plan = Plan(solver_named(name), GRID)
    for steering in (None, GUIDED):
        for one in drawn(loaded, scaffold(), plan, 2, steering=steering):
            assert one.beliefs.n_atoms > 3
            assert np.abs(one.beliefs.pos[:3] - SCAFFOLD).max() < 1e-4
            assert np.isfinite(one.beliefs.pos).all()
            assert one.beliefs.element_log_prob[:3].argmax(axis=-1).tolist() == [1, 2, 3]
            assert one.beliefs.charge_log_prob[:3].argmax(axis=-1).tolist() == [1, 2, 0]


def test_the_network_sees_known_atoms_as_they_are(loaded: LoadedModel, seen: list[tuple]) -> None:
    drawn(loaded, scaffold())
    assert len(seen) == len(GRID.lam) - 1
    about = torch.from_numpy((SCAFFOLD - SCAFFOLD.mean(axis=0)) / 1.4).float()
    clean = loaded.model.clean_elements(torch.eye(5)[[1, 2, 3]])
    for (state, lam, mask, _, ahead, *_), level in zip(seen, GRID.lam, strict=False):
        assert torch.equal(state["pos"][:, :3], about.expand(3, 3, 3))
        assert torch.equal(state["element"][:, :3], clean.expand(3, 3, 5))
        assert (lam[:, :3] == CLEAN_LEVEL).all()
        assert (ahead[:, :3] == CLEAN_LEVEL).all()
        assert torch.equal(lam[:, 3:], torch.full_like(lam[:, 3:], level))
        assert torch.equal(ahead[:, 3:], torch.full_like(lam[:, 3:], level + 1))
        assert mask.shape == lam.shape


def test_guidance_compares_with_one_level_for_all(loaded: LoadedModel, seen: list[tuple]) -> None:
    """The second call of each pair sees known rows noised, and its own estimates as self_cond."""
    guided = drawn(loaded, scaffold(), steering=Steering(scale=2.0))
    assert len(seen) == 2 * (len(GRID.lam) - 1)
    clean = loaded.model.clean_elements(torch.eye(5)[[1, 2, 3]])
    fixed = None
    for call, level in zip(range(0, len(seen), 2), GRID.lam, strict=False):
        (aware, *_), (blind, lam, mask, self_cond, ahead, *_) = seen[call : call + 2]
        assert lam.tolist() == pytest.approx([level] * len(guided))
        assert ahead is None
        assert (blind["pos"] * mask[..., None]).sum(dim=1).abs().max() < 1e-5
        assert torch.equal(blind["element"][:, 3:], aware["element"][:, 3:])
        a, b = unit_tv(torch.tensor(level + 1, dtype=torch.float64))
        noise = (blind["element"][:, :3] - a.float() * clean) / b.float()
        fixed = noise if fixed is None else fixed
        assert torch.allclose(noise, fixed, atol=1e-2)
        assert self_cond is None or self_cond.element[:, :3].max() < 1.0
    assert fixed is not None
    assert 0.5 < float(fixed.std()) < 1.5


def test_unknown_atoms_start_from_plain_noise(loaded: LoadedModel, seen: list[tuple]) -> None:
    """About the origin of the scaffold: not centred, not turned, not exchanged."""
    drawn(loaded, scaffold(), n=4)
    start, mask = seen[0][0]["pos"], seen[0][2]
    sizes = mask.sum(dim=1).tolist()
    order = [
        one.index
        for one in sorted(drawn(loaded, scaffold(), n=4), key=lambda one: one.beliefs.n_atoms)
    ]
    for row, (index, n) in enumerate(zip(order, sizes, strict=True)):
        noise = normal_noise(Streams(5, "noise"), [index], np.array([n]), (n, 8))
        assert torch.equal(start[row, 3:n], noise[0, 3:, :3])
        assert not start[row, n:].any()


def test_hints_are_the_estimates_of_the_network(
    loaded: LoadedModel, seen: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in training, where nothing replaces what is known."""
    made = []
    self_cond = loaded.model.self_cond

    def spy(estimate: object) -> object:
        made.append(estimate)
        return self_cond(estimate)  # type: ignore[arg-type]

    monkeypatch.setattr(loaded.model, "self_cond", spy)
    drawn(loaded, scaffold())
    with torch.no_grad():
        answers = [loaded.model(*arguments) for arguments in list(seen)]
    assert seen[0][3] is None
    for estimate, answer in zip(made, answers[:-1], strict=True):
        assert torch.equal(estimate.element, answer.element)
        assert torch.equal(estimate.pos, answer.pos)


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], None]:
    """Turn all noise of positions."""

    def by(rotation: np.ndarray) -> None:
        def turned(*arguments: object) -> Tensor:
            values = normal_noise(*arguments).clone()  # type: ignore[arg-type]
            values[..., :3] = values[..., :3] @ torch.from_numpy(rotation).float()
            return values

        monkeypatch.setattr(sampler, "normal_noise", turned)

    return by


@pytest.mark.parametrize("name", ["dpm++2m", "ancestral"])
@pytest.mark.parametrize("steering", [None, GUIDED], ids=["plain", "guided"])
def test_the_rest_turns_and_moves_with_the_scaffold(
    loaded: LoadedModel,
    turn: Callable[[np.ndarray], None],
    name: str,
    steering: Steering | None,
) -> None:
    plan = Plan(solver_named(name), GRID)
    reference = drawn(loaded, scaffold(), plan, steering=steering)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    shift = np.array([-30.0, 5.0, 8.0])
    turn(rotation)
    moved = drawn(loaded, scaffold(SCAFFOLD @ rotation + shift), plan, steering=steering)
    for one, other in zip(reference, moved, strict=True):
        assert np.abs(one.beliefs.pos @ rotation + shift - other.beliefs.pos).max() < 2e-3


@pytest.mark.parametrize("steering", [None, GUIDED], ids=["plain", "guided"])
def test_the_batch_size_changes_nothing(loaded: LoadedModel, steering: Steering | None) -> None:
    reference = drawn(loaded, scaffold(), n=6, steering=steering)
    for batch_size in (1, 4):
        others = drawn(loaded, scaffold(), n=6, batch_size=batch_size, steering=steering)
        for one, other in zip(reference, others, strict=True):
            assert np.abs(one.beliefs.pos - other.beliefs.pos).max() < 1e-3

"""A trajectory holds no decision and no wait, so that a graph can hold it; and is then the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from molgen.checkpoint import LoadedModel
from molgen.chem.decode import decode_argmax
from molgen.chem.elements import QM9
from molgen.config import parse_config
from molgen.flow import state
from molgen.flow.logit_bias import LogitBias
from molgen.flow.plan_options import PlanOptions
from molgen.flow.solvers import SOLVERS
from molgen.models.denovo import DeNovo
from molgen.models.info import ModelInfo
from molgen.sampling import sampler
from molgen.sampling.consistency import ValenceTable
from molgen.sampling.cuda_graph import (
    STATIC,
    Captured,
    captured,
    identity_of,
    is_static,
)
from molgen.sampling.plan import Plan, default_plan, make_plan
from molgen.sampling.prediction import Readout
from molgen.sampling.sampler import GPU_PADDING, Settings, draw, draw_batches, sample_batch

from ..networks import agreeing_model, fitting_model, random_model  # noqa: TID252

INFO = ModelInfo("random", parse_config({}), (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1))
CALLS = {"rk45": 7}
PLANS = {
    name: make_plan(INFO, CALLS.get(name, 3), PlanOptions(solver=name)) for name in SOLVERS
} | {f"default {steps}": default_plan(INFO, steps) for steps in (1, 4)}
CALM = {name: plan for name, plan in PLANS.items() if is_static(plan)}


class NoRoundTrip(TorchDispatchMode):
    """Refuses what a recording could not hold: anything that crosses between host and device.

    Tensors on ``meta`` stand for those on a device: they have no values, so whatever would look
    at one fails by itself.
    """

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        devices = {leaf.device for leaf in tree_leaves((args, kwargs, out)) if _is_tensor(leaf)}
        assert len({device.type for device in devices}) < 2, f"{func} crosses {devices}"
        return out


class NoConstants(TorchFunctionMode):
    """Refuses values of the host that are put on a device in one call, which dispatch hides."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        is_constant = func in (torch.tensor, torch.as_tensor, torch.from_numpy)
        assert not (is_constant and out.device.type != "cpu"), f"{func} crosses to {out.device}"
        return out


def _is_tensor(leaf: object) -> bool:
    return isinstance(leaf, Tensor)


def walk(model: torch.nn.Module, plan: Plan, device: str) -> Callable[[Tensor, Tensor], Readout]:
    table = ValenceTable.of(QM9, device)

    def no_noise(step: int) -> Tensor:
        raise AssertionError(f"step {step} asks for noise")

    def trajectory(noise: Tensor, mask: Tensor) -> Readout:
        return sample_batch(model, table, Settings(plan, 0), noise, mask, no_noise)  # type: ignore[arg-type]

    return trajectory


def inputs() -> tuple[Tensor, Tensor]:
    """Noise and mask of three molecules."""
    mask = torch.arange(9) < torch.tensor([4, 9, 7])[:, None]
    noise = torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(0))
    return noise * mask[..., None], mask


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers ask for full precision by device, and ``meta`` has no autocast to switch off."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("plan", CALM.values(), ids=CALM)
def test_a_trajectory_never_waits_for_the_device(plan: Plan) -> None:
    model = copy.deepcopy(random_model()).eval().to("meta")
    trajectory = walk(model, plan, "meta")
    noise, mask = (tensor.to("meta") for tensor in inputs())
    with torch.inference_mode(), NoRoundTrip(), NoConstants():
        readout = trajectory(noise, mask)
    assert readout.pos.shape == (3, 9, 3)
    assert readout.settled.shape == (3,)


LEAN = LogitBias.of({"element": (0.0, 0.5, -1.0, 0.0, 0.0), "bond": (0.5, 0.0, 0.0, 0.0, 0.0)})


@pytest.mark.usefixtures("meta")
def test_nor_does_one_whose_estimates_lean() -> None:
    model = copy.deepcopy(random_model()).eval().to("meta")
    trajectory = walk(model, replace(PLANS["ddim"], logit_bias=LEAN), "meta")
    noise, mask = (tensor.to("meta") for tensor in inputs())
    with torch.inference_mode(), NoRoundTrip(), NoConstants():
        readout = trajectory(noise, mask)
    assert readout.element.shape[:2] == (3, 9)


@pytest.mark.usefixtures("meta")
@pytest.mark.parametrize("build", [fitting_model, agreeing_model])
def test_nor_does_one_whose_last_call_is_fitted(build: Callable[[], DeNovo]) -> None:
    model = copy.deepcopy(build()).eval().to("meta")
    trajectory = walk(model, PLANS["ddim"], "meta")
    noise, mask = (tensor.to("meta") for tensor in inputs())
    with torch.inference_mode(), NoRoundTrip(), NoConstants():
        readout = trajectory(noise, mask)
    assert readout.pos.shape == (3, 9, 3)


def test_the_guard_sees_constants() -> None:
    with NoConstants(), pytest.raises(AssertionError, match="crosses"):
        torch.tensor([0.5], device="meta")


@pytest.mark.usefixtures("meta")
def test_copied_coefficients_would_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard sees what it is there for."""
    monkeypatch.setattr(state, "sent", Tensor.to)
    model = copy.deepcopy(random_model()).eval().to("meta")
    noise, mask = (tensor.to("meta") for tensor in inputs())
    table, settings = ValenceTable.of(QM9, "meta"), Settings(PLANS["ddim"], 0)
    with torch.inference_mode(), NoRoundTrip(), pytest.raises(AssertionError, match="crosses"):
        sample_batch(model, table, settings, noise, mask, lambda _: noise)


def test_every_solver_without_noise_of_its_own_can_be_recorded() -> None:
    assert set(PLANS) - set(CALM) == {"dpm++2m-sde", "ancestral", "edm-churn"}
    assert {type(plan.solver) for plan in CALM.values()} <= STATIC


@pytest.mark.parametrize("plan", CALM.values(), ids=CALM)
def test_what_a_recording_depends_on_makes_a_key(plan: Plan) -> None:
    model = copy.deepcopy(random_model())
    settings, again = Settings(plan, 0), Settings(Plan.from_dict(plan.to_dict()), 1)
    key, same = (
        hash((one.plan, one.task.name, model.scales, identity_of(model)))
        for one in (settings, again)
    )
    assert key == same
    before = identity_of(model)
    with torch.no_grad():
        next(model.parameters()).mul_(2.0)
    assert identity_of(model) == before  # seen through the same memory
    model.double()
    assert identity_of(model) != before


def test_recordings_are_kept_per_model() -> None:
    model = copy.deepcopy(random_model())
    assert captured(model) is captured(model)
    assert captured(model) is not captured(random_model())


def test_a_machine_that_cannot_record_goes_on_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def refuse(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Captured, "_record", refuse)
    memory, (noise, mask) = Captured(), inputs()

    def trajectory(noise: Tensor, mask: Tensor) -> Readout:
        calls.append(len(noise))
        return Readout(*[noise] * 8)

    with pytest.warns(RuntimeWarning, match="without CUDA graphs.*not permitted"):
        memory.run(trajectory, "key", noise, mask)
    memory.run(trajectory, "other key", noise, mask)
    assert calls == [3, 3]


@dataclass(frozen=True)
class Replays:
    """Stands for a recording where there is nothing to record with; keeps the shapes it saw."""

    trajectory: Callable[[Tensor, Tensor], Readout]
    shapes: list[tuple[int, ...]]

    def replay(self, noise: Tensor, mask: Tensor) -> Readout:
        self.shapes.append(tuple(noise.shape))
        return self.trajectory(noise, mask)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The sampler takes the roads of a GPU, on the CPU; shapes of all batches that are replayed."""
    shapes: list[tuple[int, ...]] = []
    table = ValenceTable.of
    monkeypatch.setattr(sampler, "device_of", lambda _: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(sampler, "_sent", lambda tensor, _: tensor)
    monkeypatch.setattr(ValenceTable, "of", lambda vocabulary, *_: table(vocabulary))
    monkeypatch.setattr(Captured, "_record", lambda _, walk, *__: Replays(walk, shapes))
    return shapes


def test_the_roads_of_a_gpu_lead_to_the_same_molecules(
    request: pytest.FixtureRequest,
) -> None:
    loaded, plan = LoadedModel(copy.deepcopy(random_model()).eval(), INFO), PLANS["default 4"]
    here = list(draw(loaded, range(43), plan=plan, batch_size=8))
    shapes = request.getfixturevalue("as_on_a_gpu")
    there = list(draw(loaded, range(43), plan=plan, batch_size=8))
    assert [one.index for one in there] == list(range(43))
    for one, other in zip(here, there, strict=True):
        assert np.abs(one.beliefs.pos - other.beliefs.pos).max() < 1e-3
        a, b = decode_argmax(one.beliefs), decode_argmax(other.beliefs)
        assert np.array_equal(a.atomic_numbers, b.atomic_numbers)
        assert np.array_equal(a.bonds, b.bonds)
    assert len(shapes) == 5  # the sixth batch is not full
    assert all(batch == 8 and n % GPU_PADDING == 0 for batch, n, _ in shapes)


def test_only_what_a_plan_fixes_is_recorded(as_on_a_gpu: list[tuple[int, ...]]) -> None:
    loaded = LoadedModel(copy.deepcopy(random_model()).eval(), INFO)
    assert len(list(draw(loaded, range(8), plan=PLANS["ancestral"], batch_size=8))) == 8
    assert not as_on_a_gpu


def test_the_next_batch_is_queued_before_the_last_is_taken(
    as_on_a_gpu: list[tuple[int, ...]],
) -> None:
    loaded = LoadedModel(copy.deepcopy(random_model()).eval(), INFO)
    batches = draw_batches(loaded, range(40), plan=PLANS["default 1"], batch_size=8)
    for taken in range(1, 5):
        next(batches)
        assert len(as_on_a_gpu) == taken + 1


@pytest.mark.gpu
@pytest.mark.parametrize("plan", CALM.values(), ids=CALM)
def test_a_replay_is_the_trajectory(plan: Plan) -> None:
    model = copy.deepcopy(random_model()).eval().cuda()
    trajectory, memory = walk(model, plan, "cuda"), Captured()
    noise, mask = (tensor.cuda() for tensor in inputs())
    with torch.inference_mode():
        for factor in (1.0, 0.5, 1.0):  # the first run records, the others replay
            replayed = memory.run(trajectory, "key", factor * noise, mask)
            plain = trajectory(factor * noise, mask)
            assert not memory.trouble
            for name in Readout.__dataclass_fields__:
                one, other = getattr(replayed, name), getattr(plain, name)
                # Kernels are the same ones; libraries may split sums differently when recording.
                assert torch.allclose(one.float(), other.float(), atol=1e-3), name


@pytest.mark.gpu
def test_a_gpu_makes_the_molecules_of_a_cpu() -> None:
    here, there = random_model().eval(), copy.deepcopy(random_model()).eval().cuda()
    plan = PLANS["default 4"]
    for one, other in zip(
        *(
            draw(LoadedModel(model, INFO), range(40), plan=plan, batch_size=8)
            for model in (here, there)
        ),
        strict=True,
    ):
        assert one.index == other.index
        assert np.abs(one.beliefs.pos - other.beliefs.pos).max() < 5e-3
        a, b = decode_argmax(one.beliefs), decode_argmax(other.beliefs)
        assert np.array_equal(a.atomic_numbers, b.atomic_numbers)
    assert not captured(there).trouble


@pytest.mark.gpu
def test_weights_changed_in_place_are_seen() -> None:
    model = copy.deepcopy(random_model()).eval().cuda()
    loaded, plan = LoadedModel(model, INFO), PLANS["default 4"]

    def first() -> np.ndarray:
        return next(draw(loaded, range(8), plan=plan, batch_size=8)).beliefs.pos

    before = first()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    assert np.abs(first() - before).max() > 1e-4

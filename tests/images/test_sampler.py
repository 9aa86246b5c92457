"""Sampling: what an image depends on, and which plan makes it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from molgen.checkpoint import find_model
from molgen.errors import CheckpointError, UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.plan_options import PlanOptions
from molgen.flow.solvers import DDIM, DPMpp2M, LinearMultistep, UniPC2
from molgen.images.checkpoint import LoadedImages, load_images
from molgen.images.info import ImageInfo, read_image_info
from molgen.images.picture import grid_of
from molgen.images.plans import carried, default_plan, make_plan
from molgen.images.sampler import draw


@pytest.fixture(scope="module")
def loaded(weights: Path) -> LoadedImages:
    return load_images(weights, "cpu")


def images(loaded: LoadedImages, request: PlanOptions, **options: object) -> Tensor:
    plan = make_plan(loaded.info, 4, request)
    indices = options.pop("indices", range(5))
    return torch.cat(list(draw(loaded, indices, plan, **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("solver", ["unipc2", "ancestral"])
def test_an_image_depends_on_seed_and_number_alone(loaded: LoadedImages, solver: str) -> None:
    request = PlanOptions(solver=solver)
    whole = images(loaded, request, seed=3)
    assert torch.equal(images(loaded, request, seed=3), whole)
    alone = images(loaded, request, seed=3, indices=[4, 2], batch_size=1)
    # A byte may round the other way: sums over a batch of another size have another order.
    assert int((alone.int() - whole[[4, 2]].int()).abs().max()) <= 1
    assert not torch.equal(images(loaded, request, seed=4), whole)
    assert whole.shape == (5, 3, 8, 8)
    assert whole.dtype == torch.uint8


def test_the_stored_plan_is_the_default(loaded: LoadedImages) -> None:
    plan = Plan(DDIM(), TimeGrid.from_sigma([5.0, 1.0, 0.2]), "fitted")
    info = ImageInfo("x", loaded.info.config, plans={3: plan.to_dict()})
    assert default_plan(info, 3) == plan
    assert ImageInfo.from_dict(info.to_dict(), "x") == info
    assert make_plan(info, 3, PlanOptions()) == plan
    assert make_plan(info, 3, PlanOptions(solver="dpm++2m")).grid == plan.grid
    assert make_plan(info, 3, PlanOptions(schedule="cosine")).grid != plan.grid
    assert default_plan(info, 4).nfe == 4
    heun = make_plan(info, 5, PlanOptions(solver="heun"))
    assert (heun.nfe, heun.grid) == (5, plan.grid), "the default levels of as many steps"


def test_a_plan_is_carried_to_other_numbers_of_calls() -> None:
    plan = Plan(DPMpp2M(), TimeGrid.from_sigma([8.0, 2.0, 0.5]), "fitted")
    assert carried(plan, 3) == plan
    twice = carried(plan, 6)
    assert twice.grid.lam[::2] == pytest.approx(plan.grid.lam)
    # Towards clean data the noise-to-signal ratio falls evenly: half of 0.5.
    assert math.exp(-twice.grid.lam[5]) == pytest.approx(0.25)
    assert (twice.nfe, twice.solver) == (6, plan.solver)
    assert carried(plan, 1).grid == TimeGrid.from_sigma([8.0])
    fitted = LinearMultistep(((1.0,), (1.2, -0.2), (1.0,)))
    assert carried(Plan(fitted, plan.grid), 5).solver == UniPC2()


def test_the_shipped_model_has_a_plan_for_few_calls() -> None:
    info = read_image_info(find_model("cifar10-16"))
    assert sorted(info.plans) == list(range(1, 11))
    for nfe, stored in info.plans.items():
        plan, scores = default_plan(info, nfe), stored["scores"]
        assert (plan.nfe, plan.origin) == (nfe, "fitted")
        assert scores["default_frechet"] - scores["frechet"] > scores["gain_error"]


def test_steps_are_network_calls(loaded: LoadedImages) -> None:
    calls = 0
    honest = loaded.model.forward

    def counted(x: Tensor, lam: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return honest(x, lam)

    loaded.model.forward = counted  # type: ignore[method-assign]
    try:
        for solver in ("euler", "heun"):
            calls = 0
            plan = make_plan(loaded.info, 5, PlanOptions(solver=solver))
            list(draw(loaded, range(2), plan))
            assert calls == plan.nfe == 5, solver
    finally:
        loaded.model.forward = honest  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("steps", "request_", "words"),
    [
        (4, PlanOptions(solver="eulr"), 'Did you mean "euler"'),
        (4, PlanOptions(schedule="cosin"), 'Did you mean "cosine"'),
        (4, PlanOptions(tv="vp"), "total variance"),
        (4, PlanOptions(tv="const"), "no effect on unipc2"),
        (4, PlanOptions(solver="heun"), "Use --steps 3"),
        (0, PlanOptions(), "Ask for 1"),
    ],
)
def test_plans_that_cannot_be(
    loaded: LoadedImages, steps: int, request_: PlanOptions, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan(loaded.info, steps, request_)


def test_the_network_is_told_the_level_and_nothing_beyond_its_range(loaded: LoadedImages) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    model = loaded.model

    def at(lam: float) -> Tensor:
        with torch.no_grad():
            return model(x, torch.full((2,), lam))

    assert torch.equal(at(-50.0), at(model.lam_min))
    assert torch.equal(at(50.0), at(model.lam_max))
    assert not torch.allclose(at(-1.0), at(1.0), atol=1e-3)


def test_pure_noise_and_clean_data_are_defined(loaded: LoadedImages) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        clean = loaded.model.denoise(x, torch.tensor(torch.inf, dtype=torch.float64))
        noise = loaded.model.denoise(x, torch.tensor(-torch.inf, dtype=torch.float64))
    assert torch.equal(clean, x)
    assert bool(noise.isfinite().all())


def test_weights_that_do_not_fit_are_told(weights: Path, tmp_path: Path) -> None:
    whole = weights.read_bytes()
    (tmp_path / "x.safetensors").write_bytes(whole.replace(b'"layers', b'"loyers', 1))
    (tmp_path / "short.safetensors").write_bytes(whole[:-10])
    for name in ("x", "short"):
        with pytest.raises((CheckpointError, UsageError)) as caught:
            load_images(tmp_path / f"{name}.safetensors", "cpu")
        assert "\n" not in str(caught.value)


def test_a_sheet_shows_images_in_order() -> None:
    tiles = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 2, 2)
    sheet = grid_of(tiles, n_columns=3)
    assert sheet.shape == (3, 5, 8)
    assert sheet[0, 0].tolist() == [0, 0, 255, 1, 1, 255, 2, 2]
    assert sheet[0, 3].tolist() == [3, 3, 255, 4, 4, 255, 255, 255]

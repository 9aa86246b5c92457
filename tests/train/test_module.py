from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch

from molgen.chem.elements import Vocabulary
from molgen.config import Config
from molgen.data.loader import Batch, load_split
from molgen.data.store import MoleculeStore
from molgen.models.build import build
from molgen.train.compiled import compile_blocks
from molgen.train.module import DenoisingModule, noise_levels
from molgen.train.time_budget import TimeBudget

Recipe = Callable[..., Config]


def test_noise_levels_are_those_of_the_recipe(recipe: Recipe) -> None:
    config = recipe()
    lam = noise_levels(config).at(1.0).sample(20_000, torch.Generator().manual_seed(0))
    assert config.lam_min <= float(lam.min())
    assert float(lam.max()) <= config.lam_max
    # The low-noise end, 0.015 to 0.4 Å, has a third of the weight to itself, evenly in log sigma.
    logistic, low_noise = config.times
    sigma = torch.exp(-lam) * config.model.pos_scale
    inside = float(((sigma > 0.015) & (sigma < 0.4)).float().mean())
    below = (math.log(config.model.pos_scale / 0.4), math.log(config.model.pos_scale / 0.015))
    share = [1 / (1 + math.exp(-(edge - logistic.mean) / logistic.scale)) for edge in below]
    expected = low_noise.weight + logistic.weight * (share[1] - share[0])
    assert inside == pytest.approx(expected, abs=0.01)
    assert float((sigma < 0.015).float().mean()) < 0.02


def test_the_low_noise_end_can_be_had_alone(recipe: Recipe) -> None:
    config = recipe(
        "times=[{kind: log_uniform, sigma_min: 0.02, sigma_max: 0.3}]", "model.pos_scale=2.0"
    )
    lam = noise_levels(config).at(1.0).sample(5000, torch.Generator().manual_seed(0))
    sigma = torch.exp(-lam) * 2
    assert float(sigma.min()) == pytest.approx(0.02, rel=1e-2)
    assert float(sigma.max()) == pytest.approx(0.3, rel=1e-2)
    assert float(sigma.log().median()) == pytest.approx(math.log(0.02 * 0.3) / 2, abs=0.01)


def test_the_average_forgets_the_start(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    config = recipe("optim.ema=0.9")
    module = DenoisingModule(build(config, 9), config, TimeBudget(100, None))
    expected = None
    for step in range(150):
        monkeypatch.setattr(DenoisingModule, "global_step", step)
        with torch.no_grad():
            for weight in module.model.parameters():
                weight.normal_()
        module.average.update_parameters(module.model)
        weight = module.model.network.size.weight.detach().clone()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        torch.testing.assert_close(module.averaged.network.size.weight, expected)
    assert not any(weight.requires_grad for weight in module.averaged.parameters())


def test_the_average_is_not_trained(recipe: Recipe) -> None:
    config = recipe()
    module = DenoisingModule(build(config, 9), config, TimeBudget(100, None))
    before = deepcopy(module.averaged.state_dict())
    owned = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert not owned & {id(parameter) for parameter in module.averaged.parameters()}
    with torch.no_grad():
        for weight in module.model.parameters():
            weight.add_(1.0)
    assert all(
        torch.equal(value, before[name]) for name, value in module.averaged.state_dict().items()
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_blocks_compile_to_one_program_per_width_and_way_of_calling(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo import config as dynamo_config
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *a, **k: compiled(*a, **k, backend=counter))
    monkeypatch.setattr(dynamo_config, "recompile_limit", 8)
    model = build(recipe(), 9)
    plain = deepcopy(model)
    compile_blocks(model)
    assert dynamo_config.recompile_limit >= 64
    for n in (5, 8, 5):
        state = {"pos": torch.randn(2, n, 3), "element": torch.randn(2, n, 5)}
        known = (state, torch.zeros(2), torch.ones(2, n, dtype=torch.bool))
        with torch.no_grad():
            self_cond = model.self_cond(model(*known))
        estimate, expected = model(*known, self_cond), plain(*known, self_cond)
        torch.testing.assert_close(estimate.pos, expected.pos)
        torch.testing.assert_close(estimate.bond, expected.bond)
    assert counter.frame_count == 4
    torch._dynamo.reset()


def test_the_coin_of_a_step_is_tossed_on_the_host(recipe: Recipe) -> None:
    config = recipe()
    module = DenoisingModule(build(config, 9), config, TimeBudget(100, None))
    generator, twin = module.generator(), module.generator()
    expected = [bool(torch.rand((), generator=twin) < 0.5) for _ in range(20)]
    assert [module.happens(0.5, generator) for _ in range(20)] == expected
    assert module.happens(1.0, generator)
    assert not module.happens(0.0, generator)


def test_a_hint_leaves_every_weight_its_gradient(recipe: Recipe) -> None:
    config = recipe("train.self_condition=1.0")
    store = MoleculeStore.open(config.data.store)
    data = load_split(store, "train", Vocabulary((1, 6, 7, 8, 9), (-1, 0, 1)))
    module = DenoisingModule(build(config, 29), config, TimeBudget(100, None))
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.training_step(data.batch(torch.arange(4)), 0)
    loss.backward()
    assert not [name for name, one in module.model.named_parameters() if one.grad is None]


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_a_step_on_a_gpu_does_not_wait_for_it(recipe: Recipe, compiled: str) -> None:
    config = recipe(f"train.compile={compiled}")
    store = MoleculeStore.open(config.data.store)
    data = load_split(store, "train", Vocabulary((1, 6, 7, 8, 9), (-1, 0, 1)), "cuda")
    module = DenoisingModule(build(config, 29), config, TimeBudget(100, None)).cuda()
    module.on_fit_start()
    optimiser = module.configure_optimizers()

    def step(batch: Batch) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            loss = module.training_step(batch, 0)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.model.parameters(), 1.0)
        optimiser.step()
        module.average.update_parameters(module.model)
        return loss.detach()

    batch = data.padded(torch.arange(32, device="cuda"), 20)
    before, _, _ = (float(step(batch)) for _ in range(3))
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = [step(batch) for _ in range(10)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert float(losses[-1]) < before

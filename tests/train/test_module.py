from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch

from molgen.config import Config
from molgen.models.build import build
from molgen.train.module import DenoisingModule, noise_levels
from molgen.train.pace import Pace

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
    module = DenoisingModule(build(config, 9), config, Pace(100, None))
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
    module = DenoisingModule(build(config, 9), config, Pace(100, None))
    before = deepcopy(module.averaged.state_dict())
    owned = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert not owned & {id(parameter) for parameter in module.averaged.parameters()}
    with torch.no_grad():
        for weight in module.model.parameters():
            weight.add_(1.0)
    assert all(
        torch.equal(value, before[name]) for name, value in module.averaged.state_dict().items()
    )

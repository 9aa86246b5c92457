"""Integer layers: their error, what stays in floating point, and who may be quantised."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from molgen.errors import UsageError
from molgen.models.denovo import DeNovo
from molgen.models.quantise import LAYERS, Int8Linear, quantise

from ..networks import Case, estimate_of, random_case, random_model  # noqa: TID252


def calibrated(model: DeNovo, case: Case) -> DeNovo:
    return quantise(model, lambda twin: estimate_of(twin, case))


@pytest.mark.parametrize("has_bias", [False, True])
def test_the_error_is_that_of_rounding(has_bias: bool) -> None:
    linear = nn.Linear(48, 20, bias=has_bias)
    x = torch.randn(3, 7, 48) * torch.logspace(-1, 1, 48)
    layer = Int8Linear(linear, x.abs().amax(dim=(0, 1)))
    with torch.no_grad():
        error = (layer(x) - linear(x)).abs()
    # With x' = x / size and w' = w * size, sum |x' - q u| |w'| + |q u| |w' - p s|, and a
    # rounded number is at most half a step away: u of an input, s of a weight.
    unit = 1 / layer.per_unit
    weight = linear.weight.detach().abs()
    of_inputs = 0.5 * (weight * unit).sum(dim=1)
    of_weights = 0.5 * layer.step * ((x / unit).round().abs().sum(dim=-1, keepdim=True))
    assert bool((error <= of_inputs + of_weights + 1e-4).all())
    assert float(error.max()) > 1e-3


def test_columns_of_very_different_size_are_all_resolved() -> None:
    linear = nn.Linear(32, 8, bias=False)
    with torch.no_grad():
        linear.weight[:, 16:] *= 1000
    x = torch.randn(200, 32)
    x[:, 16:] /= 1000
    exact = linear(x).detach()
    error = (Int8Linear(linear, x.abs().amax(dim=0))(x) - exact).abs()
    # One step for all columns would lose the second half, which is half of the result.
    assert float(error.max()) < 0.05 * float(exact.abs().max())


def test_what_is_beyond_the_calibration_is_clipped() -> None:
    layer = Int8Linear(nn.Linear(16, 8), torch.ones(16))
    one = torch.ones(2, 16)
    assert torch.equal(layer(50 * one), layer(20 * one))


def test_zeros_and_constant_weights_survive() -> None:
    linear = nn.Linear(8, 4)
    nn.init.zeros_(linear.weight)
    layer = Int8Linear(linear, torch.zeros(8))
    assert torch.equal(layer(torch.randn(5, 8)), linear.bias.detach().expand(5, 4))


def test_estimates_stay_close_and_the_original_is_untouched() -> None:
    model, case = random_model(), random_case([5, 8, 9], 1, torch.float32, hinted=True)
    before = deepcopy(model.state_dict())
    exact = estimate_of(model, case)
    coarse = estimate_of(calibrated(model, case), case)
    for name in ("pos", "element", "charge", "bond"):
        here, there = getattr(exact, name), getattr(coarse, name)
        scale = float(here.abs().max())
        assert not torch.equal(here, there)
        torch.testing.assert_close(there, here, rtol=0, atol=0.1 * scale)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_path_of_the_noise_level_has_no_error() -> None:
    model, case = random_model(), random_case([5, 8], 2, torch.float32, hinted=False)
    twin = calibrated(model, case)
    here, there = (
        one.network.embed_noise(case.lam, case.lam + 1, case.mask) for one in (model, twin)
    )
    assert torch.equal(here, there)
    for one, other in zip(model.network.blocks, twin.network.blocks, strict=True):
        assert torch.equal(one.modulation(here), other.modulation(there))


def test_the_layers_of_atoms_are_integer_and_smaller() -> None:
    model, case = random_model(), random_case([5, 8], 2, torch.float32, hinted=False)
    twin = calibrated(model, case)
    integer = [name for name, part in twin.named_modules() if isinstance(part, Int8Linear)]
    expected = {f"network.blocks.{i}.{name}" for i in range(2) for name in LAYERS}
    assert set(integer) == expected

    def n_bytes(one: DeNovo) -> int:
        return sum(value.numel() * value.element_size() for value in one.state_dict().values())

    assert n_bytes(twin) < 0.8 * n_bytes(model)


def test_a_row_does_not_see_the_others() -> None:
    layer = Int8Linear(nn.Linear(48, 24), torch.full((48,), 3.0))
    x = torch.randn(9, 48)
    assert torch.equal(layer(x)[2:5], layer(x[2:5]))


def test_a_calibration_that_does_not_call_the_model_is_refused() -> None:
    with pytest.raises(UsageError, match="did not call"):
        quantise(random_model(), lambda _: None)


def test_only_a_model_on_the_cpu_is_quantised() -> None:
    with pytest.raises(UsageError, match="CPU"):
        quantise(deepcopy(random_model()).to("meta"), lambda _: None)

"""What a baseline's network reads, predicts, and how it is sampled."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.baselines.build import build, plan_of
from molgen.baselines.config import parse_baseline_config
from molgen.baselines.model import Baseline
from molgen.data.loader import Batch
from molgen.errors import ConfigError, UsageError
from molgen.flow.parameterisation import PARAMETERISATIONS, U
from molgen.flow.process import center
from molgen.flow.schedule import unit_tv
from molgen.flow.state import State

from .conftest import SMALL, small_recipe

each_recipe = pytest.mark.parametrize("name", SMALL)


def model_of(name: str) -> Baseline:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(small_recipe(name), 12).double()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
    return model


def random_state(seed: int) -> tuple[dict[str, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(6) < torch.tensor([4, 6])[:, None]
    pos, element = (
        torch.randn(2, 6, width, generator=generator, dtype=torch.float64) for width in (3, 5)
    )
    return {"pos": center(pos, mask), "element": element * mask[..., None]}, mask


@pytest.mark.parametrize("prediction", PARAMETERISATIONS.values(), ids=list(PARAMETERISATIONS))
@given(lam=st.floats(-5, 5), seed=st.integers(0, 99))
def test_the_right_output_gives_the_data(prediction: object, lam: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    level = torch.tensor(lam, dtype=torch.float64)
    a, b = unit_tv(level)
    out = prediction.target(x0, eps, a, b)
    torch.testing.assert_close(prediction.x0(out, a * x0 + b * eps, level), x0, atol=1e-9, rtol=0)


def test_noise_that_is_pure_is_no_matter_for_the_velocity_of_a_line() -> None:
    eps, x0 = torch.randn(2, 3)
    level = torch.tensor(-torch.inf, dtype=torch.float64)
    torch.testing.assert_close(U.x0(eps - x0, eps, level), x0)


@each_recipe
@given(seed=st.integers(0, 99))
@settings(max_examples=10)
def test_every_network_is_equivariant(name: str, seed: int) -> None:
    state, mask = random_state(seed)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    lam = torch.tensor([-1.0, 2.0], dtype=torch.float64)
    model = model_of(name)
    with torch.no_grad():
        out = model(state, lam, mask)
        turned = model({**state, "pos": state["pos"] @ turn}, lam, mask)
    torch.testing.assert_close(turned["pos"], out["pos"] @ turn, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(turned["element"], out["element"], atol=1e-9, rtol=1e-9)
    assert float(out["pos"].sum(dim=1).abs().max()) < 1e-9
    assert not out["pos"][0, 4:].any()
    assert not out["element"][0, 4:].any()
    assert float(out["pos"].abs().max()) > 1e-3


@each_recipe
def test_the_level_matters(name: str) -> None:
    state, mask = random_state(0)
    model = model_of(name)
    low, high = (model(state, torch.full((2,), lam).double(), mask)["pos"] for lam in (-2.0, 2.0))
    assert float((low - high).detach().abs().max()) > 1e-3


def test_a_graph_network_sees_the_state_and_the_time_of_its_path() -> None:
    state, mask = random_state(1)
    model, seen = model_of("otflow-egnn"), []
    model.field.network.forward = lambda *given: seen.append(given) or (given[0], given[1][..., 1:])
    time = torch.tensor([0.25, 0.9], dtype=torch.float64)
    model(state, torch.log((1 - time) / time), mask)
    ((pos, features, _),) = seen
    length = torch.sqrt(time**2 + (1 - time) ** 2)[:, None, None]
    torch.testing.assert_close(pos, length * state["pos"])
    torch.testing.assert_close(features[..., :-1], length * state["element"])
    torch.testing.assert_close(features[..., -1], time[:, None].expand(2, 6))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_line_is_sampled_by_euler_in_its_own_time(steps: int) -> None:
    """Against the three lines that the method is."""
    start, mask = random_state(2)
    model, plan = model_of("otflow-egnn"), plan_of(small_recipe("otflow-egnn"), steps)
    assert plan.nfe == steps
    times = torch.linspace(0.995, 1e-4, steps + 1, dtype=torch.float64)
    times[-1] = 0.0  # the last step goes to the data
    with torch.no_grad():
        tau = torch.sqrt(times**2 + (1 - times) ** 2)
        x: State = {name: tau[0] * part for name, part in start.items()}
        for i in range(steps):
            lam = torch.log((1 - times[i]) / times[i]).expand(2)
            u = model({name: part / tau[i] for name, part in x.items()}, lam, mask)
            x = {name: x[name] + (times[i + 1] - times[i]) * u[name] for name in x}
        found = plan.solver.solve(model.denoiser(mask), start, plan.grid)
    for name in x:
        torch.testing.assert_close(found[name], x[name], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 3])
def test_noise_prediction_is_sampled_by_the_posterior_of_its_chain(steps: int) -> None:
    """Against ``q(z_s | z_t, x)`` of Hoogeboom et al. 2022, equations 4 to 6."""
    start, mask = random_state(3)
    model, plan = model_of("edm"), plan_of(small_recipe("edm"), steps)
    schedule = model.schedule
    times = torch.linspace(schedule.t_max, schedule.t_min, steps + 1, dtype=torch.float64)
    a, b = unit_tv(schedule.lam(times))
    fresh = [random_state(10 + i)[0] for i in range(steps)]
    with torch.no_grad():
        z = dict(start)
        for i in range(steps):
            eps = model(z, schedule.lam(times)[i].expand(2), mask)
            x = {name: (z[name] - b[i] * eps[name]) / a[i] for name in z}
            if i == steps - 1:
                z = x
                break
            ratio = a[i] / a[i + 1]
            between = b[i] ** 2 - ratio**2 * b[i + 1] ** 2
            spread = torch.sqrt(between) * b[i + 1] / b[i]
            z = {
                name: ratio * (b[i + 1] / b[i]) ** 2 * z[name]
                + a[i + 1] * between / b[i] ** 2 * x[name]
                + spread * fresh[i][name]
                for name in z
            }
        found = plan.solver.solve(
            model.denoiser(mask), start, plan.grid, noise=lambda step: fresh[step]
        )
    for name in z:
        torch.testing.assert_close(found[name], z[name], atol=1e-7, rtol=1e-7)


def test_elements_are_scaled_and_coordinates_in_units() -> None:
    model = model_of("otflow").float()
    mask = torch.tensor([[True, True, False]])
    pos = torch.tensor([[[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]]])
    empty = torch.zeros(1, 3, 3, dtype=torch.long)
    batch = Batch(pos, torch.tensor([[0, 2, 0]]), torch.zeros(1, 3).long(), empty, mask)
    clean = model.clean(batch)
    torch.testing.assert_close(clean["pos"], pos / 2**0.5)
    rise = clean["element"][0].max(dim=-1).values - clean["element"][0].min(dim=-1).values
    torch.testing.assert_close(rise, torch.tensor([0.25, 0.25, 0.0]))
    assert clean["element"][0, :2].argmax(dim=-1).tolist() == [0, 2]


def test_the_published_network_has_the_published_size() -> None:
    """5.34 million numbers for 9 blocks of 256 (five elements and the time are read)."""
    config = parse_baseline_config({"domain": "baselines"})
    n = sum(weight.numel() for weight in build(config, 29).parameters())
    assert n == pytest.approx(5.34e6, rel=1e-2)


def test_names_that_do_not_exist_are_told() -> None:
    with pytest.raises(UsageError, match="schedule"):
        build(small_recipe("edm", "schedule=polinomial"), 12)
    with pytest.raises(UsageError, match="solver"):
        plan_of(small_recipe("edm", "solver=ancestor"), 4)
    with pytest.raises(ConfigError, match=r"unknown key 'network\.hiden'.*'hidden'"):
        small_recipe("edm", "network.hiden=3")
    with pytest.raises(ConfigError, match="predicts"):
        small_recipe("edm", "predicts=score")

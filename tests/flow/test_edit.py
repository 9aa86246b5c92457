"""Inversions: reconstruction, what their noise is, and edits that stay near the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import OTFlow, TimeGrid, unit_tv
from molgen.flow.extra.clocks import held
from molgen.flow.extra.edit import ddim_invert, edit_friendly_invert
from molgen.flow.state import State

from .mixtures import Mixture, mol27

MOL27 = mol27()
GRID = TimeGrid.log_snr(0.02, 20.0, 12, to_data=False)


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def molecules(n: int = 40) -> Tensor:
    return MOL27.sample(n, torch.Generator().manual_seed(1))


def error(state: State, x0: Tensor) -> float:
    assert isinstance(state, Tensor)
    return float((state - x0).abs().max())


# ------------------------------------------------------------------------------------- DDIM


def test_refinements_make_the_deterministic_inversion_exact() -> None:
    grid, x0 = TimeGrid.log_snr(0.02, 20.0, 24, to_data=False), molecules()
    errors = []
    for refinements in (0, 2, 20):
        encoding = ddim_invert(MOL27.denoise, x0, grid, refinements=refinements)
        errors.append(error(encoding.reconstruction, x0))
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 1e-10


def test_encodings_are_normal() -> None:
    """The exact flow takes states of the last level to unit variance; 150: 2.2 % error."""
    a, b = unit_tv(torch.tensor(-math.log(0.02)))
    x = a * molecules(150) + b * normal(2, 150, 27)
    grid = TimeGrid.log_snr(0.02, 20.0, 40, to_data=False)
    encoding = ddim_invert(MOL27.denoise, x, grid, refinements=3)
    assert isinstance(encoding.state, Tensor)
    assert float(encoding.state.var()) == pytest.approx(1.0, abs=0.1)


def test_encodings_may_be_pure_noise() -> None:
    levels, x0 = TimeGrid.log_snr(0.02, 20.0, 24, to_data=False).lam, molecules()
    grid = TimeGrid((-math.inf, *levels))
    encoding = ddim_invert(MOL27.denoise, x0, grid, refinements=20)
    assert error(encoding.reconstruction, x0) < 1e-9


# ------------------------------------------------------------------------------- edit-friendly


@given(st.sampled_from([0.3, 1.0, 2.0]), st.integers(0, 9), st.integers(0, 99))
def test_extracted_noise_reconstructs_the_data(rho: float, skip: int, seed: int) -> None:
    x0 = molecules(5)
    noise = edit_friendly_invert(
        MOL27.denoise, x0, GRID, lambda index: normal(seed + index, 5, 27), rho=rho
    )
    assert error(noise.replay(MOL27.denoise, skip), x0) < 1e-10


def test_single_precision_reconstructs_to_a_ten_thousandth() -> None:
    mixture = Mixture(MOL27.means.float(), MOL27.deviations.float())

    def denoise(x: State, lam: Tensor) -> State:
        assert isinstance(x, Tensor)
        return mixture.denoise(x, lam).to(x.dtype)

    x0 = molecules(20).float()
    noise = edit_friendly_invert(denoise, x0, GRID, lambda index: normal(index, 20, 27).float())
    end = noise.replay(denoise)
    assert isinstance(end, Tensor)
    assert end.dtype == torch.float32
    assert error(end, x0) < 1e-4


def test_the_noise_has_more_variance_than_in_sampling() -> None:
    """What makes it edit-friendly: independent states disagree, and the noise makes up for it."""
    x0 = molecules(200)
    noise = edit_friendly_invert(MOL27.denoise, x0, GRID, lambda index: normal(index, 200, 27))
    spread = [float(z.var()) for z in noise.noises if isinstance(z, Tensor)]
    assert min(spread[:-1]) > 1.2


@dataclass(frozen=True)
class Tilted:
    """The mixture after an edit: every mode but one has become unlikely."""

    target: int

    def denoise(self, x: State, lam: Tensor) -> State:
        assert isinstance(x, Tensor)
        return Mixture(MOL27.means[[self.target]], MOL27.deviations).denoise(x, lam)


def test_edits_keep_more_of_the_data_the_later_they_start() -> None:
    x0 = molecules(200)
    noise = edit_friendly_invert(MOL27.denoise, x0, GRID, lambda index: normal(index, 200, 27))
    away = []
    for skip in range(GRID.n_steps):
        end = noise.replay(Tilted(0).denoise, skip)
        assert isinstance(end, Tensor)
        away.append(float((end - x0).norm(dim=1).mean()))
    assert all(near >= far - 1e-3 for near, far in pairwise(away))
    # The last of twelve steps alone still moves a third of the way.
    assert away[-1] < 0.4 * away[0]
    full = noise.replay(Tilted(0).denoise)
    assert isinstance(full, Tensor)
    # What is left of the data cannot outweigh the edit when nothing is skipped.
    nearest = torch.cdist(full, MOL27.means).argmin(1)
    assert (nearest == 0).all()


def test_modalities_keep_their_leads_and_held_rows() -> None:
    mask = torch.ones(4, 9, dtype=torch.bool)
    known = torch.arange(9) < 3
    offsets = {"pos": held(known.expand(4, 9), mask), "element": 1.5}
    x0 = {"pos": normal(0, 4, 9, 3), "element": normal(1, 4, 9, 5)}

    def denoise(x: State, lam: Tensor) -> State:
        assert isinstance(x, dict)
        return {name: torch.tanh(leaf + lam) for name, leaf in x.items()}

    def fresh(index: int) -> State:
        return {"pos": normal(10 + index, 4, 9, 3), "element": normal(20 + index, 4, 9, 5)}

    noise = edit_friendly_invert(denoise, x0, GRID, fresh, offsets=offsets)
    end = noise.replay(denoise)
    assert isinstance(end, dict)
    for name, leaf in x0.items():
        torch.testing.assert_close(end[name], leaf, rtol=0, atol=1e-10)
    assert torch.equal(end["pos"][:, :3], x0["pos"][:, :3])
    for z in noise.noises:
        assert isinstance(z, dict)
        assert not z["pos"][:, :3].any()


def test_bad_requests_are_refused() -> None:
    to_data, x0 = TimeGrid.uniform(OTFlow(), 4), molecules(2)
    noise = edit_friendly_invert(MOL27.denoise, x0, GRID, lambda index: normal(index, 2, 27))
    for bad in (
        lambda: ddim_invert(MOL27.denoise, x0, to_data),
        lambda: edit_friendly_invert(MOL27.denoise, x0, to_data, lambda _: x0),
        lambda: edit_friendly_invert(MOL27.denoise, x0, GRID, lambda _: x0, rho=0.0),
        lambda: edit_friendly_invert(MOL27.denoise, x0, GRID, lambda _: x0, rho=math.nan),
        lambda: noise.replay(MOL27.denoise, GRID.n_steps),
        lambda: noise.replay(MOL27.denoise, -1),
    ):
        with pytest.raises(UsageError):
            bad()

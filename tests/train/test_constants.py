"""Tuned constants of distillation: each test fails when its constant is moved."""

from __future__ import annotations

from dataclasses import replace

import torch

from molgen.config import LossConfig
from molgen.nn.distances import Distances
from molgen.nn.network import Estimate
from molgen.train.distil_loss import Target, per_molecule


def an_estimate(n: int, distances: Distances | None = None) -> Estimate:
    element = torch.zeros(1, n, 2)
    element[..., 0] = torch.log(torch.tensor(1.5))
    charge, bond = torch.zeros(1, n, 3), torch.zeros(1, n, n, 5)
    charge[..., 1], bond[..., 0] = 1.0, 2.0
    pos = torch.arange(n, dtype=torch.float32)[None, :, None] * torch.tensor([1.0, 0.0, 0.0])
    return Estimate(pos=pos, element=element, charge=charge, bond=bond, distances=distances)


def test_own_elements_are_sharpened_by_a_power_of_four_and_nothing_else() -> None:
    """Odds of 3 : 2 become 81 : 16."""
    estimate = an_estimate(3)
    target = Target.of_estimate(estimate)
    torch.testing.assert_close(target.element[0, 0], torch.tensor([81.0, 16.0]) / 97)
    torch.testing.assert_close(target.charge, estimate.charge.softmax(-1))
    torch.testing.assert_close(target.bond, estimate.bond.softmax(-1))


def test_distances_are_doubted_from_three_standard_deviations_on() -> None:
    """Below, the loss is half of the square; above, it goes on along the tangent."""
    estimate = an_estimate(2)
    target, mask = Target.of_estimate(estimate), torch.ones(1, 2, dtype=torch.bool)
    expected = {1.0: 0.5, 2.9: 0.5 * 2.9**2, 3.1: 3 * 3.1 - 4.5, 7.0: 3 * 7.0 - 4.5}
    for error, loss in expected.items():
        said = Distances(
            torch.full((1, 2, 2), 1.0 + error), torch.zeros(1, 2, 2), torch.zeros(1, 2)
        )
        terms = per_molecule(
            replace(estimate, distances=said), target, (-2.0, torch.inf), mask, LossConfig(), 1.0
        )
        torch.testing.assert_close(terms["fit"], torch.tensor([loss]), rtol=1e-4, atol=1e-4)

"""Estimates whose elements and bonds lean."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.models.logit_bias import leaning

from ..networks import random_case, random_model  # noqa: TID252

ELEMENT, BOND = (0.0, 0.5, -1.0, 0.3, 0.0), (0.7, 0.0, 0.0, 0.0, -0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("names", [("element",), ("bond",), ("element", "bond")])
def test_odds_change_by_what_is_added(names: tuple[str, ...], dtype: torch.dtype) -> None:
    case = random_case([3, 5], 4, torch.float32, hinted=False)
    with torch.no_grad():
        said = random_model()(case.state, torch.zeros(2), case.mask)
    said = replace(said, element=said.element.to(dtype), bond=said.bond.to(dtype))
    numbers = {"element": ELEMENT, "bond": BOND}
    leant = leaning(said, LogitBias.of({name: numbers[name] for name in names}))
    for name, added in numbers.items():
        before, after = getattr(said, name), getattr(leant, name)
        assert after.dtype == dtype
        wanted = before + torch.tensor(added, dtype=dtype) if name in names else before
        torch.testing.assert_close(after, wanted)
    assert leant.pos is said.pos
    assert leant.charge is said.charge
    torch.testing.assert_close(leant.bond, leant.bond.transpose(1, 2))


def test_without_a_lean_an_estimate_is_what_it_is() -> None:
    case = random_case([3], 4, torch.float32, hinted=False)
    with torch.no_grad():
        said = random_model()(case.state, torch.zeros(1), case.mask)
    assert leaning(said, NO_LOGIT_BIAS) is said

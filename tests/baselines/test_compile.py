"""The compiled baseline says what the baseline says; training on a GPU may compile it."""

from __future__ import annotations

import pytest
import torch

from molgen.baselines.build import build

from .conftest import SMALL, small_recipe


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_compiled_model_agrees(name: str) -> None:
    torch.manual_seed(0)
    model = build(small_recipe(name), 12)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for n in (6, 9, 7):  # batches are padded to different sizes
        mask = torch.arange(n) < torch.tensor([4, n])[:, None]
        state = {"pos": torch.randn(2, n, 3), "element": torch.randn(2, n, 5)}
        given = (state, torch.tensor([-1.0, 2.0]), mask)
        usual, fast = model(*given), compiled(*given)
        for modality, out in usual.items():
            torch.testing.assert_close(fast[modality], out, atol=2e-5, rtol=2e-4)
        fast["pos"].square().sum().backward()
    torch.compiler.reset()

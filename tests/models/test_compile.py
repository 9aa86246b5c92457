"""The compiled model says what the model says; training on a GPU compiles it."""

from __future__ import annotations

import pytest
import torch

from ..networks import TOLERANCE, random_case, random_model  # noqa: TID252


@pytest.mark.slow
@pytest.mark.parametrize("per_atom", [False, True])
def test_the_compiled_model_agrees(per_atom: bool) -> None:
    model = random_model()
    case = random_case([5, 7], 3, torch.float32, hinted=True, per_atom=per_atom)
    given = (case.state, case.lam, case.mask, case.self_cond, case.lam_element)
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        usual, fast = model(*given), compiled(*given)
    torch.compiler.reset()
    for name in ("pos", "element", "charge", "bond"):
        one, other = getattr(usual, name), getattr(fast, name)
        limit = TOLERANCE[torch.float32] * float(one.abs().max())
        assert float((one - other).abs().max()) <= limit

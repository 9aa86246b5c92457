"""Last calls that layers are fitted to are those that a sampler makes."""

from __future__ import annotations

import pytest
import torch

from molgen.calibrate import last_calls
from molgen.checkpoint import find_model, load_model
from molgen.models.denovo import SelfConditioned
from molgen.sampling.plan import default_plan


@pytest.mark.parametrize("n_steps", [1, 4])
def test_they_see_what_a_sampler_shows(monkeypatch: pytest.MonkeyPatch, n_steps: int) -> None:
    loaded, starts = load_model(find_model("qm9-few"), "cpu"), []
    draw = last_calls.noise

    def noted(*arguments: object) -> object:
        starts.append(draw(*arguments))
        return starts[-1]

    monkeypatch.setattr(last_calls, "noise", noted)
    (call,) = last_calls.last_calls(loaded, 1, 0, lambda count: float(count == n_steps))
    plan = default_plan(loaded.info, n_steps)
    assert plan.input_scale is not None
    assert set(plan.input_scale) != {1.0}
    assert plan.logit_bias
    memory = SelfConditioned(loaded.model, call.mask, plan.jumps, plan.logit_bias)
    with torch.no_grad():
        plan.solver.solve(
            plan.called(memory, "pos"), starts[0], plan.grid, offsets=loaded.model.offsets
        )
        again = call.repeat(loaded.model)
    torch.testing.assert_close(again.bond, memory.estimate.bond, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(again.element, memory.estimate.element, rtol=1e-3, atol=1e-3)

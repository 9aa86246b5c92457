"""The levels of a plan's calls, as tables show them."""

from __future__ import annotations

import math

from molgen.flow.plan import Plan


def levels_of(plan: Plan, scale: float) -> list[str]:
    """Noise level of every call, and by how much its state is scaled where it is.

    Args:
        plan: The plan.
        scale: Å per unit of position.
    """
    tau = plan.input_scale or (1.0,) * (len(plan.grid.lam) - 1)
    return [
        f"{scale * math.exp(-lam):.3g}" + (f"×{factor:.3g}" if factor != 1 else "")
        for lam, factor in zip(plan.grid.lam[:-1], tau, strict=True)
    ]

"""Which solver walks which grid: the measured best by default, anything by request."""

from __future__ import annotations

import math

from molgen.flow.grid import TimeGrid
from molgen.flow.mmse import MMSECurve
from molgen.flow.plan import Defaults, Plan, departed
from molgen.flow.plan_options import PlanOptions
from molgen.flow.solvers import solver_named
from molgen.models.info import ModelInfo, SamplingPreset

FIRST_LADDER = SamplingPreset("dpm++2m", (20.0, 4.2, 1.9, 1.0, 0.55, 0.3, 0.16, 0.07))
"""Levels (Å) for weights that were never tuned: wide enough for any molecule, low at the end."""


def default_plan(info: ModelInfo, steps: int) -> Plan:
    """The plan measured best on a model, carried over to any number of calls.

    Args:
        info: The model.
        steps: Network calls, at least 1.
    """
    preset = _ladder(info, steps)
    if preset.plan is not None:
        return Plan.from_dict(preset.plan)
    grid = TimeGrid.from_sigma([sigma / info.config.model.pos_scale for sigma in preset.sigma])
    return Plan(solver_named(preset.solver), grid, "fitted", preset.input_scale, preset.logit_bias)


def make_plan(info: ModelInfo, steps: int, options: PlanOptions) -> Plan:
    """The default plan with the caller's departures; steps are network calls.

    Raises:
        UsageError: A name is unknown, an option has no effect beside the others, or no number of
            the solver's steps makes this many calls.
    """
    curve = None if info.mmse is None else MMSECurve(info.mmse.lam, info.mmse.mmse)
    default = Defaults(
        model=info.name,
        plan=lambda nfe: default_plan(info, nfe),
        solver=lambda nfe: _ladder(info, nfe).solver,
        curve=curve,
    )
    return departed(default, steps, options)


def _ladder(info: ModelInfo, steps: int) -> SamplingPreset:
    return info.presets.get(steps) or stretch(_nearest(info.presets, steps), steps)


def _nearest(presets: dict[int, SamplingPreset], steps: int) -> SamplingPreset:
    """The preset to stretch: rather not one with a plan, which was measured at its own count."""
    if not presets:
        return FIRST_LADDER
    plain = {count: preset for count, preset in presets.items() if preset.plan is None}
    choice = plain or presets
    return choice[min(choice, key=lambda known: abs(math.log(known / steps)))]


def stretch(preset: SamplingPreset, steps: int) -> SamplingPreset:
    """The same range of levels with another number of calls, interpolated in log sigma.

    Total standard deviations are interpolated with them; what leans is kept.
    """
    logs = [math.log(sigma) for sigma in preset.sigma]
    input_scale = None if preset.input_scale is None else list(preset.input_scale)
    if len(logs) == 1:
        logs = [logs[0], math.log(0.05)]
        input_scale = None if input_scale is None else [input_scale[0], 1.0]
    places = [index * (len(logs) - 1) / max(steps - 1, 1) for index in range(steps)]
    sigma = tuple(math.exp(_between(logs, place)) for place in places)
    stretched = (
        None if input_scale is None else tuple(_between(input_scale, place) for place in places)
    )
    return SamplingPreset(preset.solver, sigma, input_scale=stretched, logit_bias=preset.logit_bias)


def _between(values: list[float], place: float) -> float:
    """Value at a place between two of a list, linearly."""
    low = min(int(place), len(values) - 2)
    return values[low] + (place - low) * (values[low + 1] - values[low])

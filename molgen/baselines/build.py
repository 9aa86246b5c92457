"""From a recipe of a baseline to its model and to the plan that samples it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from molgen.baselines.config import BaselineConfig
from molgen.baselines.egnn import EGNN
from molgen.baselines.model import Baseline, OwnFrame, UnitFrame, Units
from molgen.config import Section
from molgen.config.networks import EGNNConfig, TransformerConfig
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.parameterisation import PARAMETERISATIONS
from molgen.flow.plan import Plan, steps_for
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import SCHEDULES
from molgen.flow.solvers import solver_named
from molgen.nn.block import NetworkDims
from molgen.nn.network import EquivariantTransformer, NetworkSpec

REACH = 10.0
"""Å: largest distance that the radial functions of this package's network resolve."""


def schedule_of(config: BaselineConfig) -> Schedule:
    """The path of a recipe.

    Raises:
        UsageError: No schedule of this name.
    """
    if config.schedule not in SCHEDULES:
        raise UsageError(*unknown("schedule", config.schedule, SCHEDULES))
    return SCHEDULES[config.schedule]()


def build(config: BaselineConfig, max_atoms: int) -> Baseline:
    """Build the model of a recipe with fresh weights.

    Args:
        config: The recipe.
        max_atoms: Largest molecule of the training data.

    Raises:
        UsageError: No schedule of the recipe's name.
    """
    field = _FIELDS[type(config.network)](config.network, config, max_atoms)
    units = Units(config.pos_scale, config.element_scale, len(config.data.atomic_numbers))
    return Baseline(field, PARAMETERISATIONS[config.predicts], schedule_of(config), units)


def plan_of(config: BaselineConfig, steps: int, solver: str | None = None) -> Plan:
    """The sampler of a recipe: equal steps in the time of its path.

    Args:
        config: The recipe.
        steps: Network calls.
        solver: Name of another solver than the recipe's.

    Raises:
        UsageError: No such solver, or it cannot make this many calls.
    """
    schedule = schedule_of(config)
    chosen = solver_named(solver or config.solver, schedule=schedule)
    grid = TimeGrid.uniform(schedule, steps_for(chosen, steps))
    return Plan(chosen, grid, config.schedule)


def _egnn(section: EGNNConfig, config: BaselineConfig, _: int) -> nn.Module:
    n_elements = len(config.data.atomic_numbers)
    network = EGNN(n_elements + 1, n_elements, section.hidden, section.n_layers)
    return OwnFrame(network, schedule_of(config))


def _transformer(section: TransformerConfig, config: BaselineConfig, max_atoms: int) -> nn.Module:
    schedule = schedule_of(config)
    ends = torch.tensor([schedule.t_max, schedule.t_min], dtype=torch.float64)
    lam_min, lam_max = schedule.lam(ends).tolist()
    sizes = NetworkSpec(
        n_elements=len(config.data.atomic_numbers),
        n_charges=0,
        n_bonds=1,
        n_layers=section.n_layers,
        n_radial=section.n_radial,
        cutoff=REACH / config.pos_scale,
        lam_min=lam_min,
        lam_max=lam_max,
        max_atoms=max_atoms,
    )
    return UnitFrame(EquivariantTransformer(sizes, NetworkDims(**section.dims.model_dump())))


_FIELDS: Mapping[type[Section], Callable[[Any, BaselineConfig, int], nn.Module]] = MappingProxyType(
    {EGNNConfig: _egnn, TransformerConfig: _transformer}
)

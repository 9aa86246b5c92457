"""From a recipe of a baseline to weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molgen.baselines.build import build
from molgen.baselines.checkpoint import BaselineInfo, load_baseline
from molgen.baselines.config import BaselineConfig, load_baseline_config
from molgen.baselines.module import BaselineModule
from molgen.baselines.recorder import BaselineRecorder
from molgen.data.loader import BatchStream, load_split
from molgen.data.store import MoleculeStore
from molgen.train.fit import Job, RunOptions, fit, machine
from molgen.train.time_budget import TimeBudget


def train(config: BaselineConfig, name: str, options: RunOptions) -> Path:
    """Train a baseline; the same call with ``resume`` continues after a kill.

    Args:
        config: The recipe.
        name: Name of the model.
        options: How the run is made.

    Returns:
        Path of the averaged weights.

    Raises:
        OutputError: The folder holds a run already and ``resume`` is not set.
        UsageError: There is nothing to resume, or a name in the recipe is unknown.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: The store is missing or does not fit, or the loss diverged.
    """
    return fit(
        config,
        options,
        job=partial(_job, config, name),
        is_same_model=partial(_is_same_model, config),
    )


def _job(config: BaselineConfig, name: str, where: torch.device) -> Job:
    store = MoleculeStore.open(config.data.folder)
    counts = tuple(np.bincount(store.n_atoms[store.split("train")]).tolist())
    info = BaselineInfo(name, config, counts).trained(data=store.manifest.source, **machine(where))
    data = load_split(store, "train", info.vocabulary, where)
    return Job(
        stream=BatchStream(data, config.train.batch_size, config.train.seed),
        module=partial(_module, config, info.max_atoms),
        recorder=partial(BaselineRecorder, info),
    )


def _module(config: BaselineConfig, max_atoms: int, budget: TimeBudget) -> BaselineModule:
    model = build(config, max_atoms)
    if config.train.init is not None:
        model.load_state_dict(load_baseline(config.train.init, "cpu").model.state_dict())
    return BaselineModule(model, config, budget)


def _is_same_model(config: BaselineConfig, started: Path) -> bool:
    """Whether the weights, units and path of a started run are this recipe's."""
    one, other = (_identity(each) for each in (config, load_baseline_config(started)))
    return one == other


def _identity(config: BaselineConfig) -> tuple[Any, ...]:
    scales = (config.pos_scale, config.element_scale)
    return (config.network, config.data.atomic_numbers, config.schedule, config.predicts, scales)

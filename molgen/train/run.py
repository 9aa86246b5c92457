"""From a recipe of molecules to weights: load the data, build the model, fit, resume."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

import torch

from molgen.checkpoint import load_model
from molgen.chem.elements import Vocabulary
from molgen.config import Config, DistilConfig, load_config
from molgen.data.loader import BatchStream, load_split
from molgen.data.same_sizes import SameSizes
from molgen.data.store import MoleculeStore
from molgen.errors import ConfigError
from molgen.models.build import build, start_from
from molgen.models.denovo import DeNovo
from molgen.models.info import ModelInfo, SamplingPreset
from molgen.train.callbacks import DistillationRecorder, MoleculeRecorder
from molgen.train.distil import DistillationModule
from molgen.train.fit import ONE, Job, RunOptions, fit, machine
from molgen.train.module import DenoisingModule
from molgen.train.parallel import Devices
from molgen.train.size_batches import SizeStream
from molgen.train.time_budget import TimeBudget


def train(
    config: Config,
    *,
    name: str = "qm9",
    max_time: timedelta | None = None,
    resume: bool = False,
    out: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    devices: Devices = ONE,
) -> Path:
    """Train a model; the same call with ``resume`` continues after a kill.

    Args:
        config: The recipe.
        name: Name of the model, and of its folder under ``runs/``.
        max_time: Time box that overrides the recipe's; the run anneals within it.
        resume: Continue from the folder's last checkpoint.
        out: Folder of the run: ``last.ckpt``, ``model.safetensors``, ``losses.csv``,
            ``samples.csv``, ``config.yaml``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: Show a progress bar.
        devices: How many processes share the work; more than one from the command line only.

    Returns:
        Path of the averaged weights.

    Raises:
        ConfigError: Several devices for a student, which learns on one.
        OutputError: The folder holds a run already and ``resume`` is not set.
        UsageError: There is nothing to resume.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: The store is missing or does not fit, or the loss diverged.
    """
    if devices.total > 1 and (config.distil is not None or config.model.step_size_cond):
        raise ConfigError(
            "a few-step student is trained on one device", "Leave out --devices, --nodes"
        )
    return fit(
        config,
        RunOptions(out or Path("runs") / name, max_time, resume, device, progress, devices),
        job=partial(_job, config, name),
        is_same_model=partial(_is_same_model, config),
    )


def _job(config: Config, name: str, where: torch.device) -> Job:
    """What the recipe trains: a student on its teacher, or a model on data."""
    return _on_data(config, name, where) if config.distil is None else _distil(config, name, where)


def _on_data(config: Config, name: str, where: torch.device) -> Job:
    """Load the data and say how module and recorder are made."""
    store = MoleculeStore.open(config.data.folder)
    data = load_split(store, "train", Vocabulary.of(config.data.dataset), where)
    info = ModelInfo(name=name, config=config, n_atoms=data.size_counts).trained(
        data=store.manifest.source, **machine(where)
    )
    return Job(
        stream=BatchStream(
            data, config.train.batch_size, config.train.seed, max_cost=config.train.batch_cost
        ),
        module=lambda budget: DenoisingModule(_model(config, info.max_atoms), config, budget),
        recorder=partial(MoleculeRecorder, info),
    )


def _distil(config: Config, name: str, where: torch.device) -> Job:
    """Load the teacher, which says what there is to know about the data."""
    part = cast("DistilConfig", config.distil)
    teacher = load_model(part.teacher, str(where))
    presets = {len(one.sigma): SamplingPreset("ddim", one.sigma) for one in part.schedules}
    info = replace(teacher.info, name=name, config=config, presets=presets, mmse=None).trained(
        teacher=teacher.name, **machine(where)
    )
    train = config.train
    real = None if part.adversary is None else _real(config, info, where)

    def module(budget: TimeBudget) -> DistillationModule:
        student = _model(config, info.max_atoms)
        return DistillationModule(student, teacher.model, config, budget, real)

    return Job(
        stream=SizeStream(info.n_atoms, train.batch_size, train.seed, where),
        module=module,
        recorder=partial(DistillationRecorder, info),
    )


def _real(config: Config, info: ModelInfo, where: torch.device) -> SameSizes:
    """The molecules that a critic compares with."""
    store = MoleculeStore.open(config.data.folder)
    return SameSizes.of(load_split(store, "train", info.vocabulary, where), info.n_atoms)


def _model(config: Config, max_atoms: int) -> DeNovo:
    """The model of a recipe, with fresh weights or those that it starts from."""
    model = build(config, max_atoms)
    if config.train.init is not None:
        start_from(model, load_model(config.train.init, "cpu").model)
    return model


def _is_same_model(config: Config, started: Path) -> bool:
    """Whether the weights of a started run have this recipe's shape."""
    other = load_config(started)
    known, wanted = (Vocabulary.of(one.data.dataset) for one in (other, config))
    return other.model == config.model and known == wanted

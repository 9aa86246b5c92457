"""The road that every training run takes: its folder, its seed, its time box, its resumption."""

from __future__ import annotations

import logging
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.strategies import DDPStrategy

from molgen.atomic import atomic_path
from molgen.cores import available_cores
from molgen.device import keep_freed_memory, pick_device
from molgen.errors import CheckpointError, ConfigError, DataError, OutputError, UsageError
from molgen.locks import lock_folder
from molgen.memory import available_memory
from molgen.memory_budget import BudgetError, MemoryBudget
from molgen.train.base import Recipe, TrainingModule
from molgen.train.parallel import Devices, is_of_another_process
from molgen.train.recorder import WEIGHTS, DivergedError, Follower, Recorder, TimeBox
from molgen.train.resumption import LAST, Checkpoints, find_checkpoint, read_checkpoint
from molgen.train.stopping import StoppedError, StopSignal, stop_signals
from molgen.train.time_budget import TimeBudget, seconds_of

ONE = Devices()

WEIGHTS_IN_TRAINING = 5
"""Times that training holds every weight."""


class Stream(Protocol):
    """Endless batches from ``step`` on, already on the device."""

    step: int

    def __iter__(self) -> Iterator[Any]:
        """The batches."""


@dataclass(frozen=True)
class Job:
    """What a domain brings to a run.

    Attributes:
        stream: The batches.
        module: Makes the module; called once the seed is set, so that weights follow from it.
        recorder: Makes the recorder for a folder and a first step.
    """

    stream: Stream
    module: Callable[[TimeBudget], TrainingModule]
    recorder: Callable[[Path, int], Recorder[Any, Any]]


@dataclass(frozen=True)
class RunOptions:
    """How a run is made, apart from its recipe.

    Attributes:
        folder: ``last.ckpt``, ``model.safetensors``, ``losses.csv``, ``config.yaml``, samples.
        max_time: Time box that overrides the recipe's; the run anneals within it.
        resume: Continue from the folder's last checkpoint.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: Show a progress bar.
        devices: How many processes share the work.
    """

    folder: Path
    max_time: timedelta | None = None
    resume: bool = False
    device: str = "auto"
    progress: bool = True
    devices: Devices = ONE


def fit(
    config: Recipe,
    options: RunOptions,
    *,
    job: Callable[[torch.device], Job],
    is_same_model: Callable[[Path], bool],
) -> Path:
    """Train; the same call with ``resume`` continues after a kill.

    Args:
        config: The recipe.
        options: How the run is made.
        job: What the domain brings; called with the device, after the folder has been checked.
        is_same_model: Whether the recipe in a ``config.yaml`` has this recipe's model.

    Returns:
        Path of the averaged weights.

    Raises:
        ConfigError: The network does not fit into memory.
        OutputError: The folder holds a run already and ``resume`` is not set, or another process
            writes to it.
        UsageError: There is nothing to resume, or its model is another.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: The data are missing or do not fit, or the loss diverged.
        StoppedError: The process was told to stop (SIGINT, SIGTERM).
    """
    if options.devices.is_follower:
        return _follow(config, options, job)
    with lock_folder(options.folder):
        return _fit(config, options, job, is_same_model)


def _fit(
    config: Recipe,
    options: RunOptions,
    job: Callable[[torch.device], Job],
    is_same_model: Callable[[Path], bool],
) -> Path:
    folder = options.folder
    checkpoint = _prepare_folder(options, config, is_same_model)
    keep_freed_memory()
    where = pick_device(options.device)
    try:
        with stop_signals(), warnings.catch_warnings():
            for package in ("pytorch_lightning", "lightning_fabric"):
                warnings.filterwarnings("ignore", module=package)
            _run(config, options, where, job(where), checkpoint)
    except StopSignal as signal:
        raise StoppedError(signal, _how_to_go_on(folder)) from None
    except DivergedError as error:
        raise DataError(
            f"training diverged: {error}", _how_to_go_on(folder, "--set optim.lr=...")
        ) from None
    return folder / WEIGHTS


def _follow(config: Recipe, options: RunOptions, job: Callable[[torch.device], Job]) -> Path:
    """The same in a process that computes its rows and writes nothing."""
    checkpoint = find_checkpoint(options.folder) if options.resume else None
    keep_freed_memory()
    where = pick_device(options.device)
    try:
        with stop_signals(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _run(config, options, where, job(where), checkpoint)
    except StopSignal as signal:
        raise SystemExit(128 + signal.number) from None
    return options.folder / WEIGHTS


def _run(
    config: Recipe, options: RunOptions, where: torch.device, job: Job, checkpoint: Path | None
) -> None:
    """Train from the checkpoint, or from the start."""
    pl.seed_everything(config.train.seed, verbose=False)
    limit = options.max_time.total_seconds() if options.max_time else None
    budget = TimeBudget(config.train.max_steps, limit or seconds_of(config.train.max_time))
    module = _within_memory(job.module, budget)
    if checkpoint is not None:
        job.stream.step = int(read_checkpoint(checkpoint)["global_step"])
    box = TimeBox(budget)
    folder, devices = options.folder, options.devices
    recorder = Follower(folder) if devices.is_follower else job.recorder(folder, job.stream.step)
    if devices.total > 1 and where.type == "cpu":
        torch.set_num_threads(max(1, available_cores() // devices.per_node))
    trainer = quiet_trainer(
        config, where, [recorder, box], progress=options.progress, devices=devices
    )
    try:
        trainer.fit(module, train_dataloaders=job.stream, ckpt_path=checkpoint, weights_only=True)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        if devices.total > 1 and is_of_another_process(error):
            raise CheckpointError("a process of the run died", _how_to_go_on(folder)) from None
        if box.has_begun or checkpoint is None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{checkpoint} does not fit this run ({reason})") from None


def _within_memory(
    build: Callable[[TimeBudget], TrainingModule], budget: TimeBudget
) -> TrainingModule:
    """The module, whose weights need room for an average, a gradient and two moments too.

    Raises:
        ConfigError: There is less memory.
    """
    free = available_memory()
    if free is None:
        return build(budget)
    try:
        with MemoryBudget(free // WEIGHTS_IN_TRAINING):
            return build(budget)
    except BudgetError as error:
        raise ConfigError(f"the network is too large to train here: {error}") from None


def _how_to_go_on(folder: Path, change: str = "") -> str:
    """What to type after a run that has ended early."""
    if not (folder / LAST).is_file():
        return f"No checkpoint was written yet: start again {f'with {change}' if change else ''}"
    return f"Go on from {folder / LAST}: the same command with --resume {change}"


def quiet_trainer(
    config: Recipe,
    where: torch.device,
    callbacks: Sequence[pl.Callback],
    *,
    max_steps: int | None = None,
    progress: bool = False,
    devices: Devices = ONE,
) -> pl.Trainer:
    """Lightning's trainer without what it does by itself: files and errors are ours to make.

    Args:
        config: The recipe.
        where: Device of the run.
        callbacks: What happens around its steps.
        max_steps: Where it ends; None leaves it to the recipe.
        progress: Show a progress bar.
        devices: How many processes share the work.
    """
    several = {
        "devices": devices.per_node,
        "num_nodes": devices.nodes,
        "strategy": DDPStrategy(),
    }
    one = {"devices": [where.index or 0] if where.type == "cuda" else 1}
    for name in ("pytorch_lightning", "lightning_fabric"):  # devices, tips and adverts
        logging.getLogger(name).setLevel(logging.WARNING)
    return pl.Trainer(
        accelerator="gpu" if where.type == "cuda" else "cpu",
        **(one if devices.total == 1 else several),
        precision=config.train.precision,
        max_steps=config.train.max_steps if max_steps is None else max_steps,
        gradient_clip_val=config.optim.clip,
        callbacks=list(callbacks),
        plugins=[Checkpoints()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def machine(device: torch.device) -> dict[str, str]:
    """What a run is made on, for the weights' header."""
    hardware = f"{torch.get_num_threads()} threads, {platform.machine()} CPU"
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    return {"hardware": hardware, "torch": str(torch.__version__)}


def _prepare_folder(
    options: RunOptions, config: Recipe, is_same_model: Callable[[Path], bool]
) -> Path | None:
    """Make the folder, or find the checkpoint to continue from."""
    folder = options.folder
    started = folder / "config.yaml"
    if options.resume:
        checkpoint = find_checkpoint(folder)
        if checkpoint is None:
            raise UsageError(f"nothing to resume in {folder}", "Leave out --resume to start")
        if not is_same_model(started):
            raise UsageError(
                f"the run in {folder} has another model than this recipe",
                f"Use {started}, or another --out",
            )
        return checkpoint
    if (folder / LAST).exists():
        raise OutputError(f"{folder} holds a run", "Add --resume to go on, or choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(started) as beside:
            beside.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    return None

"""The road that every training run takes: its folder, its seed, its time box, its resumption."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
import yaml

from molgen.device import keep_freed_memory, pick_device
from molgen.errors import CheckpointError, DataError, OutputError, UsageError
from molgen.locks import lock
from molgen.train.base import Recipe, TrainingModule
from molgen.train.pace import Pace, seconds_of
from molgen.train.recorder import LAST, WEIGHTS, DivergedError, Recorder, TimeBox


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
    module: Callable[[Pace], TrainingModule]
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
    """

    folder: Path
    max_time: timedelta | None = None
    resume: bool = False
    device: str = "auto"
    progress: bool = True


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
        OutputError: The folder holds a run already and ``resume`` is not set, or another process
            writes to it.
        UsageError: There is nothing to resume, or its model is another.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: The data are missing or do not fit, or the loss diverged.
    """
    with _held(options.folder):
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
    parts = job(where)
    pl.seed_everything(config.train.seed, verbose=False)
    limit = options.max_time.total_seconds() if options.max_time else None
    pace = Pace(config.train.max_steps, limit or seconds_of(config.train.max_time))
    module = parts.module(pace)
    if checkpoint is not None:
        parts.stream.step = _steps_of(checkpoint)
    callbacks = [parts.recorder(folder, parts.stream.step), TimeBox(pace)]
    trainer = quiet_trainer(config, where, callbacks, progress=options.progress)
    try:
        trainer.fit(
            module, train_dataloaders=parts.stream, ckpt_path=checkpoint, weights_only=False
        )
    except DivergedError as error:
        raise DataError(
            f"training diverged: {error}",
            f"{folder / LAST} is the last good state; go on with --resume --set optim.lr=...",
        ) from None
    return folder / WEIGHTS


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder."""
    try:
        folder.resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    with lock(folder):
        yield


def quiet_trainer(
    config: Recipe,
    where: torch.device,
    callbacks: Sequence[pl.Callback],
    *,
    max_steps: int | None = None,
    progress: bool = False,
) -> pl.Trainer:
    """Lightning's trainer without what it does by itself: files and errors are ours to make.

    Args:
        config: The recipe.
        where: Device of the run.
        callbacks: What happens around its steps.
        max_steps: Where it ends; None leaves it to the recipe.
        progress: Show a progress bar.
    """
    for name in ("pytorch_lightning", "lightning_fabric"):  # devices, tips and adverts
        logging.getLogger(name).setLevel(logging.WARNING)
    return pl.Trainer(
        accelerator="gpu" if where.type == "cuda" else "cpu",
        devices=[where.index or 0] if where.type == "cuda" else 1,
        precision=config.train.precision,
        max_steps=config.train.max_steps if max_steps is None else max_steps,
        gradient_clip_val=config.optim.clip,
        callbacks=list(callbacks),
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
    folder, last = options.folder, options.folder / LAST
    started = folder / "config.yaml"
    if options.resume:
        if not last.is_file():
            raise UsageError(f"nothing to resume in {folder}", "Leave out --resume to start")
        if not is_same_model(started):
            raise UsageError(
                f"the run in {folder} has another model than this recipe",
                f"Use {started}, or another --out",
            )
        return last
    if last.exists():
        raise OutputError(f"{folder} holds a run", "Add --resume to go on, or choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        started.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    return None


def _steps_of(checkpoint: Path) -> int:
    """Steps that a checkpoint of our own has made.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"])
    except (RuntimeError, OSError, EOFError, KeyError, UnpicklingError):
        raise CheckpointError(
            f"{checkpoint} is damaged", "Start again with another --out, from its model.safetensors"
        ) from None

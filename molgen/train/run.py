"""From a recipe to weights: load the data, build the model, fit, resume."""

from __future__ import annotations

import logging
import platform
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytorch_lightning as pl
import torch
import yaml

from molgen.checkpoint import load_model
from molgen.config import Config, load_config
from molgen.data.loader import BatchStream, load_split
from molgen.data.store import MoleculeStore
from molgen.device import keep_freed_memory, pick_device
from molgen.errors import CheckpointError, DataError, OutputError, UsageError
from molgen.models.build import build
from molgen.models.info import ModelInfo
from molgen.train.callbacks import DivergedError, Recorder, TimeBox
from molgen.train.module import DenoisingModule
from molgen.train.pace import Pace, seconds_of

LAST = "last.ckpt"


def train(
    config: Config,
    *,
    name: str = "qm9",
    max_time: timedelta | None = None,
    resume: bool = False,
    out: Path | None = None,
    device: str = "auto",
    progress: bool = True,
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

    Returns:
        Path of the averaged weights.

    Raises:
        OutputError: The folder holds a run already and ``resume`` is not set.
        UsageError: There is nothing to resume.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: The store is missing or does not fit, or the loss diverged.
    """
    folder = out or Path("runs") / name
    checkpoint = _prepare_folder(folder, config, resume=resume)
    keep_freed_memory()
    where = pick_device(device)
    store = MoleculeStore.open(config.data.store)
    info = ModelInfo(name=name, config=config, n_atoms=_size_counts(store)).trained(
        data=store.manifest.source, hardware=_hardware(where), torch=str(torch.__version__)
    )
    data = load_split(store, "train", info.vocabulary, where)
    _quieten_lightning()
    pl.seed_everything(config.train.seed, verbose=False)
    model = build(config, info.max_atoms)
    if config.train.init is not None:
        model.load_state_dict(load_model(Path(config.train.init), "cpu").model.state_dict())
    seconds = max_time.total_seconds() if max_time else seconds_of(config.train.max_time)
    pace = Pace(config.train.max_steps, seconds)
    module = DenoisingModule(model, config, pace)
    stream = BatchStream(data, config.train.batch_size, config.train.seed)
    if checkpoint is not None:
        stream.step = _steps_of(checkpoint)
    trainer = pl.Trainer(
        accelerator="gpu" if where.type == "cuda" else "cpu",
        devices=[where.index or 0] if where.type == "cuda" else 1,
        precision=config.train.precision,
        max_steps=config.train.max_steps,
        gradient_clip_val=config.optim.clip,
        callbacks=[Recorder(folder, info, stream.step), TimeBox(pace)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    try:
        trainer.fit(module, train_dataloaders=stream, ckpt_path=checkpoint, weights_only=False)
    except DivergedError as error:
        raise DataError(
            f"training diverged: {error}",
            f"{folder / LAST} is the last good state; go on with --resume --set optim.lr=...",
        ) from None
    return folder / "model.safetensors"


def _prepare_folder(folder: Path, config: Config, *, resume: bool) -> Path | None:
    """Make the folder, or find the checkpoint to continue from."""
    last = folder / LAST
    if resume:
        if not last.is_file():
            raise UsageError(f"nothing to resume in {folder}", "Leave out --resume to start")
        _check_same_model(folder, config)
        return last
    if last.exists():
        raise OutputError(f"{folder} holds a run", "Add --resume to go on, or choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    return None


def _check_same_model(folder: Path, config: Config) -> None:
    """Refuse to go on with weights of another shape."""
    started = load_config(folder / "config.yaml")
    classes = [(one.data.atomic_numbers, one.data.charges) for one in (started, config)]
    if started.model != config.model or classes[0] != classes[1]:
        raise UsageError(
            f"the run in {folder} has another model than this recipe",
            f"Use {folder / 'config.yaml'}, or another --out",
        )


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


def _quieten_lightning() -> None:
    """Progress and errors are ours to tell; Lightning adds devices, tips and adverts."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _size_counts(store: MoleculeStore) -> tuple[int, ...]:
    counts = np.bincount(store.n_atoms[store.split("train")])
    return tuple(int(count) for count in counts)


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads, {platform.machine()} CPU"

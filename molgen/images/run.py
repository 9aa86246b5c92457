"""From a recipe of images to weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from molgen.images.checkpoint import load_images
from molgen.images.config import ImageConfig, load_image_config
from molgen.images.info import ImageInfo
from molgen.images.model import ImageDenoiser
from molgen.images.module import ImageModule
from molgen.images.recorder import ImageRecorder
from molgen.images.store import ImageStore
from molgen.images.stream import ImageStream
from molgen.train.fit import Job, RunOptions, fit, machine
from molgen.train.time_budget import TimeBudget


def train(config: ImageConfig, name: str, options: RunOptions) -> Path:
    """Train a model; the same call with ``resume`` continues after a kill.

    Args:
        config: The recipe.
        name: Name of the model.
        options: How the run is made.

    Returns:
        Path of the averaged weights.

    Raises:
        OutputError: The folder holds a run already and ``resume`` is not set.
        UsageError: There is nothing to resume.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: The store is missing or does not fit, or the loss diverged.
    """
    return fit(
        config,
        options,
        job=partial(_job, config, name),
        is_same_model=partial(_is_same_model, config),
    )


def _job(config: ImageConfig, name: str, where: torch.device) -> Job:
    store = ImageStore.open(config.data.store)
    info = ImageInfo(name, config).trained(data=store.source, **machine(where))
    images = store.tensor("train", config.data.size).to(where)
    return Job(
        stream=ImageStream(images, config.train.batch_size, config.train.seed),
        module=partial(_module, config),
        recorder=partial(ImageRecorder, info),
    )


def _module(config: ImageConfig, budget: TimeBudget) -> ImageModule:
    model = ImageDenoiser(config)
    if config.train.init is not None:
        model.load_state_dict(load_images(config.train.init, "cpu").model.state_dict())
    return ImageModule(model, config, budget)


def _is_same_model(config: ImageConfig, started: Path) -> bool:
    """Whether the weights, units and levels of a started run are this recipe's."""
    one, other = (
        (c.model, c.data.size, c.data.center, c.data.scale, c.lam_min, c.lam_max)
        for c in (config, load_image_config(started))
    )
    return one == other

"""What happens around the steps of a run of images: weights and a sheet of samples."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

import torch

from molgen.images.checkpoint import LoadedImages, save_images
from molgen.images.info import ImageInfo
from molgen.images.module import TERMS, ImageModule
from molgen.images.picture import grid_of, write_png
from molgen.images.plans import default_plan
from molgen.images.sampler import draw
from molgen.train.base import TrainingModule
from molgen.train.recorder import Recorder

_ZOOM = 3


class ImageRecorder(Recorder):
    """Records a run of images; ``samples.png`` shows the same noise as it is read by now.

    Args:
        out: Folder of the run.
        info: What the weights' file says of itself; completed with the run's counts.
        first_step: Step from which the run goes on; 0 for a new one.
    """

    items: ClassVar[str] = "images"

    def __init__(self, out: Path, info: ImageInfo, first_step: int) -> None:
        super().__init__(out, TERMS, first_step)
        self.info = info

    def write_weights(self, module: TrainingModule, counts: dict[str, float | int]) -> None:
        """Write the averaged weights with what they know of their origin."""
        model = cast("ImageModule", module).averaged
        facts = {"steps": counts["step"], "images": counts["images"], "seconds": counts["seconds"]}
        save_images(self.out / "model.safetensors", model, self.info.trained(**facts))

    def judge(self, module: TrainingModule, _: dict[str, float | int]) -> None:
        """Draw the first images of the recipe's seed and tile them."""
        images = cast("ImageModule", module)
        train = images.config.train
        plan = default_plan(self.info, train.sample_steps)
        loaded = LoadedImages(images.averaged, self.info)
        drawn = draw(loaded, range(train.sample_n), plan, seed=train.seed)
        write_png(self.out / "samples.png", grid_of(torch.cat(list(drawn))), _ZOOM)

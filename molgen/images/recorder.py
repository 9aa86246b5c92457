"""What happens around the steps of a run of images: weights and a sheet of samples."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from molgen.images.checkpoint import LoadedImages, save_images
from molgen.images.info import ImageInfo
from molgen.images.module import TERMS, ImageModule
from molgen.images.picture import grid_of, write_png
from molgen.images.plans import default_plan
from molgen.images.sampler import draw
from molgen.train.recorder import Counts, Recorder

_ZOOM = 3


class ImageRecorder(Recorder[ImageModule, ImageInfo]):
    """Records a run of images; ``samples.png`` shows the same noise as it is read by now."""

    items: ClassVar[str] = "images"
    terms: ClassVar[tuple[str, ...]] = TERMS

    def write_weights(self, path: Path, module: ImageModule, info: ImageInfo) -> None:
        """Write the averaged weights with what they know of their origin."""
        save_images(path, module.averaged, info)

    def judge(self, module: ImageModule, _: Counts) -> None:
        """Draw the first images of the recipe's seed and tile them."""
        train = module.config.train
        plan = default_plan(self.info, train.sample_steps)
        loaded = LoadedImages(module.averaged, self.info)
        drawn = draw(loaded, range(train.sample_n), plan, seed=train.seed)
        write_png(self.out / "samples.png", grid_of(torch.cat(list(drawn))), _ZOOM)

"""A file of images beside real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from molgen.errors import DataError
from molgen.images.frechet import FrechetDistance
from molgen.images.store import ImageStore
from molgen.npz_file import read_npz

REFERENCE = 10_000
"""Training images that everything is compared with."""


@dataclass(frozen=True)
class ImageScores:
    """Distances on EfficientNet-Lite0 features, biased alike because of equal numbers.

    Attributes:
        n: Images compared.
        frechet: Distance of the file's images to training images.
        real: Distance of as many test images: what a perfect generator would score.
        n_reference: Training images.
    """

    n: int
    frechet: float
    real: float
    n_reference: int


def evaluate_images(file: Path, store: ImageStore) -> ImageScores:
    """Compare the images of a file with those of a store.

    Args:
        file: ``.npz`` with uint8 ``images`` ``[N, S, S, 3]``.
        store: The data set.

    Raises:
        DataError: The file does not hold images, or not 2 at least, or more than test images.
    """
    images = read_images(file)
    size = images.shape[-1]
    test = store.tensor("test", size)
    if not 2 <= len(images) <= len(test):
        raise DataError(f"{file} holds {len(images)} images", f"Compare 2 to {len(test)} images")
    reference = store.tensor("train", size)[:REFERENCE]
    distance = FrechetDistance(reference)
    real = distance(test[: len(images)])
    return ImageScores(len(images), distance(images), real, len(reference))


def read_images(file: Path) -> Tensor:
    """Images of an ``.npz``, uint8 ``[N, 3, S, S]``.

    Raises:
        DataError: There are none in it.
    """
    hint = "Make it: molgen images sample --out images.npz"
    images = read_npz(file, ("images",), hint)["images"]
    square = images.ndim == 4 and images.shape[1] == images.shape[2] > 0 and images.shape[3] == 3
    if not square or images.dtype != np.uint8:
        raise DataError(f"{file} holds {images.dtype} {images.shape}, not 8-bit images", hint)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

"""A folder of images of one size, memory-mapped: what training and evaluation read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molgen.atomic import atomic_folder
from molgen.errors import DataError, OutputError

FORMAT = 1
SPLITS = ("train", "test")
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ImageSplit:
    """One part of a data set.

    Attributes:
        images: uint8, ``[N, C, S, S]``.
        labels: Classes, uint8, ``[N]``.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ImageStore:
    """A prepared data set.

    Attributes:
        folder: Where it lies.
        source: What it was made from.
        splits: Memory-mapped parts by name.
    """

    folder: Path
    source: str
    splits: dict[str, ImageSplit]

    @classmethod
    def open(cls, folder: str | Path) -> ImageStore:
        """Open a store.

        Raises:
            DataError: There is none, or it is damaged.
        """
        place = Path(folder)
        try:
            manifest = json.loads((place / MANIFEST).read_text())
            stored_as, source = manifest["format"], str(manifest["source"])
            splits = {name: _open_split(place, name) for name in SPLITS}
        except FileNotFoundError as error:
            raise DataError(
                f"no image store in {place} ({Path(error.filename).name} is missing)",
                f"Make it: molgen data prepare {place.name} --source FILE",
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{place} is damaged: {error}", "Prepare it again, with --force"
            ) from None
        if stored_as != FORMAT:
            raise DataError(f"{place} has another format", "Prepare it again, with --force")
        return cls(place, source, splits)

    def tensor(self, split: str, size: int) -> Tensor:
        """All images of a split at ``size`` pixels per side, uint8 ``[N, C, size, size]``.

        Smaller images are averages over areas, rounded to 8 bits like any stored image.

        Raises:
            DataError: The stored side is not a multiple of ``size``.
        """
        images = self.splits[split].images
        stored = images.shape[-1]
        factor, rest = divmod(stored, size)
        if rest or factor < 1:
            raise DataError(
                f"{self.folder} holds images of {stored} pixels, not a multiple of {size}",
                f"Set data.size to {stored} or a divisor of it",
            )
        if factor == 1:
            return torch.from_numpy(np.array(images))
        blocks = images.reshape(*images.shape[:2], size, factor, size, factor)
        total = blocks.sum(axis=(3, 5), dtype=np.uint32)
        # Half a unit is added before the division: rounding to nearest in whole numbers.
        mean = (2 * total + factor**2) // (2 * factor**2)
        return torch.from_numpy(mean.astype(np.uint8))


def write_store(
    folder: Path, source: str, splits: dict[str, ImageSplit], *, force: bool = False
) -> None:
    """Write a store: its folder appears whole or not at all.

    Raises:
        OutputError: The folder exists and ``force`` is not set, or it cannot be written.
    """
    if folder.exists() and not force:
        raise OutputError(f"{folder} exists", "Add --force to replace it")
    text = json.dumps(_manifest(source, splits), indent=2) + "\n"
    try:
        with atomic_folder(folder) as beside:
            for name, split in splits.items():
                np.save(beside / f"{name}_images.npy", split.images)
                np.save(beside / f"{name}_labels.npy", split.labels)
            (beside / MANIFEST).write_text(text)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from None


def _manifest(source: str, splits: dict[str, ImageSplit]) -> dict[str, Any]:
    counts = {name: len(split.images) for name, split in splits.items()}
    return {"format": FORMAT, "source": source, "counts": counts}


def _open_split(folder: Path, name: str) -> ImageSplit:
    images = np.load(folder / f"{name}_images.npy", mmap_mode="r")
    labels = np.load(folder / f"{name}_labels.npy", mmap_mode="r")
    if images.ndim != 4 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(f"{name} does not hold square 8-bit images with one label each")
    return ImageSplit(images, labels)

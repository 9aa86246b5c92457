"""Where images go: a picture for people, or an array for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from torch import Tensor

from molgen.atomic import atomic_path
from molgen.images.picture import grid_of, write_png

_SHOWN_SIDE = 96
"""Pixels per side at which a small image is shown."""


def _png(path: Path, images: Tensor) -> None:
    write_png(path, grid_of(images), zoom=max(1, _SHOWN_SIDE // images.shape[-1]))


def _npz(path: Path, images: Tensor) -> None:
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, images=images.permute(0, 2, 3, 1).numpy())


WRITERS: Mapping[str, Callable[[Path, Tensor], None]] = MappingProxyType(
    {".png": _png, ".npz": _npz}
)
"""By suffix: writes uint8 images ``[N, C, S, S]`` in one move. The array of a ``.npz`` is called
``images`` and has the channels last."""

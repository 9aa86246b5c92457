"""Many small images as one picture."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from molgen.atomic import atomic_path

_GAP = 1


def grid_of(images: Tensor, n_columns: int | None = None) -> Tensor:
    """Tile images, row by row, on white.

    Args:
        images: uint8, ``[N, C, S, S]``.
        n_columns: Images per row; as square as possible when None.

    Returns:
        uint8, ``[C, H, W]``.
    """
    n, channels, side, _ = images.shape
    columns = n_columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    pitch = side + _GAP
    sheet = torch.full((channels, rows * pitch - _GAP, columns * pitch - _GAP), 255).byte()
    for index, image in enumerate(images):
        top, left = index // columns * pitch, index % columns * pitch
        sheet[:, top : top + side, left : left + side] = image
    return sheet


def write_png(path: Path, image: Tensor, zoom: int = 1) -> None:
    """Write ``[C, H, W]`` uint8 as PNG in one move, every pixel ``zoom`` x ``zoom``."""
    pixels = image.permute(1, 2, 0).repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
    with atomic_path(path) as partial:
        Image.fromarray(pixels.numpy()).save(partial, format="PNG")

"""Weights of image models: safetensors in half precision, everything else in the header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from molgen.checkpoint import find_model
from molgen.images.info import ImageInfo, read_image_info
from molgen.images.model import ImageDenoiser
from molgen.weights_file import load_network, save_network


@dataclass(frozen=True)
class LoadedImages:
    """An image model ready to sample.

    Attributes:
        model: The network, in evaluation mode.
        info: What its file says of it.
    """

    model: ImageDenoiser
    info: ImageInfo


def save_images(path: Path, model: ImageDenoiser, info: ImageInfo) -> None:
    """Write weights and header in one move: a kill leaves the old file or the new one.

    Half precision rounds a weight by at most 1 in 2048, and halves the file.
    """
    save_network(path, model, info, torch.float16)


def load_images(name_or_path: str | Path, device: str = "auto") -> LoadedImages:
    """Load a shipped image model by name, or any by path.

    Raises:
        UsageError: No model of this name, or one of molecules.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    path = find_model(name_or_path)
    info = read_image_info(path)
    model = load_network(path, lambda: ImageDenoiser(info.config), device)
    return LoadedImages(model, info)

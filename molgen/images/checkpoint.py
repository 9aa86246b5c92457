"""Weights of image models: safetensors in half precision, everything else in the header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from molgen.checkpoint import KEY, find_model
from molgen.device import keep_freed_memory, pick_device
from molgen.errors import CheckpointError
from molgen.images.info import ImageInfo, read_image_info
from molgen.images.model import ImageDenoiser


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
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(save(tensors, metadata={KEY: json.dumps(info.to_dict())}))
    partial.replace(path)


def load_images(name_or_path: str | Path, device: str = "auto") -> LoadedImages:
    """Load a shipped image model by name, or any by path.

    Raises:
        UsageError: No model of this name, or one of molecules.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    path = find_model(name_or_path)
    info = read_image_info(path)
    keep_freed_memory()
    model = ImageDenoiser(info.config)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe: {reason}") from None
    return LoadedImages(model.to(pick_device(device)).eval(), info)

"""Weights in safetensors with everything else in the header: no pickle, no torch to read it."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molgen.errors import CheckpointError, UsageError
from molgen.models.info import FORMAT, ModelInfo
from molgen.names import unknown

if TYPE_CHECKING:
    from molgen.models.denovo import DeNovo

WEIGHTS = Path(__file__).parent / "weights"
SUFFIX = ".safetensors"
KEY = "molgen"
MOLECULES = "molecules"
_USES = {"images": "molgen images sample --model", "baselines": "python scripts/baselines.py"}
"""What to type before the weights of other domains."""

MAX_HEADER = 100_000_000
"""Longest header that the safetensors format allows, bytes."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to sample.

    Attributes:
        model: The network with its units, in evaluation mode.
        info: What its file says of it.
        path: The file; None for a model that is still being trained.
    """

    model: DeNovo
    info: ModelInfo
    path: Path | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.info.name


def save_model(path: Path, model: DeNovo, info: ModelInfo) -> None:
    """Write weights and header in one move: a kill leaves the old file or the new one."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    # Not safetensors' save_file: it makes files that only their owner may read.
    partial.write_bytes(save(tensors, metadata={KEY: json.dumps(info.to_dict())}))
    partial.replace(path)


def read_info(path: Path) -> ModelInfo:
    """Read the header of a model of molecules; needs no torch.

    Raises:
        UsageError: It is a model of images.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    tree = read_tree(path)
    domain = tree.get("domain", MOLECULES)
    if domain != MOLECULES:
        hint = f"Type: {_USES[domain]} {spoken(path)}" if domain in _USES else ""
        raise UsageError(f"{path.stem} is a model of {domain}, not of molecules", hint)
    try:
        return ModelInfo.from_dict(tree, str(path))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} has a damaged header ({error!r})", "copy or train the file again"
        ) from None


def read_tree(path: Path) -> dict[str, Any]:
    """What a weights file of any domain says of itself, not yet checked; needs no torch.

    Raises:
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    header = _header(path)
    try:
        tree: dict[str, Any] = json.loads(header["__metadata__"][KEY])
        version = tree["format"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{path} holds no molgen model", "train one with molgen train"
        ) from None
    if version != FORMAT:
        raise CheckpointError(f"{path} has format {version}, this version reads {FORMAT}")
    return tree


def load_model(name_or_path: str | Path, device: str = "auto") -> LoadedModel:
    """Load a shipped model by name, or any model by path.

    Args:
        name_or_path: A name from `available_models`, or a ``.safetensors`` file.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: No model of this name; the nearest one is suggested.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    path = find_model(name_or_path)
    info = read_info(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from molgen.device import keep_freed_memory, pick_device
    from molgen.models.build import build

    keep_freed_memory()
    model = build(info.config, info.max_atoms)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe: {reason}") from None
    return LoadedModel(model.to(pick_device(device)).eval(), info, path)


def find_model(name_or_path: str | Path) -> Path:
    """The file of a name or path.

    Raises:
        UsageError: No model of this name.
        CheckpointError: A path that does not exist.
    """
    text = str(name_or_path)
    if text.endswith(SUFFIX) or "/" in text or isinstance(name_or_path, Path):
        path = Path(text)
        if not path.is_file():
            raise CheckpointError(f"no weights file {text!r}", "molgen models lists shipped models")
        return path
    shipped = _shipped()
    if text not in shipped:
        raise UsageError(*unknown("model", text, shipped))
    return shipped[text]


def spoken(path: Path) -> str:
    """What to type for a weights file: a shipped model's name, or the path."""
    return path.stem if path.parent == WEIGHTS else str(path)


def available_models() -> list[ModelInfo]:
    """Headers of the shipped models of molecules, by name; needs no torch."""
    return [read_info(path) for path in shipped(MOLECULES)]


def shipped(domain: str) -> list[Path]:
    """Files of the shipped models of a domain, by name."""
    return [
        path for path in _shipped().values() if read_tree(path).get("domain", MOLECULES) == domain
    ]


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted(WEIGHTS.glob(f"*{SUFFIX}"))}


def _header(path: Path) -> dict[str, Any]:
    """The JSON header, checked against the file's length."""
    hint = "copy or train the file again"
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER
            text = file.read(length) if length < MAX_HEADER else b""
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    try:
        header: dict[str, Any] = json.loads(text)
        ends = [spec["data_offsets"][1] for name, spec in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} is not a safetensors file", hint) from None
    if size < 8 + length + max(ends, default=0):
        raise CheckpointError(f"{path} is truncated at {size} bytes", hint)
    return header

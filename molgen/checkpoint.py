"""Models of molecules by name or path, from files as `molgen.weights_file` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from molgen.did_you_mean import unknown
from molgen.errors import CheckpointError, UsageError
from molgen.models.info import ModelInfo
from molgen.weights_file import (
    MOLECULES,
    digest_of,
    domain_of,
    load_network,
    read_header,
    read_tree,
    save_network,
)

if TYPE_CHECKING:
    from molgen.models.denovo import DeNovo

WEIGHTS = Path(__file__).parent / "weights"
SUFFIX = ".safetensors"
_USES = {"images": "molgen images sample --model", "baselines": "python -m benchmarks baselines"}
"""What to type before the weights of other domains."""


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

    @cached_property
    def digest(self) -> str:
        """Of weights and header: equal for models that make the same molecules."""
        return digest_of(self.model, self.info)


def save_model(path: Path, model: DeNovo, info: ModelInfo) -> None:
    """Write weights and header in one move: a kill leaves the old file or the new one."""
    save_network(path, model, info)


def read_info(path: Path) -> ModelInfo:
    """Read the header of a model of molecules; needs no torch.

    Raises:
        UsageError: It is a model of images.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    return read_header(path, ModelInfo, _no_molecules)


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
    from molgen.models.build import build

    model = load_network(path, lambda: build(info.config, info.max_atoms), device)
    return LoadedModel(model, info, path)


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
    return [path for path in _shipped().values() if domain_of(read_tree(path)) == domain]


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted(WEIGHTS.glob(f"*{SUFFIX}"))}


def _no_molecules(path: Path, domain: str) -> UsageError:
    hint = f"Type: {_USES[domain]} {spoken(path)}" if domain in _USES else ""
    return UsageError(f"{path.stem} is a model of {domain}, not of molecules", hint)

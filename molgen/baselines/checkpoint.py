"""Weights of baselines: safetensors with everything else in the header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from molgen.baselines.build import build
from molgen.baselines.config import BaselineConfig, parse_baseline_config
from molgen.baselines.model import Baseline
from molgen.checkpoint import find_model
from molgen.errors import UsageError
from molgen.models.info import MoleculeHeader, MoleculeHeaderSchema
from molgen.weights_file import HeaderSchema, load_network, read_header, save_network

DOMAIN = "baselines"


@dataclass(frozen=True)
class BaselineInfo(MoleculeHeader[BaselineConfig]):
    """Everything about a baseline but its weights."""

    domain: ClassVar[str] = DOMAIN
    schema: ClassVar[type[HeaderSchema]] = MoleculeHeaderSchema

    @classmethod
    def from_dict(cls, tree: dict[str, Any], origin: str) -> BaselineInfo:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
            ConfigError: The recipe does not fit this version's schema.
        """
        return cls(
            name=tree["name"],
            config=parse_baseline_config(tree["config"], origin),
            n_atoms=tuple(tree["n_atoms"]),
            training=tree["training"],
        )


@dataclass(frozen=True)
class LoadedBaseline:
    """A baseline ready to sample.

    Attributes:
        model: The network with its units, in evaluation mode.
        info: What its file says of it.
    """

    model: Baseline
    info: BaselineInfo


def save_baseline(path: Path, model: Baseline, info: BaselineInfo) -> None:
    """Write weights and header in one move: a kill leaves the old file or the new one."""
    save_network(path, model, info)


def read_baseline_info(path: Path) -> BaselineInfo:
    """Read the header of a baseline.

    Raises:
        UsageError: It is another kind of model.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    return read_header(path, BaselineInfo, _no_baseline)


def load_baseline(name_or_path: str | Path, device: str = "auto") -> LoadedBaseline:
    """Load a baseline.

    Raises:
        UsageError: It is another kind of model.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    path = find_model(name_or_path)
    info = read_baseline_info(path)
    model = load_network(path, lambda: build(info.config, info.max_atoms), device)
    return LoadedBaseline(model, info)


def _no_baseline(path: Path, _: str) -> UsageError:
    return UsageError(
        f"{path} is no baseline", "Train one: molgen train configs/baselines/edm.yaml"
    )

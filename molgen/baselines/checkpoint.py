"""Weights of baselines: safetensors with everything else in the header."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from molgen.baselines.build import build
from molgen.baselines.config import BaselineConfig, parse_baseline_config
from molgen.baselines.model import Baseline
from molgen.checkpoint import KEY, find_model, read_tree
from molgen.chem.elements import Vocabulary
from molgen.device import keep_freed_memory, pick_device
from molgen.errors import CheckpointError, UsageError
from molgen.models.info import FORMAT

DOMAIN = "baselines"


@dataclass(frozen=True)
class BaselineInfo:
    """Everything about a baseline but its weights.

    Attributes:
        name: Its name, such as ``edm``.
        config: The recipe it was trained with.
        n_atoms: Molecules of the training data per number of atoms, from 0 on.
        training: Steps, molecules, seconds, hardware: how the weights came about.
    """

    name: str
    config: BaselineConfig
    n_atoms: tuple[int, ...]
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def vocabulary(self) -> Vocabulary:
        """Elements of the model."""
        return Vocabulary(self.config.data.atomic_numbers, self.config.data.charges)

    @property
    def max_atoms(self) -> int:
        """Largest molecule of the training data."""
        return len(self.n_atoms) - 1

    def trained(self, **facts: Any) -> BaselineInfo:
        """A copy with more facts about its training."""
        return replace(self, training={**self.training, **facts})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "format": FORMAT,
            "domain": DOMAIN,
            "name": self.name,
            "config": self.config.model_dump(mode="json"),
            "n_atoms": list(self.n_atoms),
            "training": self.training,
        }


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
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(save(tensors, metadata={KEY: json.dumps(info.to_dict())}))
    partial.replace(path)


def read_baseline_info(path: Path) -> BaselineInfo:
    """Read the header of a baseline.

    Raises:
        UsageError: It is another kind of model.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    tree = read_tree(path)
    if tree.get("domain") != DOMAIN:
        raise UsageError(
            f"{path} is no baseline", "Train one: molgen train configs/baselines/edm.yaml"
        )
    try:
        config = parse_baseline_config(tree["config"], str(path))
        return BaselineInfo(tree["name"], config, tuple(tree["n_atoms"]), tree["training"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} has a damaged header ({error!r})", "copy or train the file again"
        ) from None


def load_baseline(name_or_path: str | Path, device: str = "auto") -> LoadedBaseline:
    """Load a baseline.

    Raises:
        UsageError: It is another kind of model.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    path = find_model(name_or_path)
    info = read_baseline_info(path)
    keep_freed_memory()
    model = build(info.config, info.max_atoms)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe: {reason}") from None
    return LoadedBaseline(model.to(pick_device(device)).eval(), info)

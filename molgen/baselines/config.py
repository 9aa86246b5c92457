"""The schema of a recipe of a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from molgen.config import (
    CouplingParts,
    DataConfig,
    IndependentConfig,
    OptimConfig,
    RunConfig,
    Section,
    load_tree,
    validated,
)
from molgen.config.networks import EGNNConfig, Networks


class BaselineConfig(Section):
    """A whole recipe of a baseline; the defaults are those of Hoogeboom et al. 2022.

    Attributes:
        domain: What the recipe makes.
        data: Which molecules; charges play no part.
        network: The network.
        schedule: Path from data to noise; its time is uniform in training and in sampling.
        predicts: What the network puts out, compared in its own space without weights: ``eps``,
            ``x0``, ``v`` at unit total variance, or ``u`` of the straight line.
        solver: How it is sampled.
        pos_scale: Å per unit of the diffused coordinates.
        element_scale: Height of the one-hot elements that are diffused.
        coupling: Which noise goes with which molecule's coordinates.
        optim: Optimiser and its schedule.
        train: The run.
    """

    domain: Literal["baselines"]
    data: DataConfig = Field(default_factory=DataConfig)
    network: Networks = EGNNConfig()
    schedule: str = "polynomial"
    predicts: Literal["eps", "x0", "v", "u"] = "eps"
    solver: str = "ancestral"
    pos_scale: float = Field(1.0, gt=0)
    element_scale: float = Field(0.25, gt=0)
    coupling: CouplingParts = IndependentConfig()
    optim: OptimConfig = OptimConfig()
    train: RunConfig = RunConfig()


def parse_baseline_config(tree: dict[str, Any], origin: str = "config") -> BaselineConfig:
    """Validate a nested dict as a recipe of a baseline.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    return validated(BaselineConfig, tree, origin)


def load_baseline_config(path: str | Path, overrides: Sequence[str] = ()) -> BaselineConfig:
    """Read a YAML recipe of a baseline.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not fit the schema.
    """
    return parse_baseline_config(load_tree(path, overrides), str(path))

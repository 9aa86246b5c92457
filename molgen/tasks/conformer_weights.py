"""Weights of conformer models: safetensors with everything else in the header."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from molgen.config.conformers import ConformerConfig
from molgen.config.reading import validated
from molgen.errors import UsageError
from molgen.weights_file import Header, HeaderSchema, digest_of, load_network, read_header

if TYPE_CHECKING:
    from molgen.tasks.conformers import ConformerModel

DOMAIN = "conformers"


@dataclass(frozen=True)
class ConformerInfo(Header[ConformerConfig]):
    """Everything about a conformer model but its weights."""

    domain: ClassVar[str] = DOMAIN
    schema: ClassVar[type[HeaderSchema]] = HeaderSchema

    @classmethod
    def from_dict(cls, tree: dict[str, Any], origin: str) -> ConformerInfo:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
            ConfigError: The recipe does not fit this version's schema.
        """
        config = validated(ConformerConfig, tree["config"], origin)
        return cls(name=tree["name"], config=config, training=tree["training"])


@dataclass(frozen=True)
class LoadedConformerModel:
    """A conformer model ready to sample.

    Attributes:
        model: The network with its units, in evaluation mode.
        info: What its file says of it.
    """

    model: ConformerModel
    info: ConformerInfo

    @cached_property
    def digest(self) -> str:
        """Of weights and header: equal for models that make the same conformers."""
        return digest_of(self.model, self.info)


def read_conformer_info(path: Path) -> ConformerInfo:
    """Read the header of a conformer model.

    Raises:
        UsageError: It is another kind of model.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    return read_header(path, ConformerInfo, _other_model)


def load_conformer_model(path: Path, device: str = "auto") -> LoadedConformerModel:
    """Load a conformer model.

    Raises:
        UsageError: It is another kind of model.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    info = read_conformer_info(path)
    from molgen.tasks.conformers import build_conformer_model

    model = load_network(path, lambda: build_conformer_model(info.config.model), device)
    return LoadedConformerModel(model, info)


def _other_model(path: Path, domain: str) -> UsageError:
    return UsageError(
        f"{path.stem} is a model of {domain}, not of conformers",
        "Train one: molgen train configs/conformers.yaml",
    )

"""What an image model's weights file says of itself; reads without torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from molgen.checkpoint import read_tree, spoken
from molgen.errors import CheckpointError, UsageError
from molgen.images.config import ImageConfig, parse_image_config
from molgen.models.info import FORMAT

DOMAIN = "images"


@dataclass(frozen=True)
class ImageInfo:
    """Everything about a model but its weights.

    Attributes:
        name: Name of the model, such as ``cifar10-16``.
        config: The recipe it was trained with.
        plans: Best measured plans by number of network calls, in the form of `Plan.to_dict`, each
            with the scores that made it the default.
        training: Steps, images, seconds, hardware: how the weights came about.
    """

    name: str
    config: ImageConfig
    plans: dict[int, dict[str, Any]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def trained(self, **facts: Any) -> ImageInfo:
        """A copy with more facts about its training."""
        return replace(self, training={**self.training, **facts})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "format": FORMAT,
            "domain": DOMAIN,
            "name": self.name,
            "config": self.config.model_dump(mode="json"),
            "plans": {str(steps): plan for steps, plan in sorted(self.plans.items())},
            "training": self.training,
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any], origin: str) -> ImageInfo:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
            ConfigError: The recipe does not fit this version's schema.
        """
        return cls(
            name=tree["name"],
            config=parse_image_config(tree["config"], origin),
            plans={int(steps): plan for steps, plan in tree["plans"].items()},
            training=tree["training"],
        )


def read_image_info(path: Path) -> ImageInfo:
    """Read the header of an image model; needs no torch.

    Raises:
        UsageError: It is a model of molecules.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    tree = read_tree(path)
    if tree.get("domain") != DOMAIN:
        hint = f"Type: molgen sample --model {spoken(path)}"
        raise UsageError(f"{path.stem} makes molecules, not images", hint)
    try:
        return ImageInfo.from_dict(tree, str(path))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} has a damaged header ({error!r})", "copy or train the file again"
        ) from None

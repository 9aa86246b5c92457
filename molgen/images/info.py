"""What an image model's weights file says of itself; reads without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from molgen.checkpoint import spoken
from molgen.errors import UsageError
from molgen.images.config import ImageConfig, parse_image_config
from molgen.weights_file import Header, HeaderSchema, Text, read_header

DOMAIN = "images"


class ImageSchema(HeaderSchema):
    """What the header of a model of images holds; `Plan.from_dict` checks its plans."""

    plans: Annotated[
        dict[Annotated[int, Field(ge=1, le=1000)], dict[Text, Any]], Field(max_length=100)
    ]


@dataclass(frozen=True)
class ImageInfo(Header[ImageConfig]):
    """Everything about a model of images but its weights.

    Attributes:
        plans: Best measured plans by number of network calls, in the form of `Plan.to_dict`, each
            with the scores that made it the default.
    """

    domain: ClassVar[str] = DOMAIN
    schema: ClassVar[type[HeaderSchema]] = ImageSchema

    plans: dict[int, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        plans = {str(steps): plan for steps, plan in sorted(self.plans.items())}
        return {**super().to_dict(), "plans": plans}

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
    return read_header(path, ImageInfo, _no_images)


def _no_images(path: Path, _: str) -> UsageError:
    hint = f"Type: molgen sample --model {spoken(path)}"
    return UsageError(f"{path.stem} makes molecules, not images", hint)

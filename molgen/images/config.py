"""The schema of a recipe of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from molgen.config import (
    BalanceConfig,
    BatchOTConfig,
    CurriculumConfig,
    EDMWeightConfig,
    IndependentConfig,
    LogisticConfig,
    NoiseLevels,
    OptimConfig,
    RunConfig,
    Section,
    WeightingParts,
    load_tree,
    validated,
)


class ImageDataConfig(Section):
    """Which images, and the unit in which the network sees them.

    Values of -1 to 1 become ``(value - center) / scale``: the frame of unit total variance
    presumes data of unit variance.

    Attributes:
        store: Folder of the prepared store.
        size: Pixels per side; a divisor of the stored size, reached by averaging areas.
        center: Mean of the values, all channels together.
        scale: Their standard deviation.
        flip: Mirror half of the images, left to right.
    """

    store: str = "data/cifar10"
    size: int = Field(32, ge=4, le=1024)
    center: float = -0.05
    scale: float = Field(0.5, gt=0)
    flip: bool = True


class UNetConfig(Section):
    """Sizes of the U-Net.

    Attributes:
        channels: Channels per resolution, from full size down; each level halves the side.
        layers: Residual blocks per resolution.
        attend: Resolutions with self-attention, as indices into ``channels``; the middle has it.
        head_dim: Channels per attention head.
        groups: Groups of the normalisation.
        dropout: Probability of dropping an activation.
    """

    channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (128, 256, 256), max_length=10
    )
    layers: int = Field(2, ge=1, le=64)
    attend: tuple[int, ...] = Field((1,), max_length=10)
    head_dim: int = Field(64, ge=4, le=4096)
    groups: int = Field(32, ge=1, le=4096)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _groups_share_the_channels(self) -> UNetConfig:
        if not self.channels:
            raise ValueError("channels is empty")
        for width in self.channels:
            if width < 1 or width % self.groups or width % self.head_dim:
                raise ValueError(
                    f"{width} channels are not a multiple of groups {self.groups} "
                    f"and head_dim {self.head_dim}"
                )
        if any(not 0 <= level < len(self.channels) for level in self.attend):
            raise ValueError(f"attend {self.attend} names a level that channels lacks")
        return self


class ImageConfig(Section):
    """A whole recipe of images; noise levels are in units of the data's standard deviation.

    Attributes:
        domain: What the recipe makes.
        data: Which images.
        model: The denoiser.
        times: Densities of the noise level.
        curriculum: Opening of the levels, noisiest first, or none.
        lam_min: Smallest half log-SNR of training.
        lam_max: Largest half log-SNR of training.
        coupling: Which noise goes with which image.
        weighting: Weight of the clean image's squared error by level.
        balance: Weights of the error learned by level, or none.
        optim: Optimiser and its schedule.
        train: The run.
    """

    domain: Literal["images"]
    data: ImageDataConfig = ImageDataConfig()
    model: UNetConfig = UNetConfig()
    times: tuple[NoiseLevels, ...] = (LogisticConfig(weight=1.0, mean=0.3, scale=0.8),)
    curriculum: CurriculumConfig | None = None
    lam_min: float = Field(-4.4, ge=-50, le=50)
    lam_max: float = Field(4.6, ge=-50, le=50)
    coupling: IndependentConfig | BatchOTConfig = Field(IndependentConfig(), discriminator="kind")
    weighting: WeightingParts = EDMWeightConfig()
    balance: BalanceConfig | None = None
    optim: OptimConfig = OptimConfig()
    train: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _every_level_halves_the_image(self) -> ImageConfig:
        factor = 2 ** (len(self.model.channels) - 1)
        if self.data.size % factor:
            raise ValueError(
                f"size {self.data.size} cannot be halved {len(self.model.channels) - 1} times"
            )
        return self


def parse_image_config(tree: dict[str, Any], origin: str = "config") -> ImageConfig:
    """Validate a nested dict as a recipe of images.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    return validated(ImageConfig, tree, origin)


def load_image_config(path: str | Path, overrides: Sequence[str] = ()) -> ImageConfig:
    """Read a YAML recipe of images.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not fit the schema.
    """
    return parse_image_config(load_tree(path, overrides), str(path))

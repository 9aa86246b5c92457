"""The schema of a recipe of conformers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from molgen.config.recipe import DimsConfig, OptimConfig, TrainConfig
from molgen.config.section import Section


class ConformerSourceConfig(Section):
    """A store of conformers.

    Attributes:
        store: Its folder.
        share: Fraction of the molecules that come from it.
    """

    store: str
    share: float = Field(1.0, gt=0, le=1)


class ConformerDataConfig(Section):
    """Which conformers.

    Attributes:
        sources: The stores.
        temperature: K; conformers of one molecule are drawn by their Boltzmann weights.
    """

    sources: tuple[ConformerSourceConfig, ...] = Field(min_length=1, max_length=100)
    temperature: float = Field(600.0, gt=0)

    @model_validator(mode="after")
    def _shares_are_all(self) -> ConformerDataConfig:
        if abs(sum(one.share for one in self.sources) - 1) > 1e-6:
            raise ValueError("the shares of data.sources must add up to 1")
        return self


class ConformerModelConfig(Section):
    """The network and its path.

    Attributes:
        n_layers: Number of blocks.
        n_radial: Radial functions per distance.
        cutoff: Largest distance resolved, Å.
        pos_scale: Å per unit of the network's coordinates.
        prior_scale: Å; scale of the harmonic noise.
        step_size_cond: Whether the network is told where the step ends that a call is for.
        refiner: Whether a second network of the same sizes moves conformers to their minima.
        dims: Sizes of the streams.
    """

    n_layers: int = Field(6, ge=1, le=64)
    n_radial: int = Field(24, ge=4, le=256)
    cutoff: float = Field(14.0, gt=0)
    pos_scale: float = Field(2.0, gt=0)
    prior_scale: float = Field(1.6, gt=0)
    step_size_cond: bool = False
    refiner: bool = False
    dims: DimsConfig = DimsConfig()


class ConformerLossConfig(Section):
    """Weights of the loss terms; see `molgen.tasks.conformers.loss_terms`.

    Attributes:
        pos: Weight of the squared error of positions.
        distance: Weight of the Huber loss on distances.
        floor: Caps the weight of positions at low noise.
        huber: Error from which the loss on distances is linear, Å.
        reach: Bonds within which distances count.
        at_noise: Share of the molecules that are trained on at pure noise.
    """

    pos: float = Field(1.0, ge=0)
    distance: float = Field(10.0, ge=0)
    floor: float = Field(0.05, gt=0)
    huber: float = Field(0.2, gt=0)
    reach: int = Field(3, ge=1, le=9)
    at_noise: float = Field(0.1, ge=0, le=1)


class RefinerConfig(Section):
    """Training of the refiner; see `molgen.tasks.refiner.loss_terms`.

    Attributes:
        pos: Weight of the error of positions.
        local: Weight of the Huber loss on distances within ``reach`` bonds.
        shape: Weight of the Huber loss on all other distances.
        reach: Bonds that are local.
        from_start: Share of the molecules that begin at the start of their trajectory; the others
            begin at a geometry between it and the minimum.
    """

    pos: float = Field(3.0, ge=0)
    local: float = Field(1.0, ge=0)
    shape: float = Field(1.0, ge=0)
    reach: int = Field(3, ge=1, le=9)
    from_start: float = Field(0.7, ge=0, le=1)


class ConformerConfig(Section):
    """A whole recipe of conformers.

    Attributes:
        domain: What the recipe makes.
        data: Which conformers.
        model: The network and its path.
        loss: Weights of the loss terms.
        refiner: Training of the refiner alone, on trajectories; None trains the network.
        optim: Optimiser and its schedule.
        train: The run.
    """

    domain: Literal["conformers"]
    data: ConformerDataConfig
    model: ConformerModelConfig = ConformerModelConfig()
    loss: ConformerLossConfig = ConformerLossConfig()
    refiner: RefinerConfig | None = None
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _refiner_is_there(self) -> ConformerConfig:
        if self.refiner is not None and not self.model.refiner:
            raise ValueError("a refiner is trained that the model has not: set model.refiner")
        return self

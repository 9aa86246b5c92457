"""Sections that say which noise levels training visits; `molgen.train.levels` builds them."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from molgen.config.section import Section
from molgen.modality import Modality


class LogisticConfig(Section):
    """Half log-SNR from a logistic law: uniform time of an ISSNR schedule."""

    kind: Literal["logistic"] = "logistic"
    weight: float = Field(0.65, gt=0)
    mean: float = 0.7
    scale: float = Field(0.9, gt=0)


class LogNormalConfig(Section):
    """Half log-SNR from a normal law, so that the noise level is log-normal, as EDM trains."""

    kind: Literal["log_normal"] = "log_normal"
    weight: float = Field(1.0, gt=0)
    mean: float = 1.2
    std: float = Field(1.2, gt=0)


class LogUniformConfig(Section):
    """Half log-SNR uniform between two noise levels: in Å, or in the unit of an image's values."""

    kind: Literal["log_uniform"] = "log_uniform"
    weight: float = Field(0.35, gt=0)
    sigma_min: float = Field(0.015, gt=0)
    sigma_max: float = Field(0.4, gt=0)


class UniformTimeConfig(Section):
    """Uniform time of a schedule, by its name, within the levels of the recipe."""

    kind: Literal["uniform_time"] = "uniform_time"
    weight: float = Field(1.0, gt=0)
    schedule: str = "cosine"


NoiseLevels = Annotated[
    LogisticConfig | LogNormalConfig | LogUniformConfig | UniformTimeConfig,
    Field(discriminator="kind"),
]


class CurriculumConfig(Section):
    """From noisy to clean: levels open one cluster after the other.

    Attributes:
        edges: Increasing half log-SNR between the clusters.
        until: Share of the run after which all levels are open.
    """

    edges: tuple[float, ...] = Field((0.0, 1.5), min_length=1, max_length=100)
    until: float = Field(0.5, gt=0, le=1)


class TogetherConfig(Section):
    """One noise level for all atoms of a molecule."""

    kind: Literal["together"] = "together"


class AsynchronousConfig(Section):
    """Levels of their own for atoms; see `molgen.flow.asynchronous.Asynchronous`."""

    kind: Literal["asynchronous"] = "asynchronous"
    p_async: float = Field(0.5, ge=0, le=1)
    p_clean: float = Field(0.0, ge=0, le=1)


class CompletionConfig(Section):
    """Some atoms given, as a scaffold is; see `molgen.flow.asynchronous.Completion`."""

    kind: Literal["completion"] = "completion"
    share: float = Field(0.3, ge=0, le=1)
    near: float = Field(0.75, ge=0, le=1)


Rows = Annotated[
    TogetherConfig | AsynchronousConfig | CompletionConfig, Field(discriminator="kind")
]


Noisable = Literal[Modality.POS, Modality.ELEMENT]
"""Modalities that have a noise level."""


class TaskConfig(Section):
    """What a share of the molecules asks of the network; see `molgen.tasks.task.Task`.

    Attributes:
        given: Modalities that are clean: ``pos``, ``element``.
        predicted: Modalities of which nothing is seen; those of neither list are noised.
        weight: Share of the molecules, relative to the other tasks'.
    """

    given: tuple[Noisable, ...] = ()
    predicted: tuple[Noisable, ...] = ()
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _asks_for_something(self) -> TaskConfig:
        if len(set(self.given)) == len(get_args(Noisable)):
            raise ValueError("a task gives every modality")
        if set(self.given) & set(self.predicted):
            raise ValueError("a task has a modality both given and predicted")
        return self

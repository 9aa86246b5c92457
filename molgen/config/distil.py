"""The section of a recipe that trains a few-step student on a teacher's own trajectories."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from molgen.config.section import Section


def _falling(sigma: tuple[float, ...]) -> tuple[float, ...]:
    """Noise levels from large to small.

    Raises:
        ValueError: They do not fall, or one is not positive.
    """
    if not all(high > low for high, low in pairwise((*sigma, 0.0))):
        raise ValueError("list noise levels from large to small, above 0")
    return sigma


class StudentScheduleConfig(Section):
    """One schedule of the student.

    Attributes:
        sigma: Noise levels of the student's calls in Å, from large to small.
        weight: How often it is trained, relative to the other schedules.
    """

    sigma: tuple[float, ...] = Field(min_length=1, max_length=1000)
    weight: float = Field(1.0, gt=0)

    _sigma = field_validator("sigma")(_falling)


class AdversaryConfig(Section):
    """A critic that draws the student's states to those of real molecules.

    Attributes:
        weight: Length of the critic's gradient at the estimated positions, in lengths of the
            gradient that the loss has there.
        last: The same for last calls, except the only one of a schedule; 0 leaves them to the loss.
        last_sigma: Least and largest noise, in Å, under which their molecules are shown.
        hidden: NetworkDims of the critic's own layers.
        lr: Its learning rate.
        alone: Batches from which it learns before it is heard.
    """

    weight: float = Field(1.0, gt=0)
    last: float = Field(0.0, ge=0)
    last_sigma: tuple[float, float] = (0.25, 1.0)
    hidden: int = Field(96, ge=8, le=8192)
    lr: float = Field(1e-3, gt=0)
    alone: int = Field(80, ge=0, le=10**9)

    @field_validator("last_sigma")
    @classmethod
    def _rising(cls, sigma: tuple[float, float]) -> tuple[float, float]:
        """Two levels, the smaller first.

        Raises:
            ValueError: They are not, or one is not positive.
        """
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError("give two noise levels above 0, the smaller first")
        return sigma


class DistilConfig(Section):
    """Few-step distillation of a teacher, whose data only a critic is shown.

    Attributes:
        teacher: Weights that are distilled, a file or the name of a shipped model.
        sigma: Noise levels of the teacher's calls in Å; those within a step of the student are
            the calls that stand for it.
        paired: Standard deviation of the positions from which the teacher starts, where noise alone
            has 1. Noise that was paired with data points where they do, so the two together are
            wider than independent ones, by a few percent even at the first level; a teacher that
            starts from less makes molecules that are too compact.
        solver: Solver of the teacher.
        schedules: Schedules of the student; one model learns all of them.
        sharpness: Power of the teacher's class probabilities as targets: 1 copies its doubts,
            more lessens them.
        decoder: How the teacher's last estimate is decoded, whose molecule the last step of the
            student is to reach; None keeps the teacher's probabilities. It costs host work.
        relax: Iterations of a force field (MMFF94s) on the decoded molecule before the student
            sees it; 0 keeps the teacher's positions.
        restraint: Force constant, in kcal/mol/Å², that keeps every atom near the teacher's
            position while it relaxes.
        workers: Processes that decode and relax; 0 does it in the training process. A GPU waits
            for the host without them.
        compared: Steps of a rollout that are compared with the teacher's, the last one always among
            them; None for all. The others cost one call of the student each.
        self_target_prob: How often the last step leads to the student's own molecule, decoded and
            relaxed, instead of the teacher's.
        self_target_from: Fraction of the run before which it never does.
        reference: Real molecules whose shares of the elements decided molecules are kept at;
            None leaves them.
        replay: Steps on rollouts of the recent past after each step on a new one.
        keep: Rollouts that are kept for them.
        adversary: A critic of where steps lead, which needs ``data.store``; None for none.
    """

    teacher: str = "qm9"
    sigma: tuple[float, ...] = Field(
        (20.0, 3.34, 3.1, 2.85, 2.6, 2.1, 1.6, 1.16, 0.827, 0.6, 0.45, 0.33, 0.249, 0.16),
        min_length=1,
        max_length=1000,
    )
    paired: float = Field(1.0, gt=0)
    solver: str = "dpm++2m"
    schedules: tuple[StudentScheduleConfig, ...] = Field(
        (StudentScheduleConfig(sigma=(20.0, 2.6, 0.827, 0.249)),), min_length=1, max_length=100
    )
    sharpness: float = Field(1.0, ge=1)
    decoder: Literal["map", "geometry"] | None = None
    relax: int = Field(0, ge=0, le=100_000)
    restraint: float = Field(10.0, ge=0)
    workers: int = Field(0, ge=0, le=1024)
    compared: int | None = Field(None, ge=1)
    self_target_prob: float = Field(0.0, ge=0, le=1)
    self_target_from: float = Field(0.0, ge=0, le=1)
    reference: str | None = None
    replay: int = Field(0, ge=0, le=10**6)
    keep: int = Field(256, ge=1, le=10**6)
    adversary: AdversaryConfig | None = None

    _sigma = field_validator("sigma")(_falling)

    @model_validator(mode="before")
    @classmethod
    def _decided_of_old(cls, tree: Any) -> Any:
        """Recipes in the headers of old weights had one decoder, on or off."""
        if not isinstance(tree, dict) or "decided" not in tree:
            return tree
        rest = {key: value for key, value in tree.items() if key != "decided"}
        return {"decoder": "map" if tree["decided"] else None, **rest}

    @model_validator(mode="after")
    def _relaxes_molecules(self) -> Self:
        """Only a decoded molecule has a force field.

        Raises:
            ValueError: Something is asked of decoded molecules, and there is no decoder.
        """
        for name in ("relax", "self_target_prob", "reference"):
            if getattr(self, name) and self.decoder is None:
                raise ValueError(f"{name} needs a decoder, 'map' or 'geometry'")
        return self

    @field_validator("schedules")
    @classmethod
    def _one_per_count(
        cls, schedules: tuple[StudentScheduleConfig, ...]
    ) -> tuple[StudentScheduleConfig, ...]:
        """A number of calls has one schedule.

        Raises:
            ValueError: Two schedules have as many calls.
        """
        if len({len(one.sigma) for one in schedules}) < len(schedules):
            raise ValueError("two schedules have the same number of calls")
        return schedules

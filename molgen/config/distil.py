"""The section of a recipe that trains a few-step student on a teacher's own trajectories."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, field_validator

from molgen.config.section import Section


def _falling(sigma: tuple[float, ...]) -> tuple[float, ...]:
    """Noise levels from large to small.

    Raises:
        ValueError: They do not fall, or one is not positive.
    """
    if not all(high > low for high, low in pairwise((*sigma, 0.0))):
        raise ValueError("list noise levels from large to small, above 0")
    return sigma


class StudentConfig(Section):
    """One ladder of the student.

    Attributes:
        sigma: Noise levels of the student's calls in Å, from large to small.
        weight: How often it is trained, relative to the other ladders.
    """

    sigma: tuple[float, ...] = Field(min_length=1)
    weight: float = Field(1.0, gt=0)

    _sigma = field_validator("sigma")(_falling)


class DistilConfig(Section):
    """Few-step distillation: no data, only the teacher.

    Attributes:
        teacher: Weights that are distilled, a file or the name of a shipped model.
        sigma: Noise levels of the teacher's calls in Å; those within a step of the student are
            the calls that stand for it.
        solver: Solver of the teacher.
        ladders: Ladders of the student; one model learns all of them.
        sharpness: Power of the teacher's class probabilities as targets: 1 copies its doubts,
            more lessens them.
        decided: Whether the classes of the last step are those of the teacher's decoded molecule
            instead, which costs host work.
    """

    teacher: str = "qm9"
    sigma: tuple[float, ...] = Field(
        (20.0, 3.34, 3.1, 2.85, 2.6, 2.1, 1.6, 1.16, 0.827, 0.6, 0.45, 0.33, 0.249, 0.16),
        min_length=1,
    )
    solver: str = "dpm++2m"
    ladders: tuple[StudentConfig, ...] = Field(
        (StudentConfig(sigma=(20.0, 2.6, 0.827, 0.249)),), min_length=1
    )
    sharpness: float = Field(1.0, ge=1)
    decided: bool = False

    _sigma = field_validator("sigma")(_falling)

    @field_validator("ladders")
    @classmethod
    def _one_per_count(cls, ladders: tuple[StudentConfig, ...]) -> tuple[StudentConfig, ...]:
        """A number of calls has one ladder.

        Raises:
            ValueError: Two ladders have as many calls.
        """
        if len({len(ladder.sigma) for ladder in ladders}) < len(ladders):
            raise ValueError("two ladders have the same number of calls")
        return ladders

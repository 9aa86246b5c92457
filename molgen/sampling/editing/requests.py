"""What a caller asks for when molecules are given, checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from molgen.errors import UsageError
from molgen.option import Option, documented
from molgen.sampling.request import BatchSize, Decode, Progress, Relax, Request, Require


@documented
@dataclass(frozen=True)
class VaryRequest:
    """New molecules near given ones.

    Raises:
        UsageError: If a value is out of range.
    """

    n: Annotated[int, Option("New molecules per given one.", names=("--n", "-n"))] = 10
    _: KW_ONLY
    strength: Annotated[
        float, Option("How far from the given molecule: above 0 (itself) up to 1.")
    ] = 0.5
    steps: Annotated[int, Option("Network calls per molecule.")] = 8
    seed: Annotated[int, Option("Variation i of record k depends on the seed, i and k alone.")] = 0
    batch_size: BatchSize = None
    decode: Decode = "geometry"
    relax: Relax = False
    require: Require = None
    progress: Progress = None

    def __post_init__(self) -> None:
        """Reject what no run can do."""
        # The limits of sampling hold here, too.
        Request(
            self.n,
            steps=self.steps,
            seed=self.seed,
            batch_size=self.batch_size,
            decode=self.decode,
            require=self.require,
        )
        if not 0 < self.strength <= 1:
            raise UsageError(
                f"strength is {self.strength:g}",
                "Use a number above 0, up to 1; 0.5 is a middle way",
            )

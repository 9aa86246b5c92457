"""What a caller asks for when molecules are given, checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from molgen.errors import UsageError
from molgen.sampling.request import Request


@dataclass(frozen=True)
class VaryRequest:
    """New molecules near given ones.

    Attributes:
        n: Number of new molecules per given one.
        strength: How far they may go: above 0 (the molecule itself comes back) up to 1 (hardly
            more than its size is left).
        steps: Network calls per molecule.
        seed: Seed of the run; variation i of record k depends on the seed, i and k alone.
        batch_size: Molecules per network call; None suits the device.
        decode: ``"geometry"``, ``"map"`` or ``"argmax"``.
        relax: Relax what is decoded by a force field (`molgen.chem.relaxing`).

    Raises:
        UsageError: If a value is out of range.
    """

    n: int = 10
    strength: float = 0.5
    steps: int = 8
    seed: int = 0
    batch_size: int | None = None
    decode: str = "geometry"
    relax: bool = False

    def __post_init__(self) -> None:
        """Reject what no run can do."""
        # The limits of sampling hold here, too.
        Request(self.n, self.steps, self.seed, batch_size=self.batch_size, decode=self.decode)
        if not 0 < self.strength <= 1:
            raise UsageError(
                f"strength is {self.strength:g}",
                "Use a number above 0, up to 1; 0.5 is a middle way",
            )

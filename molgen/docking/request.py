"""What is asked for of poses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from molgen.errors import UsageError
from molgen.option import Option, documented


@documented
@dataclass(frozen=True)
class DockRequest:
    """What is asked for, of every ligand."""

    exhaustiveness: Annotated[int, Option("Independent searches of each ligand.")] = 8
    poses: Annotated[int, Option("Poses of each ligand at most, within 3 kcal/mol.")] = 9
    ring_conformers: Annotated[
        int, Option("Start geometries of each ligand, of other ring conformations, at most.")
    ] = 1
    posebusters: Annotated[
        bool, Option("Check each pose in its receptor by PoseBusters. Needs molgen[posebusters].")
    ] = False
    seed: Annotated[int, Option("The same ligand and seed give the same poses.")] = 0
    timeout: Annotated[
        float, Option("Seconds for a ligand, after which it is given up.", decides=False)
    ] = 600.0
    workers: Annotated[
        int | None, Option("Processes; unset, one for each core.", decides=False)
    ] = None

    def __post_init__(self) -> None:
        """Reject numbers out of range.

        Raises:
            UsageError: A number is out of range.
        """
        bounds: dict[str, tuple[float, float]] = {
            "exhaustiveness": (1, 10_000),
            "poses": (1, 1_000),
            "ring_conformers": (1, 100),
            "seed": (0, 2**31 - 3),
            "timeout": (1, 1e7),
            "workers": (1, 1_000),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UsageError(f"{name} is {value}", f"Use a number from {least} to {most}")

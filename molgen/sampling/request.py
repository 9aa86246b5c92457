"""What a caller asks for, checked before anything heavy is loaded."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from molgen.chem.formula import parse_formula
from molgen.errors import UsageError
from molgen.flow.plan_options import AS_PRESCRIBED, PlanOptions
from molgen.names import unknown

if TYPE_CHECKING:
    from molgen.sampling.steering.steering import Guide

DECODERS: Final = ("argmax", "geometry", "map")
"""Ways from beliefs to one molecule; the table itself lives in :mod:`molgen.chem.decode`."""

_SIZES: Final = re.compile(r"(\d+)(?:-(\d+))?")

_INTERVAL: Final = re.compile(r"(\d*\.?\d+)-(\d*\.?\d+)")

MAX_SEED: Final = 2**64 - 1

MODEL: Final = "qm9"
"""The shipped model that estimates expected molecules, as solvers, grids and guides want it to."""

FEW_MODEL: Final = "qm9-few"
"""The shipped model that was trained to make molecules from nothing, on ladders of its own."""

COMPLETING_MODEL: Final = "qm9-scaffold"
"""The shipped model that was trained to complete a part of a molecule."""


@dataclass(frozen=True)
class Request:
    """One sampling run.

    Attributes:
        n: Number of records to make.
        steps: Network calls per molecule.
        seed: Seed of the run; molecule i depends on the seed and on i alone.
        plan: Departures from the default solver and grid.
        n_atoms: Smallest and largest number of atoms; None follows the training data.
        batch_size: Molecules per network call; changes speed and memory, never the molecules;
            None suits the device.
        decode: ``"geometry"``: the most probable state that obeys the valences, with the
            distances' own evidence; ``"map"``: without it; ``"argmax"`` of each head.
        valid_only: Keep drawing until ``n`` molecules pass the checks.
        formula: Composition of every molecule, such as ``"C6H6O"``.
        like: File of molecules; molecule i gets the composition of record i, round and round.
        scaffold: File whose first molecule is part of every molecule, atoms kept in place.
        guidance: Scale of classifier-free guidance towards the scaffold; 1 is none.
        guidance_interval: Smallest and largest noise, in Å, at which to guide; None for all.
        avoid: 3D file in the frame of the scaffold whose atoms the molecules must not overlap.
        guide: Energy in kT to lower, of positions (Å), element probabilities and mask.
        int8: Compute in eight-bit integers; CPU only, faster, molecules differ slightly.
        relax: Relax what is decoded by a force field (`molgen.chem.relaxing`).

    Raises:
        UsageError: If a value is out of range.
    """

    n: int
    steps: int = 4
    seed: int = 0
    plan: PlanOptions = AS_PRESCRIBED
    n_atoms: tuple[int, int] | None = None
    batch_size: int | None = None
    decode: str = "geometry"
    valid_only: bool = False
    formula: str | None = None
    like: str | None = None
    scaffold: str | None = None
    guidance: float | None = None
    guidance_interval: tuple[float, float] | None = None
    avoid: str | None = None
    guide: Guide | None = None
    int8: bool = False
    relax: bool = False

    def __post_init__(self) -> None:
        _at_least("n", self.n, 1)
        _at_least("steps", self.steps, 1)
        _at_least("seed", self.seed, 0)
        if self.batch_size is not None:
            _at_least("batch_size", self.batch_size, 1)
        if self.seed > MAX_SEED:
            raise UsageError(f"seed is {self.seed}", f"Use a seed of at most {MAX_SEED}")
        if self.decode not in DECODERS:
            raise UsageError(*unknown("decoder", self.decode, DECODERS))
        if self.n_atoms is not None:
            _check_sizes(*self.n_atoms)
        self._check_known()
        self._check_steering()

    @property
    def usual_model(self) -> str:
        """The shipped model that suits this request best.

        The few-step model knows its own ladders, and nothing of what is given beforehand.
        """
        if self.scaffold is not None:
            return COMPLETING_MODEL
        other_road = self.plan != AS_PRESCRIBED or self.guide is not None
        is_given = self.formula is not None or self.like is not None
        return MODEL if other_road or is_given else FEW_MODEL

    def _check_known(self) -> None:
        """Reject what contradicts itself; what a model does not know is found out later."""
        names = ("formula", "like", "scaffold")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(
                f"--{given[0]} and --{given[1]} exclude each other", "Leave one of them out"
            )
        if self.n_atoms is not None and given and given[0] != "scaffold":
            raise UsageError(f"--{given[0]} decides the number of atoms", "Leave out --n-atoms")
        if self.formula is not None:
            parse_formula(self.formula)

    def _check_steering(self) -> None:
        """Reject guidance that has nothing to act on."""
        if self.guidance_interval is not None:
            if self.guidance is None:
                raise UsageError(
                    "--guidance-interval has no effect without --guidance", "Add --guidance"
                )
            _check_interval(*self.guidance_interval)
        if self.guidance is not None and not 0 <= self.guidance < math.inf:
            raise UsageError(f"guidance is {self.guidance:g}", "Use 0 or more; 1 is none")
        if self.scaffold is not None:
            return
        if self.guidance is not None:
            raise UsageError("--guidance has no effect without --scaffold", "Add --scaffold")
        if self.avoid is not None:
            raise UsageError(
                "--avoid needs --scaffold, whose frame says where the molecules are",
                "Add --scaffold",
            )


def parse_sizes(text: str) -> tuple[int, int]:
    """Read ``"18"`` or ``"12-20"`` as a range of atom counts, both ends included.

    Raises:
        UsageError: If the text is neither.

    Example:
        >>> parse_sizes("12-20"), parse_sizes("18")
        ((12, 20), (18, 18))
    """
    match = _SIZES.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f'n_atoms is "{text}"', 'Type one number or a range, such as "18" or "12-20"'
        )
    low, high = match.groups()
    return int(low), int(high or low)


def parse_interval(text: str) -> tuple[float, float]:
    """Read ``"0.1-2"`` as a range of noise in Å.

    Raises:
        UsageError: If the text is no range.

    Example:
        >>> parse_interval("0.1-2")
        (0.1, 2.0)
    """
    match = _INTERVAL.fullmatch(text.strip())
    if match is None:
        raise UsageError(f'guidance_interval is "{text}"', 'Type a range in Å, such as "0.1-2"')
    low, high = match.groups()
    return float(low), float(high)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} is {value}", f"Use {least} or more")


def _check_sizes(low: int, high: int) -> None:
    if not 1 <= low <= high:
        raise UsageError(
            f"n_atoms is {low}-{high}", 'Type a range from small to large, such as "12-20"'
        )


def _check_interval(low: float, high: float) -> None:
    if not 0 <= low < high:
        raise UsageError(
            f"guidance_interval is {low:g}-{high:g}",
            'Type a range in Å from small to large, such as "0.1-2"',
        )

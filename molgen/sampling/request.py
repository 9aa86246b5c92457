"""What a caller asks for, checked before anything heavy is loaded."""

from __future__ import annotations

import math
import re
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from molgen.chem.formula import parse_formula
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.plan_options import AS_PRESCRIBED, PlanOptions
from molgen.option import Option, documented

if TYPE_CHECKING:
    from molgen.sampling.steering.steering import Guide
else:
    Guide = Any  # its module needs torch

DECODERS: Final = ("argmax", "geometry", "map")
"""Ways from beliefs to one molecule; the table itself lives in :mod:`molgen.chem.decode`."""

_GIVEN: Final = "What is known beforehand (at most one)"
_AROUND: Final = "Around a scaffold"

_SIZES: Final = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")

_INTERVAL: Final = re.compile(r"(\d*\.?\d+)-(\d*\.?\d+)")

MAX_STEPS: Final = 10_000

MAX_FIRST: Final = 10**12

MAX_SEED: Final = 2**64 - 1

MODEL: Final = "qm9"
"""The shipped model that estimates expected molecules, as solvers, grids and guides want it to."""

FEW_MODEL: Final = "qm9-few"
"""The shipped model that was trained to make molecules from nothing, on presets of its own."""

COMPLETING_MODEL: Final = "qm9-scaffold"
"""The shipped model that was trained to complete a part of a molecule."""


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
            f'n_atoms is "{text[:40]}"', 'Type one number or a range, such as "18" or "12-20"'
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


BatchSize: TypeAlias = Annotated[
    int | None,
    Option("Molecules per network call; unset, what suits the device.", decides=False),
]

Decode: TypeAlias = Annotated[
    str,
    Option(
        "geometry: the best state that obeys the valences and fits the distances; map: the same "
        "without the distances; argmax: of each head."
    ),
]

Relax: TypeAlias = Annotated[
    bool,
    Option(
        "Mend every geometry by a force field (MMFF94s) after the network: bonds and given atoms "
        "stay, the others move by some 0.3 Å. What --avoid names is not seen."
    ),
]

Require: TypeAlias = Annotated[
    str | None,
    Option(
        "Bounds that a molecule must keep, such as 'qed >= 0.5, alerts == 0'; one beyond them "
        "fails with the reason, and --valid-only draws another.",
        "EXPR",
        names=("--filter",),
    ),
]

Progress: TypeAlias = Annotated[
    bool | None,
    Option(
        "Whether to show a bar; None shows it in a terminal or a notebook only.",
        cli=False,
        decides=False,
    ),
]


@documented
@dataclass(frozen=True)
class Request:
    """One sampling run.

    Raises:
        UsageError: If a value is out of range.
    """

    n: Annotated[int, Option("Number of records.", names=("--n", "-n"), decides=False)]
    _: KW_ONLY
    first: Annotated[
        int, Option("Number of the first molecule: a part of a longer run.", decides=False)
    ] = 0
    steps: Annotated[int, Option("Network calls per molecule.")] = 4
    seed: Annotated[int, Option("Molecule i depends on the seed and on i alone.")] = 0
    plan: PlanOptions = AS_PRESCRIBED
    n_atoms: Annotated[
        tuple[int, int] | None,
        Option(
            "Atom counts, hydrogens included; of heavy atoms for a model of drug-like molecules.",
            "N|MIN-MAX",
            parse=parse_sizes,
        ),
    ] = None
    batch_size: BatchSize = None
    workers: Annotated[
        int | None,
        Option(
            "Processes that decode, check and write; unset, what suits the device. 1 is none "
            "beside the main one.",
            decides=False,
        ),
    ] = None
    decode: Decode = "geometry"
    relax: Relax = False
    require: Require = None
    valid_only: Annotated[bool, Option("Keep drawing until N molecules pass the checks.")] = False
    formula: Annotated[
        str | None, Option("Composition, such as C6H6O.", panel=_GIVEN, decides=False)
    ] = None
    like: Annotated[
        str | None,
        Option(
            "Composition of record i for molecule i: .sdf, .smi or .xyz.",
            "FILE",
            _GIVEN,
            decides=False,
        ),
    ] = None
    scaffold: Annotated[
        str | None,
        Option(
            "3D file: keep the atoms of its first molecule in place, add the others.",
            "FILE",
            _GIVEN,
            decides=False,
        ),
    ] = None
    guidance: Annotated[
        float | None,
        Option(
            "How much the scaffold counts: 1 is as the model does it, above 1 more. Each guided "
            "network call costs another one. For models with noise levels per atom.",
            "SCALE",
            _AROUND,
            decides=False,
        ),
    ] = None
    guidance_interval: Annotated[
        tuple[float, float] | None,
        Option(
            "Guide only where the noise, in Å, is within, such as 0.1-2.",
            "LOW-HIGH",
            _AROUND,
            parse=parse_interval,
            decides=False,
        ),
    ] = None
    avoid: Annotated[
        str | None,
        Option(
            "Keep away from the atoms of this 3D file (.sdf, .xyz, .pdb), in the same frame.",
            "FILE",
            _AROUND,
            decides=False,
        ),
    ] = None
    guide: Annotated[
        Guide | None,
        Option(
            "Energy ``[B]`` in kT, to be lowered, of positions ``[B, N, 3]`` in Å (in the frame of "
            "the scaffold, else centred), element probabilities ``[B, N, K]`` and real atoms "
            "``[B, N]``; differentiable by PyTorch.",
            cli=False,
            decides=False,
        ),
    ] = None
    int8: Annotated[bool, Option("Eight-bit integers: faster on a CPU, slightly less exact.")] = (
        False
    )
    progress: Progress = None

    def __post_init__(self) -> None:
        _at_least("n", self.n, 1)
        _at_least("first", self.first, 0)
        _at_most("first", self.first, MAX_FIRST)
        _at_least("steps", self.steps, 1)
        _at_most("steps", self.steps, MAX_STEPS)
        _at_least("seed", self.seed, 0)
        if self.batch_size is not None:
            _at_least("batch_size", self.batch_size, 1)
        if self.workers is not None:
            _at_least("workers", self.workers, 1)
        if self.seed > MAX_SEED:
            raise UsageError(f"seed is {self.seed}", f"Use a seed of at most {MAX_SEED}")
        if self.decode not in DECODERS:
            raise UsageError(*unknown("decoder", self.decode, DECODERS))
        if self.n_atoms is not None:
            _check_sizes(*self.n_atoms)
        check_bounds(self.require)
        self._check_known()
        self._check_steering()

    @property
    def usual_model(self) -> str:
        """The shipped model that suits this request best.

        The few-step model knows its own presets, and nothing of what is given beforehand.
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


def check_bounds(text: str | None) -> None:
    """Reject bounds that cannot be read, or of what no check measures.

    Raises:
        UsageError: So.
    """
    if text is not None:
        from molgen.chem.checks.table import checks_of  # noqa: PLC0415 - brings RDKit
        from molgen.config.evaluation import parse_bounds  # noqa: PLC0415 - brings pydantic

        checks_of(parse_bounds(text))


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} is {value}", f"Use {least} or more")


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise UsageError(f"{name} is {value}", f"Use {most} or less")


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

"""What is asked for of conformers, and the sets of options that have a name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import MappingProxyType
from typing import Annotated, Any, Final

from molgen.chem.conformers.options import MINIMISERS, Finishing
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.option import Option, documented

MAX_CONFORMERS: Final = 100_000
"""Conformers that are drawn of one molecule."""

DISTINCT: Final = 0.3
"""Å; how far conformers of a pool are apart, where nothing else is said."""

ORDERS: Final = ("energy", "draw")
FALLBACKS: Final = ("none", "etkdg")
INITS: Final = ("auto", "noise", "etkdg", "mixed", "input")

MOST_EMBEDDED: Final = 2
"""Calls up to which all conformers start at embeddings where nothing else is said: beyond, noise is
as good a start, and half of each finds more (docs/conformers.md)."""

_CHOICE: Final = "Choice"
_FINISH: Final = "Minimisation and energies"
_TREATMENT: Final = "Treatment of molecules"


@documented
@dataclass(frozen=True)
class ConformerRequest:
    """What is asked for, of every molecule."""

    n: Annotated[int, Option("Conformers of each molecule.", names=("--n", "-n"))] = 20
    steps: Annotated[int, Option("Network calls for each conformer.")] = 4
    seed: Annotated[int, Option("The same molecule and seed give the same conformers.")] = 0
    init: Annotated[
        str,
        Option(
            "Where they start: noise, etkdg (embeddings, which the refiner then moves), mixed "
            "(half of each), input (the geometries of an SDF file, one conformer for each), or "
            f"auto: etkdg up to {MOST_EMBEDDED} --steps, then mixed; noise with --core."
        ),
    ] = "auto"
    pool: Annotated[
        int,
        Option("Draw this many times as many, keep the lowest and distinct ones.", panel=_CHOICE),
    ] = 1
    rms: Annotated[
        float | None,
        Option(
            "Conformers nearer than this are one, Å over heavy atoms, symmetric; "
            f"unset, {DISTINCT} with --pool and off without.",
            panel=_CHOICE,
        ),
    ] = None
    energy_window: Annotated[
        float | None,
        Option("Leave out what lies higher above the lowest, kcal/mol.", panel=_CHOICE),
    ] = None
    sort: Annotated[
        str, Option("energy (lowest first) or draw (as they were drawn).", panel=_CHOICE)
    ] = "energy"
    minimise: Annotated[
        str,
        Option(
            "none, mmff94s (UFF where it has no parameters) or gfn2 (GFN2-xTB after MMFF94s).",
            panel=_FINISH,
        ),
    ] = "none"
    temperature: Annotated[float, Option("Of Boltzmann weights, K.", panel=_FINISH)] = 298.15
    fallback: Annotated[
        str,
        Option(
            "none, or etkdg: ETKDGv3 makes what the network cannot, and says so.", panel=_TREATMENT
        ),
    ] = "none"
    largest_fragment: Annotated[
        bool, Option("Leave out all fragments but the largest.", panel=_TREATMENT)
    ] = False
    ph: Annotated[
        float | None,
        Option(
            "Protonate for this pH (Dimorphite-DL); unset, molecules stay as they are given.",
            panel=_TREATMENT,
        ),
    ] = None
    core: Annotated[
        str | None,
        Option(
            "Keep coordinates: an .sdf file, whose first record is matched in every molecule, or "
            "a SMARTS, whose atoms keep those of the input.",
            metavar="FILE|SMARTS",
            panel=_TREATMENT,
        ),
    ] = None
    timeout: Annotated[
        float,
        Option(
            "Seconds for what follows the network, per molecule; 0 for no limit.",
            panel=_TREATMENT,
            decides=False,
        ),
    ] = 0.0
    workers: Annotated[
        int,
        Option(
            "Processes for what follows the network: hydrogens, minimisation, choice.",
            panel=_TREATMENT,
            decides=False,
        ),
    ] = 1
    redraws: Annotated[
        int, Option("How often a conformer of wrong stereo is drawn again.", cli=False)
    ] = 5

    def __post_init__(self) -> None:
        """Reject what cannot be meant.

        Raises:
            UsageError: A number is out of range, a name is unknown, or tblite is missing.
        """
        bounds: dict[str, tuple[float, float]] = {
            "n": (1, MAX_CONFORMERS),
            "steps": (1, 1_000),
            "seed": (0, 2**63 - 1),
            "pool": (1, 1_000),
            "rms": (0, 100),
            "energy_window": (0, 10_000),
            "temperature": (1, 100_000),
            "ph": (0, 14),
            "timeout": (0, 1e7),
            "workers": (1, 1_000),
            "redraws": (0, 100),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UsageError(f"{name} is {value}", f"Use a number from {least} to {most}")
        if self.n_draws > MAX_CONFORMERS:
            raise UsageError(
                f"n times pool is {self.n_draws}", f"Draw at most {MAX_CONFORMERS} conformers"
            )
        if self.ph is not None:
            _check_ph(self)
        if self.init == "input" and (self.pool > 1 or self.rms or self.energy_window is not None):
            raise UsageError(
                "conformers of the input are all kept", "Leave out --pool, --rms, --energy-window"
            )
        names = {"sort": ORDERS, "minimise": MINIMISERS, "fallback": FALLBACKS, "init": INITS}
        for name, known in names.items():
            if getattr(self, name) not in known:
                message, hint = unknown(name, getattr(self, name), known)
                raise UsageError(message, hint)
        if self.core is not None and (self.minimise == "gfn2" or self.fallback != "none"):
            raise UsageError(
                "gfn2 and etkdg do not keep a core", "Use --minimise mmff94s, no --fallback"
            )
        if self.minimise == "gfn2" and find_spec("tblite") is None:
            raise UsageError("gfn2 needs tblite", 'Type: pip install "molgen[xtb]"')

    @property
    def start(self) -> str:
        """Where conformers start: ``noise``, ``etkdg``, ``mixed`` or ``input``."""
        if self.init != "auto":
            return self.init
        if self.core is not None:
            return "noise"
        return "etkdg" if self.steps <= MOST_EMBEDDED else "mixed"

    @property
    def n_draws(self) -> int:
        """Conformers that are drawn of each molecule."""
        return self.n * self.pool

    @property
    def finishing(self) -> Finishing:
        """What follows the network."""
        usual = DISTINCT if self.pool > 1 else 0.0
        return Finishing(
            n=self.n,
            minimise=self.minimise,
            rms=usual if self.rms is None else self.rms,
            window=float("inf") if self.energy_window is None else self.energy_window,
            by_energy=self.sort == "energy",
            temperature=self.temperature,
            fallback=self.fallback == "etkdg",
            seed=self.seed,
        )


PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "rapid": {"n": 10, "steps": 2},
        "docking": {"n": 10, "steps": 4, "pool": 3, "rms": 0.5, "minimise": "mmff94s"},
        "ensemble": {
            "n": 50,
            "steps": 4,
            "pool": 2,
            "rms": 0.3,
            "energy_window": 8.0,
            "minimise": "mmff94s",
        },
        "accurate": {
            "n": 10,
            "steps": 8,
            "pool": 10,
            "rms": 0.3,
            "energy_window": 6.0,
            "minimise": "gfn2",
            "timeout": 3600.0,
        },
    }
)
"""Sets of options with a name."""


def with_preset(
    request: ConformerRequest, preset: str | None, explicit: Collection[str]
) -> ConformerRequest:
    """A request with the options of a preset, where it was not said otherwise.

    Args:
        request: With all that was said.
        preset: A key of `PRESETS`; None for no change.
        explicit: Options that were said, which win.

    Raises:
        UsageError: There is no such preset.
    """
    if preset is None:
        return request
    if preset not in PRESETS:
        message, hint = unknown("preset", preset, PRESETS)
        raise UsageError(message, hint)
    chosen = PRESETS[preset]
    return replace(request, **{name: chosen[name] for name in chosen if name not in explicit})


def _check_ph(request: ConformerRequest) -> None:
    """Reject a pH where geometries of the input are to be kept, or without Dimorphite-DL.

    Raises:
        UsageError: So.
    """
    from molgen.chem.protonation import check_ph  # noqa: PLC0415 - brings RDKit

    check_ph(float(request.ph or 0))
    if request.init == "input":
        raise UsageError(
            "--ph makes another molecule than the geometry is of", "Type: molgen export --ph"
        )

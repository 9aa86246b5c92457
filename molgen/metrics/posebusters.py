"""PoseBusters' checks of molecules by themselves (Buttenschoen et al. 2024, Chem. Sci. 15, 3130).

They ask whether a molecule can be as it is drawn: lengths, angles, flat rings and double bonds,
clashes; ``full`` also its energy beside that of an ensemble. The extra is ``molgen[posebusters]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

from rdkit import Chem, rdBase

from molgen.chem.workers import Unfinished, run_with_limit
from molgen.did_you_mean import unknown
from molgen.errors import UsageError

CONFIGS: Final = MappingProxyType({"fast": "mol_fast", "full": "mol"})
"""PoseBusters' own name of each set of checks."""

TIME_LIMIT_S: Final = 60.0


def check_posebusters(checks: str | None) -> None:
    """Refuse what cannot be asked for.

    Raises:
        UsageError: Unknown checks, or PoseBusters is missing.
    """
    if checks is None:
        return
    if checks not in CONFIGS:
        raise UsageError(*unknown("posebusters", checks, CONFIGS))
    if find_spec("posebusters") is None:
        raise UsageError("PoseBusters is missing", 'Type: pip install "molgen[posebusters]"')


def failed_checks(mol: Chem.Mol, checks: str) -> str:
    """Names of the checks that a molecule fails, joined by commas; empty where all pass.

    Args:
        mol: With hydrogens and a conformer.
        checks: A key of `CONFIGS`.
    """
    with rdBase.BlockLogs():
        try:
            (row,) = _checker(CONFIGS[checks]).bust([mol]).to_dict("records")
        except (ValueError, RuntimeError) as error:
            return f"not checked: {' '.join(str(error).split())[:60]}"
    return ", ".join(str(name) for name, passed in row.items() if passed is not True)


def bust_all(
    mols: Sequence[Chem.Mol | None],
    checks: str,
    n_workers: int,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """The checks that each molecule fails.

    Args:
        mols: With hydrogens and a conformer; None for a record without bonds.
        checks: A key of `CONFIGS`.
        n_workers: Processes.
        progress: Called with the number of molecules that are done.

    Returns:
        Names of checks, joined by commas; empty where all pass.
    """
    everything = int(Chem.PropertyPickleOptions.AllProps)
    packed = [None if mol is None else mol.ToBinary(everything) for mol in mols]
    work = partial(_busted, checks=checks)
    answers = run_with_limit(work, packed, TIME_LIMIT_S, n_workers, progress)
    return [one.reason if isinstance(one, Unfinished) else one for one in answers]


def _busted(packed: bytes | None, checks: str) -> str:
    if packed is None:
        return "no bonds"
    return failed_checks(Chem.Mol(packed), checks)  # type: ignore[call-overload] # stubs: str


@cache
def _checker(config: str) -> Any:
    return import_module("posebusters").PoseBusters(config)

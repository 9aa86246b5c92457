"""What the checks say of each molecule of a set; `molgen.metrics.evaluate` counts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from molgen.chem.checks.check import Value
from molgen.chem.checks.table import measure_all
from molgen.chem.molecule import Molecule
from molgen.cores import available_cores
from molgen.metrics.agreement import check_graph
from molgen.metrics.perception import Criterion, Perception, perceive_all
from molgen.metrics.relax import Relaxation, relax_all
from molgen.metrics.xtb import XtbRelaxation, check_asked, relax_all_in_xtb

Progress = Callable[[str, int, int], None]
"""Called with the name of the running check, the number of molecules done, and n."""


@dataclass(frozen=True)
class Inspection:
    """The answers of every check, one per molecule.

    Attributes:
        molecules: The n molecules.
        perceived: The molecule that coordinates say.
        graphs: Verdict on the own bonds; None for geometries without bonds.
        bonded: The molecules with their own bonds, or with those that were perceived.
        relaxed: In MMFF94s; None where it was not asked.
        in_xtb: In GFN2-xTB, the first ones; None where it was not asked.
        values: What the named checks measured, by column.
    """

    molecules: Sequence[Molecule]
    perceived: Sequence[Perception]
    graphs: Sequence[Perception] | None
    bonded: Sequence[Molecule]
    relaxed: Sequence[Relaxation] | None
    in_xtb: Sequence[XtbRelaxation] | None
    values: Sequence[Mapping[str, Value]]

    @property
    def valid(self) -> list[str]:
        """SMILES of the valid ones, by their own bonds where they have some."""
        checks = self.perceived if self.graphs is None else self.graphs
        return [check.smiles for check in checks if check.smiles is not None]

    def measured(self, row: int) -> dict[str, Value]:
        """Every value of one molecule, by column."""
        found: dict[str, Value] = {}
        if self.relaxed is not None:
            found |= {
                "mmff_strain": _rounded(self.relaxed[row].energy_drop),
                "rmsd_to_mmff": _rounded(self.relaxed[row].rmsd),
            }
        if self.in_xtb is not None:
            one = self.in_xtb[row] if row < len(self.in_xtb) else XtbRelaxation()
            found |= {"xtb_strain": _rounded(one.energy_drop), "rmsd_to_xtb": _rounded(one.rmsd)}
        return {**found, **self.values[row]}


def inspect(
    molecules: Sequence[Molecule],
    *,
    has_bonds: bool = True,
    criterion: Criterion | None = None,
    relax: bool = True,
    xtb: int | None = None,
    checks: Sequence[str] = (),
    tags: Sequence[Mapping[str, str]] | None = None,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Make every check that is asked for.

    Args:
        molecules: n molecules; one without atoms stands for a record that could not be read and
            fails every check.
        has_bonds: False when the molecules are geometries only, as from XYZ; relaxing and the
            named checks then use the perceived bonds.
        criterion: The charge of molecules and how bonds are perceived; None for each molecule's
            own charges.
        relax: Whether to relax geometries in the force field.
        xtb: How many molecules, the first, to relax in GFN2-xTB too; None for none.
        checks: Keys of `molgen.chem.checks.table.CHECKS`.
        tags: Data fields of each; None for none.
        n_workers: Processes; None for one per core.
        progress: Called as the checks advance.

    Raises:
        UsageError: `xtb` is below 1, or tblite is missing.
    """
    check_asked(xtb)
    workers, n = n_workers or available_cores(), len(molecules)
    charge = None if criterion is None else criterion.total_charge
    seen = perceive_all(
        molecules, workers, criterion=criterion, progress=stage("perceiving", n, progress)
    )
    graphs = [check_graph(one, charge) for one in molecules] if has_bonds else None
    bonded = molecules
    if not has_bonds:
        bonded = [one.molecule or own for one, own in zip(seen, molecules, strict=True)]
    return Inspection(
        molecules=molecules,
        perceived=seen,
        graphs=graphs,
        bonded=bonded,
        relaxed=relax_all(bonded, workers, progress=stage("relaxing", n, progress))
        if relax
        else None,
        in_xtb=None if xtb is None else _relax_first(bonded[:xtb], workers, progress),
        values=measure_all(
            bonded, tags or [{}] * n, checks, workers, stage("measuring", n, progress)
        ),
    )


def stage(name: str, n: int, progress: Progress | None) -> Callable[[int], None] | None:
    """A report of one check for the progress of all."""
    return None if progress is None else lambda n_done: progress(name, n_done, n)


def _relax_first(
    molecules: Sequence[Molecule], n_workers: int, progress: Progress | None
) -> list[XtbRelaxation]:
    told = stage("relaxing in GFN2-xTB", len(molecules), progress)
    return relax_all_in_xtb(molecules, n_workers, progress=told)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

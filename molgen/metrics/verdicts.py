"""One verdict per record of a file, by named checks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from rdkit import Chem

from molgen.chem.checks.check import Value
from molgen.chem.checks.table import beyond
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.chem.read import Record
from molgen.chem.reading.record import NOT_JUDGED
from molgen.chem.render import RUN, SEAL
from molgen.config.evaluation import Bound
from molgen.metrics.agreement import graphs_agree
from molgen.metrics.faults import is_judged
from molgen.metrics.inspection import Inspection


@dataclass(frozen=True)
class Verdict:
    """What the checks say of one record; an empty reason is a check passed.

    Attributes:
        file: The file of the record; empty for molecules in memory.
        index: Its place in the file, from 0.
        title: Its title.
        formula: Of its atoms; empty for a record that is not judged.
        valid: Whether every check is passed.
        record: Why it cannot be judged: unreadable, flat, without hydrogens.
        bond_graph: What is wrong with its own bonds.
        coordinates: What is wrong with the molecule that its coordinates say.
        agreement: Where both are valid and differ.
        posebusters: PoseBusters' checks that it fails; empty where they were not asked.
        bounds: Measured values beyond the bounds that were asked for.
        smiles: Of its own bonds, or of its coordinates where it has none; without stereo.
        measured: What the named checks measured, by column.
        molecule: With its own bonds, or those perceived where it has none; None without atoms.
    """

    file: str
    index: int
    title: str
    formula: str = ""
    valid: bool = False
    record: str = ""
    bond_graph: str = ""
    coordinates: str = ""
    agreement: str = ""
    posebusters: str = ""
    bounds: str = ""
    smiles: str = ""
    measured: Mapping[str, Value] = field(default_factory=dict)
    molecule: Molecule | None = field(default=None, repr=False, compare=False)

    @property
    def is_judged(self) -> bool:
        """Whether the checks apply to it at all."""
        return is_judged(self.record)

    @property
    def reason(self) -> str:
        """Everything that is wrong; empty for nothing."""
        own = (self.record, self.bond_graph, self.coordinates, self.agreement)
        return "; ".join(dict.fromkeys(one for one in (*own, self.posebusters, self.bounds) if one))

    @property
    def row(self) -> dict[str, Value]:
        """Every column by name: the verdict, then what was measured."""
        kept = (one.name for one in fields(self) if one.name not in {"measured", "molecule"})
        return {name: getattr(self, name) for name in kept} | dict(self.measured)


def verdict_of(
    record: Record,
    fault: str,
    found: Inspection,
    row: int,
    *,
    file: str = "",
    posebusters: str = "",
    require: Mapping[str, Bound] | None = None,
) -> Verdict:
    """The verdict on one record.

    Args:
        record: The record.
        fault: `molgen.metrics.faults.fault_of` it.
        found: What the checks say of the judged ones.
        row: Its place among these.
        file: The name of its file.
        posebusters: What PoseBusters says.
        require: Bounds by column.
    """
    measured = found.measured(row)
    if fault or record.molecule is None:
        missing = dict.fromkeys(measured)
        why = fault or "no coordinates"
        return Verdict(file, record.index, record.title, record=why, measured=missing)
    perceived = found.perceived[row]
    has_bonds = record.mol is not None and found.graphs is not None
    graph = found.graphs[row] if has_bonds and found.graphs is not None else perceived
    both = graph.is_valid and perceived.is_valid
    differ = both and not graphs_agree(graph, perceived)
    outside = beyond(measured, require or {})
    return Verdict(
        file,
        record.index,
        record.title,
        formula=record.molecule.formula,
        valid=both and not (differ or posebusters or outside),
        bond_graph=graph.reason if has_bonds else "",
        coordinates=perceived.reason,
        agreement="bonds and coordinates are different compounds" if differ else "",
        posebusters=posebusters,
        bounds=outside,
        smiles=graph.smiles or "",
        measured=measured,
        molecule=record.molecule if has_bonds else perceived.molecule,
    )


def judged_records(
    records: Sequence[Record], found: Sequence[Verdict]
) -> Iterator[tuple[Verdict, Chem.Mol | None, dict[str, str | bool]]]:
    """Each record's molecule, its tags, and the verdict and what was measured as more of them.

    A record without bonds gets those that its coordinates say; None where they say none.

    Args:
        records: Of one file.
        found: The verdict on each.
    """
    for record, one in zip(records, found, strict=True):
        tags: dict[str, str | bool] = {
            name: value for name, value in record.tags.items() if name not in {RUN, SEAL}
        }
        tags |= {f"molgen_{name}": str(value) for name, value in _told(one.measured)}
        tags["molgen_pass"] = one.valid if one.is_judged else NOT_JUDGED
        tags["molgen_fail_reason"] = one.reason
        mol = record.mol
        if mol is None and one.molecule is not None:
            mol = build_mol(one.molecule).mol
        yield one, mol, tags


def _told(measured: Mapping[str, Value]) -> Iterable[tuple[str, Value]]:
    return ((name, value) for name, value in measured.items() if value not in {None, ""})


def as_csv(rows: Sequence[Verdict]) -> str:
    """The verdicts as CSV with a line of names; a record without a value has an empty cell."""
    text = io.StringIO()
    names = list(rows[0].row) if rows else []
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in row.row.items()
        }
        for row in rows
    )
    return text.getvalue()

"""One verdict per record of a file, by named checks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from rdkit import Chem

from molgen.chem.io import Record
from molgen.chem.render import RUN, SEAL
from molgen.cores import available_cores
from molgen.metrics.agreement import check_graph, graphs_agree
from molgen.metrics.files import NOT_JUDGED, criterion_of, fault_of
from molgen.metrics.perception import perceive_all


@dataclass(frozen=True)
class Verdict:
    """What the checks say of one record; an empty reason is a check passed.

    Attributes:
        index: Its place in the file, from 0.
        title: Its title.
        formula: Of its atoms; empty for a record that is not judged.
        valid: Whether every check is passed.
        record: Why it cannot be judged: unreadable, flat, without hydrogens.
        bond_graph: What is wrong with its own bonds.
        coordinates: What is wrong with the molecule that its coordinates say.
        agreement: Where both are valid and differ.
        posebusters: PoseBusters' checks that it fails; empty where they were not asked.
        smiles: Of its own bonds, or of its coordinates where it has none; without stereo.
    """

    index: int
    title: str
    formula: str = ""
    valid: bool = False
    record: str = ""
    bond_graph: str = ""
    coordinates: str = ""
    agreement: str = ""
    posebusters: str = ""
    smiles: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether the checks apply to it at all."""
        return not self.record.startswith(NOT_JUDGED)

    @property
    def reason(self) -> str:
        """Everything that is wrong; empty for nothing."""
        faults = (
            *(self.record, self.bond_graph, self.coordinates, self.agreement, self.posebusters),
        )
        return "; ".join(dict.fromkeys(fault for fault in faults if fault))


def verdicts(
    records: Sequence[Record],
    n_workers: int | None = None,
    charge: int | None = None,
    busted: Sequence[str] | None = None,
) -> list[Verdict]:
    """The verdict on each record.

    Args:
        records: Of one file.
        n_workers: Processes; None for one per core.
        charge: Total charge of every record; None for that of each one's atoms.
        busted: What PoseBusters says of each; None where it was not asked.
    """
    how = criterion_of(records, charge)
    faults = [fault_of(record) for record in records]
    molecules = [
        record.molecule
        for record, fault in zip(records, faults, strict=True)
        if record.molecule is not None and not fault
    ]
    perceived_all = perceive_all(molecules, n_workers or available_cores(), criterion=how)
    seen = iter(zip(molecules, perceived_all, strict=True))
    found = []
    others = [""] * len(records) if busted is None else busted
    for record, fault, other in zip(records, faults, others, strict=True):
        title = record.title
        if fault or record.molecule is None:
            found.append(Verdict(record.index, title, record=fault or "no coordinates"))
            continue
        molecule, perceived = next(seen)
        graph = perceived if record.mol is None else check_graph(molecule, how.total_charge)
        both = graph.is_valid and perceived.is_valid
        differ = both and not graphs_agree(graph, perceived)
        found.append(
            Verdict(
                index=record.index,
                title=title,
                formula=molecule.formula,
                valid=both and not differ and not other,
                bond_graph="" if record.mol is None else graph.reason,
                coordinates=perceived.reason,
                agreement="bonds and coordinates are different compounds" if differ else "",
                posebusters=other,
                smiles=graph.smiles or "",
            )
        )
    return found


def judged_records(
    records: Sequence[Record], found: Sequence[Verdict]
) -> Iterator[tuple[Verdict, Chem.Mol | None, dict[str, str | bool]]]:
    """Each record's molecule with its tags and its verdict as two more; None without bonds.

    Args:
        records: Of one file.
        found: The verdict on each.
    """
    for record, one in zip(records, found, strict=True):
        reason = one.reason
        tags: dict[str, str | bool] = {
            name: value
            for name, value in record.tags.items()
            if name not in {RUN, SEAL, "molgen_pass", "molgen_fail_reason"}
        }
        passed = one.valid if one.is_judged else NOT_JUDGED
        yield one, record.mol, {**tags, "molgen_pass": passed, "molgen_fail_reason": reason}


def as_csv(rows: Iterable[Verdict]) -> str:
    """The verdicts as CSV with a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Verdict)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(row), "valid": str(row.valid).lower()} for row in rows)
    return text.getvalue()

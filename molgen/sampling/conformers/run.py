"""A run of conformers into an SDF file and a status table, completed after a kill.

Chunks are drawn as in an unbroken run, so the bytes are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from molgen.chem.conformers.files import Inputs, NamedMolecule
from molgen.chem.conformers.query import Refused
from molgen.chem.conformers.records import records_of
from molgen.chem.conformers.results import ConformerResult
from molgen.chem.render import RUN, TagValue, one_line
from molgen.option import deciding
from molgen.sampling.conformers.request import ConformerRequest
from molgen.sampling.conformers.stream import chunk_size, stream_conformers
from molgen.sampling.destination import Destination
from molgen.sampling.status_table import Cell, Counts, Made, Start, StatusTable, leave_out
from molgen.tasks.conformer_weights import LoadedConformerModel

if TYPE_CHECKING:
    from rdkit.Chem import Mol

COLUMNS: Final = (
    *("status", "conformers", "redrawn", "stereo_wrong"),
    *("etkdg", "energy_method", "reason"),
)
"""Of the status table."""


@dataclass(frozen=True)
class ConformerRun:
    """What is to be written where.

    Attributes:
        loaded: The model.
        request: What is asked of every molecule.
        inputs: The molecules.
        digest: Of the inputs; empty where they can be read only once.
        core_digest: Of the core; empty for none.
        target: The file of the records.
    """

    loaded: LoadedConformerModel
    request: ConformerRequest
    inputs: Inputs
    digest: str
    core_digest: str
    target: Destination

    @cached_property
    def table(self) -> StatusTable:
        """The file with its table."""
        return StatusTable(self.target, COLUMNS, "conformers", self.fingerprint, self.inputs.first)

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that write the same."""
        content = {
            "request": deciding(self.request),
            "model": self.loaded.digest,
            "inputs": self.digest,
            "core": self.core_digest,
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def facts(self) -> dict[str, TagValue]:
        """Tags that all records have."""
        return {
            "molgen_model": self.loaded.info.name,
            "molgen_seed": self.request.seed,
            "molgen_steps": self.request.steps,
            "molgen_minimise": self.request.minimise,
            **({} if self.request.ph is None else {"molgen_ph": self.request.ph}),
            RUN: self.fingerprint,
        }

    def write(self, start: Start, on_row: Callable[[int], None]) -> Counts:
        """Make what is missing, and give the files their names.

        Args:
            start: What is there.
            on_row: Told how many rows are there.

        Raises:
            OutputError: A file cannot be written.
            UsageError: The input differs from that of the rows that are there.
        """
        facts = self.facts
        made = (
            Made(name, list(records_of(result, name, facts)), _status(result))
            for name, result in self._results(start)
        )
        return self.table.write(start, made, on_row)

    def _results(self, start: Start) -> Iterator[tuple[str, ConformerResult]]:
        """Name and result of every row that is missing."""
        n_done = start.counts.rows
        skip = n_done % chunk_size(self.request)
        rows = self.inputs.rows()
        leave_out(rows, start.names[: n_done - skip])
        names: list[str] = []

        def given() -> Iterator[Mol | Refused]:
            for row in rows:
                one: NamedMolecule = row.read()
                names.append(one.name)
                yield Refused(one.reason) if one.mol is None else one.mol

        results = stream_conformers(self.loaded.model, given(), self.request, skip)
        for place, result in enumerate(results, start=skip):
            yield names[place], result


def _status(result: ConformerResult) -> tuple[Cell, ...]:
    n, n_wrong = (0, 0) if result.wrong is None else (len(result.wrong), int(result.wrong.sum()))
    made = (result.status, n, result.redrawn, n_wrong, result.n_etkdg, result.method)
    return (*made, one_line(result.reason))

"""A run of ligands into an SDF file of poses, a status table and a ranking."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from rdkit import Chem

from molgen.atomic import atomic_path
from molgen.chem.conformers.files import Inputs, NamedMolecule
from molgen.chem.render import RUN, TagValue, one_line, render_sdf
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.cores import available_cores
from molgen.docking.request import DockRequest
from molgen.docking.vina import Docked, NotDocked, VinaDocker
from molgen.export import fault_of
from molgen.option import deciding
from molgen.sampling.destination import Destination
from molgen.sampling.status_table import Counts, Made, Start, StatusTable, leave_out

COLUMNS: Final = ("status", "poses", "score", "posebusters", "reason")
"""Of the status table; scores in kcal/mol."""


@dataclass(frozen=True)
class Dock:
    """The function that workers run: a ligand from its bytes."""

    docker: VinaDocker

    def __call__(self, ligand: bytes | None) -> Docked | NotDocked:
        """Dock a ligand; None is one that could not be read."""
        if ligand is None:
            return NotDocked("")
        return self.docker(Chem.Mol(ligand))  # type: ignore[call-overload] # RDKit's stubs


@dataclass(frozen=True)
class DockRun:
    """What is to be written where.

    Attributes:
        docker: Docks a ligand.
        request: What is asked of every ligand.
        inputs: The ligands.
        digest: Of these; empty where they can be read only once.
        target: The file of the poses.
    """

    docker: VinaDocker
    request: DockRequest
    inputs: Inputs
    digest: str
    target: Destination

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that write the same."""
        content = {
            "request": deciding(self.request),
            "receptor": hashlib.blake2b(self.docker.receptor.encode()).hexdigest(),
            "box": [self.docker.box.center, self.docker.box.size],
            "inputs": self.digest,
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @cached_property
    def table(self) -> StatusTable:
        """The file with its table."""
        return StatusTable(self.target, COLUMNS, "poses", self.fingerprint, first=self.inputs.first)

    @property
    def ranking(self) -> Path:
        """The table of ligands, best first."""
        return ranking(self.target.path)

    def write(self, start: Start, on_row: Callable[[int], None]) -> Counts:
        """Dock what is missing, and give the files their names.

        Args:
            start: What is there.
            on_row: Told how many rows are there.

        Raises:
            OutputError: A file cannot be written.
            UsageError: The input differs from that of the rows that are there.
        """
        self.ranking.unlink(missing_ok=True)
        with closing(self._made(start)) as made:
            return self.table.write(start, made, on_row)

    def rank(self) -> None:
        """Write the ranking of a finished run."""
        rank(self.table.path, self.ranking)

    def _made(self, start: Start) -> Generator[Made, None, None]:
        rows = self.inputs.rows()
        leave_out(rows, start.names)
        waiting: deque[NamedMolecule] = deque()

        def ligands() -> Iterator[bytes | None]:
            for row in rows:
                one = row.read()
                waiting.append(one)
                yield None if one.mol is None else packed(one.mol, self.request.ring_conformers)

        workers = self.request.workers or available_cores()
        work = Dock(self.docker)
        answers = run_with_limit(work, ligands(), self.request.timeout, workers, chunk_size=1)
        for answer in answers:
            yield self._row(waiting.popleft(), answer)

    def _row(self, one: NamedMolecule, answer: Docked | NotDocked | Unfinished) -> Made:
        if isinstance(answer, Docked):
            records = list(
                poses_of(
                    answer, one.name, {"molgen_seed": self.request.seed, RUN: self.fingerprint}
                )
            )
            best = answer.posebusters[0] or "pass" if answer.posebusters else ""
            return Made(one.name, records, ("ok", len(records), f"{answer.score[0]:.3f}", best, ""))
        return Made(one.name, [], ("failed", 0, "", "", one_line(one.reason or answer.reason)))


def packed(ligand: Chem.Mol, ring_conformers: int) -> bytes:
    """A ligand with its start geometries, for another process."""
    if ring_conformers > 1 and ligand.GetNumConformers() and not fault_of(ligand):
        from molgen.sampling.conformers import rings  # noqa: PLC0415 - brings torch

        first, *others = rings.ring_conformers(ligand, ring_conformers)
        ligand = Chem.Mol(first)
        for one in others:
            ligand.AddConformer(one.GetConformer(), assignId=True)
    packed_ligand: bytes = ligand.ToBinary(int(Chem.PropertyPickleOptions.AllProps))
    return packed_ligand


def poses_of(docked: Docked, name: str, facts: Mapping[str, TagValue]) -> Iterator[str]:
    """SDF records of poses, best first: the ligand's tags, ``molgen_pose`` and ``molgen_score``."""
    own = {key: str(value) for key, value in docked.mol.GetPropsAsDict().items()}
    for place, (pose, score) in enumerate(
        zip(docked.mol.GetConformers(), docked.score.tolist(), strict=True), start=1
    ):
        mol = Chem.Mol(docked.mol, confId=pose.GetId())
        tags: dict[str, TagValue] = {
            **{key: value for key, value in own.items() if not key.startswith(("_", "molgen_"))},
            "molgen_pose": place,
            "molgen_score": round(score, 3),
            **facts,
        }
        if docked.start.any():
            tags["molgen_start"] = int(docked.start[place - 1])
        if docked.posebusters:
            tags["molgen_posebusters"] = docked.posebusters[place - 1] or "pass"
        yield render_sdf(mol, f"{name}_p{place}", tags)


def ranking(path: Path) -> Path:
    """The ranking beside a file of poses."""
    return path.with_name(f"{path.name}.ranked.csv")


def rank(table: Path, to: Path) -> None:
    """Write the docked ligands of a status table, best score first; ties in order of the input."""
    with table.open(newline="", encoding="utf-8") as file:
        docked = [row for row in csv.DictReader(file) if row["status"] == "ok"]
    docked.sort(key=lambda row: float(row["score"]))
    with atomic_path(to) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = ["name", "score", "posebusters", "row"]
        writer.writerow(["rank", *names])
        for rank, row in enumerate(docked, start=1):
            writer.writerow([rank, *(row[name] for name in names)])

"""What commands do with a shard. A job can be sent to another process, which keeps its model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Final, Protocol

from molgen.api import Generator, load
from molgen.atomic import atomic_path
from molgen.bulk.folder import Manifest
from molgen.bulk.shards import Shard
from molgen.checkpoint import find_model
from molgen.chem.conformers.core import read_core
from molgen.chem.conformers.files import Inputs
from molgen.chem.read import count_records, read_range
from molgen.config.evaluation import EvaluationConfig
from molgen.docking.request import DockRequest
from molgen.docking.run import DockRun
from molgen.docking.vina import VinaDocker
from molgen.errors import UsageError
from molgen.metrics.files import check_config, evaluate_records, prepared
from molgen.metrics.verdicts import as_csv
from molgen.report.records import write_judged
from molgen.sampling.conformers.request import ConformerRequest
from molgen.sampling.conformers.run import ConformerRun
from molgen.sampling.destination import STDOUT, destination
from molgen.sampling.recording import find_start, record
from molgen.sampling.request import Request
from molgen.sampling.run import Tally
from molgen.sampling.status_table import status_table
from molgen.tasks.conformer_weights import LoadedConformerModel, load_conformer_model

DOCK: Final = "dock"
"""The command whose shards have a ranking when they are merged."""


class Job(Protocol):
    """A command whose rows do not depend on each other."""

    def manifest(self, n_shards: int) -> Manifest:
        """What a folder of its shards is of."""

    def make(self, shard: Shard, path: Path) -> None:
        """Write a shard, or what is missing of it."""


@dataclass(frozen=True)
class SampleJob:
    """``molgen sample``.

    Attributes:
        request: Of the whole run.
        model: Name or file.
        device: As for `molgen.load`.
        suffix: Format of the files.
    """

    request: Request
    model: str
    device: str
    suffix: str = ".sdf.gz"

    def __post_init__(self) -> None:
        """Refuse what a shard cannot do alone.

        Raises:
            UsageError: The number of a record depends on those before it.
        """
        if self.request.valid_only:
            raise UsageError(
                "--valid-only leaves open which molecules a shard holds",
                "Leave it out; molgen_valid says which are",
            )
        if self.request.first:
            raise UsageError("--first is what shards decide", "Leave out --first or --shards")

    def manifest(self, n_shards: int) -> Manifest:
        """What a folder of its shards is of."""
        run = _generator(self.model, self.device).run(self.request)
        return Manifest(
            "sample", self.model, run.fingerprint, self.request.n, n_shards, self.suffix
        )

    def make(self, shard: Shard, path: Path) -> None:
        """Write molecules ``shard.first`` to ``shard.last - 1``."""
        part = replace(self.request, n=shard.n_rows, first=shard.first, workers=1)
        run, target = _generator(self.model, self.device).run(part), destination(str(path))
        start = find_start(run, target)
        if start is not None:
            record(run, target, Tally(), start, lambda _: None)


@dataclass(frozen=True)
class ConformerJob:
    """``molgen conformers`` and ``molgen refine``.

    Attributes:
        request: What is asked of every molecule.
        inputs: All molecules.
        digest: Of these.
        n_rows: Their number.
        model: Name or file.
        device: As for `molgen.load`.
        suffix: Format of the files.
    """

    request: ConformerRequest
    inputs: Inputs
    digest: str
    n_rows: int
    model: str
    device: str
    suffix: str = ".sdf.gz"

    @classmethod
    def of(cls, request: ConformerRequest, inputs: Inputs, model: str, device: str) -> ConformerJob:
        """The job for all molecules of a file.

        Raises:
            UsageError: They come from standard input.
            DataError: The file cannot be read.
        """
        return cls(request, inputs, *_surveyed(inputs), model, device)

    def manifest(self, n_shards: int) -> Manifest:
        """What a folder of its shards is of."""
        fingerprint = self._run(self.inputs, f"all{self.suffix}").fingerprint
        command = "refine" if self.request.init == "input" else "conformers"
        return Manifest(
            command, self.model, fingerprint, self.n_rows, n_shards, self.suffix, tables=True
        )

    def make(self, shard: Shard, path: Path) -> None:
        """Write conformers and status of inputs ``shard.first`` to ``shard.last - 1``."""
        part = replace(self.inputs, first=shard.first, last=shard.last)
        run = self._run(part, str(path))
        start = run.table.start()
        if start is not None:
            run.write(start, lambda _: None)

    def _run(self, inputs: Inputs, out: str) -> ConformerRun:
        core = "" if self.request.core is None else read_core(self.request.core).digest
        loaded = _conformer_model(self.model, self.device)
        return ConformerRun(loaded, self.request, inputs, self.digest, core, destination(out))


@dataclass(frozen=True)
class DockJob:
    """``molgen dock``.

    Attributes:
        docker: Receptor and box.
        request: What is asked of every ligand.
        inputs: All ligands.
        digest: Of these.
        n_rows: Their number.
        suffix: Format of the files.
    """

    docker: VinaDocker
    request: DockRequest
    inputs: Inputs
    digest: str
    n_rows: int
    suffix: str = ".sdf.gz"

    @classmethod
    def of(cls, docker: VinaDocker, request: DockRequest, inputs: Inputs) -> DockJob:
        """The job for all ligands of a file; see `ConformerJob.of`."""
        return cls(docker, request, inputs, *_surveyed(inputs))

    def manifest(self, n_shards: int) -> Manifest:
        """What a folder of its shards is of."""
        fingerprint = self._run(self.inputs, f"all{self.suffix}").fingerprint
        return Manifest(DOCK, "vina", fingerprint, self.n_rows, n_shards, self.suffix, tables=True)

    def make(self, shard: Shard, path: Path) -> None:
        """Write poses and status of ligands ``shard.first`` to ``shard.last - 1``."""
        run = self._run(replace(self.inputs, first=shard.first, last=shard.last), str(path))
        start = run.table.start()
        if start is not None:
            run.write(start, lambda _: None)

    def _run(self, inputs: Inputs, out: str) -> DockRun:
        return DockRun(self.docker, self.request, inputs, self.digest, destination(out))


@dataclass(frozen=True)
class EvaluateJob:
    """``molgen evaluate``: records with their verdict, and a table of verdicts.

    Attributes:
        path: The records.
        digest: Of the file.
        n_rows: Their number.
        config: What is checked.
        keep: ``all``, ``pass`` or ``fail``.
        suffix: Format of the files.
    """

    path: Path
    digest: str
    n_rows: int
    config: EvaluationConfig
    keep: str = "all"
    suffix: str = ".sdf.gz"

    @classmethod
    def of(cls, path: Path, config: EvaluationConfig, keep: str) -> EvaluateJob:
        """The job for all records of a file.

        Raises:
            UsageError: They come from standard input, or a check is unknown.
            DataError: The file cannot be read.
        """
        if str(path) == STDOUT:
            raise UsageError("standard input cannot be cut into shards", "Give a file")
        check_config(config)
        n_rows = count_records(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=8))
        return cls(path, digest.hexdigest(), n_rows, config, keep)

    def manifest(self, n_shards: int) -> Manifest:
        """What a folder of its shards is of."""
        content = f"{self.config.model_dump_json()} {self.keep} {self.digest}"
        fingerprint = hashlib.blake2b(content.encode(), digest_size=4).hexdigest()
        return Manifest(
            "evaluate", "none", fingerprint, self.n_rows, n_shards, self.suffix, tables=True
        )

    def make(self, shard: Shard, path: Path) -> None:
        """Write records ``shard.first`` to ``shard.last - 1`` and their verdicts."""
        records = prepared(read_range(self.path, shard.first, shard.last), self.config)
        found = evaluate_records(records, None, self.config, name=self.path.name, n_workers=1)
        with atomic_path(status_table(path)) as beside:
            beside.write_text(as_csv(found.records), encoding="utf-8")
        write_judged(destination(str(path)), records, found.records, self.keep)


def _surveyed(inputs: Inputs) -> tuple[str, int]:
    """Digest and number of the rows of a file.

    Raises:
        UsageError: They come from standard input.
        DataError: The file cannot be read.
    """
    n_rows, digest = inputs.survey()
    if n_rows is None:
        raise UsageError("standard input cannot be cut into shards", "Give a file")
    return digest, n_rows


@cache
def _generator(model: str, device: str) -> Generator:
    return load(model, device)


@cache
def _conformer_model(model: str, device: str) -> LoadedConformerModel:
    return load_conformer_model(find_model(model), device)

"""What commands do with a shard. A job can be sent to another process, which keeps its model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from molgen.api import Generator, load
from molgen.bulk.folder import Manifest
from molgen.bulk.shards import Shard
from molgen.checkpoint import find_model
from molgen.chem.conformers.core import read_core
from molgen.chem.conformers.files import Inputs
from molgen.docking.request import DockRequest
from molgen.docking.run import DockRun
from molgen.docking.vina import VinaDocker
from molgen.errors import UsageError
from molgen.sampling.conformers.request import ConformerRequest
from molgen.sampling.conformers.run import ConformerRun
from molgen.sampling.destination import destination
from molgen.sampling.recording import find_start, record
from molgen.sampling.request import Request
from molgen.sampling.run import Tally
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

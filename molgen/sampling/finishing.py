"""From batches on the host to finished molecules, in this process or in several others."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from molgen.chem.elements import Vocabulary
from molgen.chem.finish import Chunk, Finished, Finisher
from molgen.chem.molecule import Molecule
from molgen.chem.naming import Name
from molgen.chem.pool import map_in_order
from molgen.cores import available_cores
from molgen.sampling.prediction import Prediction
from molgen.sampling.sampler import in_order

if TYPE_CHECKING:
    from rdkit import Chem

CHUNK: Final = 64
"""Molecules in one message to a process: a tenth of a second of its time."""

WORTH_A_PROCESS: Final = 500
"""Molecules that a process should have to finish: its start takes as long as some hundred do."""


@dataclass(frozen=True)
class Sample:
    """One molecule of a run.

    Attributes:
        index: Its number in the run; with the seed it decides the molecule.
        finished: What it was finished with.
        row: Which of these it is.
    """

    index: int
    finished: Finished
    row: int

    @property
    def raw(self) -> Molecule:
        """Each head's argmax, before any decoding or relaxing."""
        return self.finished.raw[self.row]

    @property
    def molecule(self) -> Molecule:
        """The decoded molecule, relaxed where that was asked for."""
        return self.finished.molecules[self.row]

    @property
    def mol(self) -> Chem.Mol:
        """The decoded molecule in RDKit, with one conformer."""
        return self.finished.mols[self.row]

    @property
    def reason(self) -> str:
        """The first fault found; empty for a valid molecule."""
        return self.finished.reasons[self.row]

    @property
    def smiles(self) -> str:
        """Canonical SMILES; empty for a molecule with a fault."""
        return self.name.smiles

    @property
    def name(self) -> Name:
        """Its SMILES, and whether the stereo is settled."""
        return self.finished.names[self.row]

    @property
    def relaxed(self) -> str | None:
        """How it was relaxed, or why not; None where that was not asked for."""
        notes = self.finished.relaxed
        return notes[self.row] if notes else None

    @property
    def record(self) -> str | None:
        """Its text in the format that the run was told to render; None if it was told none."""
        records = self.finished.records
        return records[self.row] if records else None


def samples(
    batches: Iterable[Prediction], vocabulary: Vocabulary, finisher: Finisher, n_workers: int
) -> Generator[Sample, None, None]:
    """Finish molecules.

    Args:
        batches: What the network says.
        vocabulary: Meaning of its classes.
        finisher: What to make of it.
        n_workers: Number of processes; 1 is this one, which then does nothing else meanwhile.

    Yields:
        Every molecule, in the order that was asked for.

    Raises:
        MolgenError: A process was killed.
    """
    chunks = (
        chunk
        for batch in batches
        for chunk in chunks_of(batch, vocabulary, searches=finisher.decoder.searches)
    )
    if n_workers == 1:
        yield from in_order(_placed(map(finisher, chunks)))
        return
    with closing(map_in_order(finisher.sendable, chunks, n_workers)) as finished:
        yield from in_order(_placed(finished))


def usual_workers(n: int, *, on_gpu: bool) -> int:
    """Processes that suit a run of ``n`` molecules.

    On a CPU the network takes most of the time, and all cores: processes beside it would gain
    little and take its cache.
    """
    return max(1, min(available_cores(), n // WORTH_A_PROCESS)) if on_gpu else 1


def chunks_of(batch: Prediction, vocabulary: Vocabulary, *, searches: bool) -> Iterator[Chunk]:
    """Parts of a batch; log-probabilities go along where a search may want them."""
    for start in range(0, len(batch.indices), CHUNK):
        part = slice(start, min(start + CHUNK, len(batch.indices)))
        sizes = batch.sizes[part]
        n = int(sizes.max())
        unsettled = np.flatnonzero(~batch.settled[part]) if searches else np.arange(0)
        yield Chunk(
            vocabulary=vocabulary,
            places=batch.places[part],
            indices=batch.indices[part],
            sizes=sizes,
            pos=batch.pos[part, :n],
            element=batch.element[part, :n],
            charge=batch.charge[part, :n],
            bond=batch.bond[part, :n, :n],
            unsettled={row: batch.beliefs(vocabulary, start + row) for row in unsettled.tolist()},
        )


def _placed(finished: Iterable[Finished]) -> Iterator[tuple[int, Sample]]:
    for one in finished:
        for row, (place, index) in enumerate(zip(one.places, one.indices, strict=True)):
            yield place, Sample(index, one, row)

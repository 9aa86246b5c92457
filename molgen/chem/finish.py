"""From what a network said of some molecules to finished ones: decoded, built, checked, written.

Everything that a molecule costs the host after the network, in one function that other processes
can run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molgen.chem.atom_classes import implicit_hydrogens
from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import Decoder
from molgen.chem.demands import Demands
from molgen.chem.elements import Vocabulary
from molgen.chem.mol import BuiltMol, build_mol
from molgen.chem.molecule import Molecule, bonds_of_matrix
from molgen.chem.naming import LEFT_OUT, Name, name_of
from molgen.chem.packed import PackedMolecules, PackedMols
from molgen.chem.relaxation import TAG as RELAXED_TAG
from molgen.chem.relaxation import Relaxation, Relaxed
from molgen.chem.render import Format, TagValue

Fit = Callable[[Sequence[Molecule], Sequence[Molecule]], list[Molecule]]
"""Gives decoded molecules the positions that suit them; `molgen.models.graph_fit` is one."""

Complete = Callable[[Sequence[Molecule]], list[Molecule]]
"""Gives heavy atoms their hydrogens and a geometry; `molgen.sampling.completion` is one."""


@dataclass(frozen=True)
class Chunk:
    """Some molecules as a network left them, padded to ``N`` atoms.

    Attributes:
        vocabulary: Meaning of the classes.
        places: Where they stand in the order that was asked for.
        indices: Their numbers in the run.
        sizes: Their numbers of atoms, ``[C]``.
        pos: Positions in Å, ``[C, N, 3]``, float32.
        element: Most probable element classes, ``[C, N]``.
        charge: Most probable charge classes, ``[C, N]``.
        bond: Most probable bond classes, ``[C, N, N]``; only the upper triangle is read.
        unsettled: Beliefs about those that are to be decoded anew, by row; the others are what
            these classes say.
    """

    vocabulary: Vocabulary
    places: tuple[int, ...]
    indices: tuple[int, ...]
    sizes: NDArray[np.int64]
    pos: NDArray[np.float32]
    element: NDArray[np.uint8]
    charge: NDArray[np.uint8]
    bond: NDArray[np.uint8]
    unsettled: Mapping[int, Beliefs]

    def raw(self) -> list[Molecule]:
        """The most probable classes of every molecule, as `molgen.chem.decode.decode_argmax`."""
        elements = np.array(self.vocabulary.atomic_numbers, dtype=np.uint8)[self.element]
        charges = np.array(self.vocabulary.charges, dtype=np.int8)[self.charge]
        return [
            Molecule(
                elements[row, :n], self.pos[row, :n], charges[row, :n],
                bonds_of_matrix(self.bond[row, :n, :n]),
                implicit_hydrogens(self.vocabulary, self.element[row, :n]),
            )
            for row, n in enumerate(self.sizes.tolist())
        ]  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """What is stored beside every molecule of a run.

    Attributes:
        model: Name of the model.
        facts: What else decides the molecules, such as seed and steps.
        fingerprint: Of the run.
        stem: Titles of records without the hyphen and the number at their end.
        form: Format of the records; None for no file.
    """

    model: str
    facts: tuple[tuple[str, TagValue], ...]
    fingerprint: str
    stem: str = ""
    form: Format | None = None

    def record(self, index: int, built: BuiltMol, name: Name, relaxed: str | None = None) -> str:
        """The text of one record; empty where no file was asked for."""
        if self.form is None:
            return ""
        tags = self.of(index, built.reason, name, relaxed)
        return self.form.render(built.mol, f"{self.stem}-{index}", tags)

    def of(
        self, index: int, reason: str, name: Name, relaxed: str | None = None
    ) -> dict[str, TagValue]:
        """The tags of one molecule; whether it was relaxed only where that was asked for."""
        return {
            "molgen_model": self.model,
            **{f"molgen_{name}": value for name, value in self.facts},
            "molgen_index": index,
            "molgen_run": self.fingerprint,
            "molgen_valid": not reason,
            "molgen_reason": reason,
            **({} if relaxed is None else {RELAXED_TAG: relaxed}),
            **({} if name.is_settled else {"molgen_stereo": LEFT_OUT}),
            "smiles": name.smiles,
        }


@dataclass(frozen=True)
class Finished:
    """Finished molecules, in the order of their chunk.

    Attributes:
        places: Where they stand in the order that was asked for.
        indices: Their numbers in the run.
        raw: Each head's argmax, before any decoding or relaxing.
        molecules: The decoded molecules, relaxed where that was asked for.
        mols: The same in RDKit, with one conformer each.
        reasons: The first fault found in each; empty for valid ones.
        names: Canonical SMILES of the valid ones; empty for the others.
        records: The text of each; empty where no file was asked for.
        relaxed: Whether each was relaxed, and how; empty where that was not asked for.
    """

    places: tuple[int, ...]
    indices: tuple[int, ...]
    raw: Sequence[Molecule]
    molecules: Sequence[Molecule]
    mols: Sequence[Chem.Mol]
    reasons: tuple[str, ...]
    names: tuple[Name, ...]
    records: tuple[str, ...]
    relaxed: tuple[str, ...] = ()

    def packed(self) -> Finished:
        """The same, quick to send."""
        return replace(
            self,
            raw=PackedMolecules.of(self.raw),
            molecules=PackedMolecules.of(self.molecules),
            mols=PackedMols.of(self.mols),
        )


NOTHING_ASKED: Final = Demands()


@dataclass(frozen=True)
class Finisher:
    """What to make of chunks.

    Attributes:
        decoder: How beliefs become bonds.
        labels: What to write beside molecules; None for no records.
        relaxing: How to relax what is decoded; None for not at all.
        fit: Positions for what was decoded anew, from what the network named and from that; None
            leaves them.
        element_prior: Added to the log-probabilities of the elements before decoding; empty for
            nothing.
        demands: What a molecule must obey beside the rules of chemistry.
        complete: Makes whole molecules of heavy atoms; None where hydrogens are atoms.
    """

    decoder: Decoder
    labels: Labels | None = None
    relaxing: Relaxation | None = None
    fit: Fit | None = None
    element_prior: tuple[float, ...] = ()
    demands: Demands = NOTHING_ASKED
    complete: Complete | None = None

    def __call__(self, chunk: Chunk) -> Finished:
        """Finish a chunk."""
        raw = chunk.raw()
        molecules = self._decoded(chunk, raw)
        if self.complete is not None:
            molecules = self.complete(molecules)
        return self._finished(chunk.places, chunk.indices, raw, molecules)

    def decoded(self, chunk: Chunk) -> PackedMolecules:
        """The molecules of a chunk without RDKit's part."""
        return PackedMolecules.of(self._decoded(chunk, chunk.raw()))

    def sendable(self, chunk: Chunk) -> Finished:
        """Finish a chunk for another process."""
        return self(chunk).packed()

    def _decoded(self, chunk: Chunk, raw: list[Molecule]) -> list[Molecule]:
        rows, molecules = list(chunk.unsettled), list(raw)
        found = [self.decoder(chunk.unsettled[row].leaning(self.element_prior)) for row in rows]
        if self.fit is not None:
            found = self.fit([raw[row] for row in rows], found)
        for row, molecule in zip(rows, found, strict=True):
            molecules[row] = molecule
        return molecules

    def _finished(
        self,
        places: tuple[int, ...],
        indices: tuple[int, ...],
        raw: list[Molecule],
        molecules: list[Molecule],
    ) -> Finished:
        """Relax where that is asked for, build, check and write molecules that are decoded."""
        done = [self._built(*one) for one in zip(indices, molecules, strict=True)]
        built = [one.built for one in done]
        names = [Name("") if one.reason else name_of(one.mol) for one in built]
        notes = [None if self.relaxing is None else one.note for one in done]
        labels = self.labels
        write = labels is not None and labels.form is not None
        records = map(labels.record, indices, built, names, notes) if labels and write else ()
        return Finished(
            places,
            indices,
            raw,
            [one.molecule for one in done],
            [one.mol for one in built],
            tuple(one.reason for one in built),
            tuple(names),
            tuple(records),
            tuple(note for note in notes if note is not None),
        )

    def _built(self, index: int, molecule: Molecule) -> Relaxed:
        done = self._relaxed(index, molecule)
        if done.built.reason or not (fault := self.demands.fault(done.molecule)):
            return done
        return replace(done, built=BuiltMol(done.built.mol, fault))

    def _relaxed(self, index: int, molecule: Molecule) -> Relaxed:
        total_charge = self.decoder.total_charge
        if self.relaxing is None:
            return Relaxed(molecule, build_mol(molecule, total_charge), "")
        return self.relaxing(index, molecule, total_charge)

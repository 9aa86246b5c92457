"""Finishing a chunk is decoding, building and writing each of its molecules by itself."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import DECODERS, Decoder, decode_argmax, is_consistent
from molgen.chem.elements import AROMATIC, QM9
from molgen.chem.finish import Chunk, Finisher, Labels
from molgen.chem.mol import build_mol, smiles_of
from molgen.chem.molecule import Molecule
from molgen.chem.naming import Name, name_of
from molgen.chem.packed import PackedMolecules, PackedMols
from molgen.chem.relaxation import LABEL, Relaxation
from molgen.chem.render import FORMATS
from molgen.data.distances import shipped_distances

from .builders import AROMATIC_ONES, STORE, noisy_beliefs

LABELS = Labels("qm9", (("seed", 3),), "0123abcd", "qm9-s3", FORMATS[".sdf"])
DISTANCES = shipped_distances("qm9")


def finisher_of(name: str, labels: Labels | None = LABELS, **more: Any) -> Finisher:
    return Finisher(Decoder(name, 0, DISTANCES), labels, **more)


def beliefs(n: int = 24) -> list[Beliefs]:
    """Beliefs about real molecules, half of them with faults."""
    rng = np.random.default_rng(1)
    chosen = [*AROMATIC_ONES[: n // 2], *range(n - n // 2)]
    noises = [0.2, 1.5]
    return [noisy_beliefs(STORE[i], noises[k % 2], rng) for k, i in enumerate(chosen)]


def chunk_of(beliefs: Sequence[Beliefs], *, searches: bool = True) -> Chunk:
    """The chunk that a sampler would make."""
    sizes = np.array([one.n_atoms for one in beliefs])
    n = int(sizes.max()) + 2

    def padded(name: str, axes: int) -> np.ndarray:
        arrays = [getattr(one, name) for one in beliefs]
        shape = (len(arrays), *[n] * axes, arrays[0].shape[-1])
        out = np.full(shape, -1.0, dtype=np.float32)
        for row, array in enumerate(arrays):
            out[(row, *(slice(0, k) for k in array.shape[:-1]))] = array
        return out

    element, charge = padded("element_log_prob", 1), padded("charge_log_prob", 1)
    bond = padded("bond_log_prob", 2)
    raw = [decode_argmax(one) for one in beliefs]
    settled = [is_consistent(one) and not (one.bonds[:, 2] == AROMATIC).any() for one in raw]
    rows = np.flatnonzero(~np.array(settled)) if searches else np.arange(0)
    indices = tuple(100 + row for row in range(len(beliefs)))
    return Chunk(
        QM9,
        places=tuple(range(len(beliefs))),
        indices=indices,
        sizes=sizes,
        pos=padded("pos", 1),
        element=element.argmax(-1).astype(np.uint8),
        charge=charge.argmax(-1).astype(np.uint8),
        bond=bond.argmax(-1).astype(np.uint8),
        unsettled={row: beliefs[row] for row in rows.tolist()},
    )


def same(one: Molecule, other: Molecule) -> bool:
    names = ("atomic_numbers", "pos", "formal_charge", "bonds")
    return all(
        np.array_equal(a := getattr(one, name), b := getattr(other, name)) and a.dtype == b.dtype
        for name in names
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_chunk_is_its_molecules_one_by_one(decoder: str) -> None:
    all_beliefs, finisher = beliefs(), finisher_of(decoder)
    chunk = chunk_of(all_beliefs, searches=finisher.decoder.searches)
    assert len(chunk.unsettled) < len(all_beliefs)
    done = finisher(chunk)
    for row, one in enumerate(all_beliefs):
        molecule = finisher.decoder(one)
        built = build_mol(molecule, 0)
        assert same(done.raw[row], decode_argmax(one))
        assert same(done.molecules[row], molecule)
        assert done.reasons[row] == built.reason
        assert done.names[row] == (Name("") if built.reason else name_of(built.mol))
        tags = LABELS.of(100 + row, built.reason, done.names[row])
        assert done.records[row] == FORMATS[".sdf"].render(built.mol, f"qm9-s3-{100 + row}", tags)
        alone = finisher_of(decoder, None)(chunk_of([one], searches=finisher.decoder.searches))
        assert same(alone.molecules[0], molecule)
        assert (alone.indices, alone.reasons[0]) == ((100,), built.reason)
        assert not alone.records


def test_a_prior_is_for_decoders_and_for_what_is_not_settled() -> None:
    prior = (0.0, 0.0, -40.0, 0.0, 0.0)
    plain = finisher_of("geometry", None)
    leaning = finisher_of("geometry", None, element_prior=prior)
    chunk = chunk_of(beliefs(), searches=plain.decoder.searches)
    before, after = plain(chunk), leaning(chunk)
    changed = 0
    for row, one in enumerate(beliefs()):
        assert same(after.raw[row], before.raw[row])
        lean = one.leaning(prior)
        np.testing.assert_allclose(np.exp(lean.element_log_prob).sum(axis=1), 1, rtol=1e-5)
        wanted = plain.decoder(lean) if row in chunk.unsettled else before.molecules[row]
        assert same(after.molecules[row], wanted)
        changed += not same(after.molecules[row], before.molecules[row])
    assert changed
    assert beliefs()[0].leaning(()).element_log_prob is not None


@pytest.mark.parametrize("decoder", DECODERS)
def test_relaxing_comes_after_decoding_and_touches_positions_only(decoder: str) -> None:
    relaxing = Relaxation((0, 2))
    plain, relaxed = finisher_of(decoder), finisher_of(decoder, relaxing=relaxing)
    chunk = chunk_of(beliefs(), searches=plain.decoder.searches)
    before, after = plain(chunk), relaxed(chunk)
    assert (before.reasons, before.indices) == (after.reasons, after.indices)
    assert not before.relaxed
    for row, index in enumerate(after.indices):
        decoded, one = before.molecules[row], after.molecules[row]
        expected = relaxing(index, decoded, 0)
        assert same(after.raw[row], before.raw[row])
        assert same(one, expected.molecule)
        assert same(replace(one, pos=decoded.pos), decoded)
        assert after.relaxed[row] == expected.note
        assert (expected.note == LABEL) == (not after.reasons[row])
        tags = LABELS.of(index, after.reasons[row], after.names[row], expected.note)
        assert tags["molgen_relaxed"] == expected.note
        text = FORMATS[".sdf"].render(after.mols[row], f"qm9-s3-{index}", tags)
        assert after.records[row] == text
        assert "molgen_relaxed" not in before.records[row]
    finisher = finisher_of(decoder, None, relaxing=relaxing)
    second = chunk_of(beliefs()[1:2], searches=finisher.decoder.searches)
    alone = finisher(replace(second, indices=(101,)))
    assert same(alone.molecules[0], after.molecules[1])
    assert alone.relaxed == after.relaxed[1:2]


def of_atom(atom: Chem.Atom) -> dict[str, object]:
    """All properties with a value of their own; RDKit's vectors have none that compares."""
    properties = atom.GetPropsAsDict(True, True)
    return {name: value for name, value in properties.items() if isinstance(value, int | str)}


def test_sending_changes_nothing() -> None:
    finisher = finisher_of("map")
    here = finisher(chunk_of(beliefs()))
    there = pickle.loads(pickle.dumps(finisher.sendable(chunk_of(beliefs()))))  # noqa: S301
    assert (here.places, here.indices, here.reasons) == (there.places, there.indices, there.reasons)
    assert (here.names, here.records) == (there.names, there.records)
    for row in range(len(here.raw)):
        assert same(here.raw[row], there.raw[row])
        assert same(here.molecules[row], there.molecules[row])
        one, other = here.mols[row], there.mols[row]
        assert Chem.MolToMolBlock(one, kekulize=False) == Chem.MolToMolBlock(other, kekulize=False)
        assert one.GetPropsAsDict() == other.GetPropsAsDict()
        assert [of_atom(atom) for atom in one.GetAtoms()] == [
            of_atom(atom) for atom in other.GetAtoms()
        ]
        if not here.reasons[row]:
            assert smiles_of(other) == here.names[row].smiles


def test_packed_sequences_are_sequences() -> None:
    molecules = [STORE[i] for i in range(5)]
    molecules[2] = replace(molecules[2], bonds=np.zeros((0, 3), dtype=np.int16))
    packed = PackedMolecules.of(molecules)
    assert len(packed) == 5
    assert all(same(a, b) for a, b in zip(packed, molecules, strict=True))
    assert same(packed[-1], molecules[4])
    assert [one.n_atoms for one in packed[1:3]] == [one.n_atoms for one in molecules[1:3]]
    with pytest.raises(IndexError):
        packed[5]
    mols = PackedMols.of([build_mol(one).mol for one in molecules])
    assert len(mols) == 5
    assert [mol.GetNumAtoms() for mol in mols[3:]] == [one.n_atoms for one in molecules[3:]]

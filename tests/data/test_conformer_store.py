"""Stores of conformers and the batches that are drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.chem.conformers.ensemble import SearchOptions, search
from molgen.chem.smiles import read_smiles
from molgen.data.conformer_batches import ConformerBatch, ConformerStream, Source
from molgen.data.conformer_store import ConformerStore
from molgen.data.ensembles import Job, prepare_ensembles, read_ensembles
from molgen.data.prepare_conformers import is_held_out, prepare_conformers
from molgen.errors import DataError

SMILES = ("CCCCO", "CC(N)C(=O)O", "OCC1CCCC1", "c1ccccc1CCN", "FC=CCl", "CCOC(C)=O")
HELD_OUT_ALCOHOLS = [1, 70, 71, 116, 125, 166]
"""Carbon atoms of the chains that training leaves out."""

QUICK = SearchOptions(starts=8, starts_per_torsion=0)


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensembles")
    (folder / "in.smi").write_text("\n".join(SMILES))
    prepare_ensembles(Job(folder / "in.smi", options=QUICK), folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def store(ensembles: Path, tmp_path_factory: pytest.TempPathFactory) -> ConformerStore:
    out = tmp_path_factory.mktemp("store")
    counts = prepare_conformers(ensembles, out)
    assert counts["molecules"] == len(SMILES)
    return ConformerStore.open(out)


def stream_of(store: ConformerStore, step: int = 0) -> ConformerStream:
    stream = ConformerStream([Source(store)], 4, 0, 600.0, torch.device("cpu"))
    stream.step = step
    return stream


def taken(stream: ConformerStream, n: int) -> list[ConformerBatch]:
    batches = iter(stream)
    return [next(batches) for _ in range(n)]


def test_conformers_come_back_as_they_were(ensembles: Path, store: ConformerStore) -> None:
    for row, (_, one) in enumerate(read_ensembles(ensembles)):
        pos = store.conformers(row)
        graph = store.graph(row)
        heavy = one.pos[:, : graph.atoms.shape[0]]  # type: ignore[union-attr]
        assert np.abs(pos - (heavy - heavy.mean(axis=1, keepdims=True))).max() < 0.002
        np.testing.assert_allclose(pos[0], store.conformer(row, 0))
        assert store.populations(row, 600.0).sum() == pytest.approx(1)
        assert (np.diff(store.populations(row, 600.0)) <= 1e-9).all()


def test_single_geometries_make_the_same_store(tmp_path: Path) -> None:
    one = search("CC(N)C(=O)O", QUICK)
    pos = np.rint(one.pos[0] * 1000).astype(np.int16)  # type: ignore[union-attr]
    np.savez(
        tmp_path / "one.npz",
        n_atoms=np.array([len(pos)], np.uint8),
        smiles=np.array([one.smiles.encode()]),  # type: ignore[union-attr]
        pos_milliA=pos,
    )
    prepare_conformers(tmp_path / "one.npz", tmp_path / "store")
    store = ConformerStore.open(tmp_path / "store")
    assert store.conformers(0).shape == (1, 6, 3)
    assert len(store.graph(0).centres) == 1


def test_stereoisomers_are_held_out_together() -> None:
    for smiles in ("CC(N)C(=O)O", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"):
        mol = read_smiles(smiles)
        assert mol is not None
        assert is_held_out(mol) == is_held_out(read_smiles("CC(N)C(O)=O"))  # type: ignore[arg-type]


def test_which_constitutions_are_held_out_never_changes() -> None:
    found = [n for n in range(1, 200) if is_held_out(read_smiles("C" * n + "O"))]  # type: ignore[arg-type]
    assert found == HELD_OUT_ALCOHOLS


def test_batches_are_a_function_of_seed_and_step(store: ConformerStore) -> None:
    all_of = taken(stream_of(store), 20)
    late = taken(stream_of(store, step=13), 7)
    for one, other in zip(all_of[13:], late, strict=True):
        assert torch.equal(one.pos, other.pos)
        assert torch.equal(one.graph.pairs, other.graph.pairs)


def test_held_out_molecules_are_never_drawn(store: ConformerStore) -> None:
    rows = store.rows(held_out=False)
    assert set(rows) | set(store.rows(held_out=True)) == set(range(len(SMILES)))
    sizes = {int(store.n_atoms[row]) for row in rows}
    drawn = {int(n) for batch in taken(stream_of(store), 16) for n in batch.graph.mask.sum(1)}
    assert drawn <= sizes


def test_positions_are_centred_and_zero_where_there_is_no_atom(store: ConformerStore) -> None:
    for batch in taken(stream_of(store), 3):
        assert batch.pos.mean(dim=1).abs().max() < 1e-4
        assert not batch.pos[~batch.graph.mask].any()
        assert torch.equal(batch.graph.adjacency, batch.graph.paths == 1)


def test_a_missing_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store of conformers"):
        ConformerStore.open(tmp_path)

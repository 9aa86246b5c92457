from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from molgen.chem.molecule import Molecule, bonds_of_matrix
from molgen.data import splits
from molgen.data.manifest import VERSION, Manifest, file_entry, write_manifest
from molgen.data.store import DTYPES, Entry, MoleculeStore, pack, save_arrays, stored_pos
from molgen.errors import DataError


@st.composite
def molecules(draw: st.DrawFn) -> Molecule:
    n = draw(st.integers(1, 12))
    matrix = draw(hnp.arrays(np.int8, (n, n), elements=st.integers(0, 4)))
    return Molecule(
        atomic_numbers=draw(hnp.arrays(np.uint8, n, elements=st.integers(1, 118))),
        pos=draw(hnp.arrays(np.float32, (n, 3), elements=st.floats(-15, 15, width=32))),
        formal_charge=draw(hnp.arrays(np.int8, n, elements=st.integers(-4, 4))),
        bonds=bonds_of_matrix(matrix),
    )


def write(folder: Path, chosen: list[Molecule], codes: list[int]) -> MoleculeStore:
    entries = [Entry(molecule, number) for number, molecule in enumerate(chosen, start=1)]
    arrays = pack(entries, np.array(codes, dtype=np.uint8))
    folder.mkdir(exist_ok=True)
    save_arrays(folder, arrays)
    files = {path.name: file_entry(path) for path in folder.glob("*.npy")}
    manifest = Manifest(VERSION, "test", "", "", {}, {}, {}, splits.sizes(arrays["split"]), files)
    write_manifest(folder, manifest)
    return MoleculeStore.open(folder)


@settings(max_examples=30)
@given(st.lists(st.tuples(molecules(), st.integers(0, 2)), max_size=6))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[Molecule, int]]
) -> None:
    chosen, codes = [molecule for molecule, _ in drawn], [code for _, code in drawn]
    store = write(tmp_path_factory.mktemp("store"), chosen, codes)
    assert len(store) == len(chosen)
    for index, molecule in enumerate(chosen):
        back = store[index]
        centred = molecule.pos.astype(np.float64) - molecule.pos.mean(axis=0, dtype=np.float64)
        assert np.abs(back.pos - centred).max() <= 0.000501
        assert np.array_equal(back.pos, stored_pos(molecule.pos))
        assert np.array_equal(back.atomic_numbers, molecule.atomic_numbers)
        assert np.array_equal(back.formal_charge, molecule.formal_charge)
        assert np.array_equal(back.bonds, molecule.bonds)
        assert back.bonds.dtype == np.int16
    for code, name in enumerate(splits.SPLITS):
        assert store.split(name).tolist() == [i for i, other in enumerate(codes) if other == code]


@given(molecules())
def test_stored_positions_are_stored_unchanged(molecule: Molecule) -> None:
    once = stored_pos(molecule.pos)
    assert np.abs(stored_pos(once) - once).max() <= 0.001001
    assert np.array_equal(once, np.rint(once * 1000).astype(np.float32) / np.float32(1000))


def test_indices_count_from_either_end(sample: MoleculeStore) -> None:
    assert np.array_equal(sample[-1].pos, sample[len(sample) - 1].pos)
    for outside in (len(sample), -len(sample) - 1):
        with pytest.raises(IndexError):
            sample[outside]


def test_an_unknown_split_is_named(sample: MoleculeStore) -> None:
    with pytest.raises(DataError, match=r"no split named 'dev'. Choose one of: train, val, test"):
        sample.split("dev")


@pytest.fixture
def copy(sample: MoleculeStore, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.path, tmp_path / "store"))


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "does not exist"),
        (lambda store: (store / "manifest.json").unlink(), "holds no finished store"),
        (lambda store: (store / "manifest.json").write_text('{"version'), "not a store's manifest"),
        (lambda store: (store / "manifest.json").write_text("[]"), "not a store's manifest"),
        (lambda store: edit_manifest(store, version=99), "of version 99, this molgen reads 2"),
        (lambda store: edit_manifest(store, other=1), "not a store's manifest"),
        (lambda store: (store / "bonds.npy").unlink(), "bonds.npy is missing"),
        (lambda store: (store / "bonds.npy").write_bytes(b"x"), "has 1 bytes, its manifest says"),
    ],
)
def test_a_broken_store_is_refused_in_one_line(copy: Path, damage: object, message: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=message) as caught:
        MoleculeStore.open(copy)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("Run: molgen data prepare NAME")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no array", "not a readable array"),
        (np.zeros((7, 3), dtype=np.uint16), "does not fit the other arrays"),
        (np.zeros((7, 3), dtype=np.int64), "holds int64"),
    ],
)
def test_a_wrong_array_is_refused(copy: Path, content: object, message: str) -> None:
    path = copy / "bonds.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    files = json.loads((copy / "manifest.json").read_text())["files"]
    size = {"n_bytes": path.stat().st_size, "sha256": ""}
    edit_manifest(copy, files=files | {"bonds.npy": size})
    with pytest.raises(DataError, match=message):
        MoleculeStore.open(copy)


def test_verify_finds_a_flipped_bit(copy: Path) -> None:
    MoleculeStore.open(copy).verify()
    path = copy / "pos_milli_angstrom.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"pos_milli_angstrom.npy is damaged"):
        MoleculeStore.open(copy).verify()


def big(n: int, reach: float = 1.0) -> Molecule:
    pos = np.zeros((n, 3), dtype=np.float32)
    pos[:1] = reach
    return Molecule(np.ones(n, np.uint8), pos, np.zeros(n, np.int8), np.zeros((0, 3), np.int16))


@pytest.mark.parametrize("molecule", [big(0), big(65_536), big(2, np.nan)])
def test_what_does_not_fit_is_refused(molecule: Molecule) -> None:
    with pytest.raises(DataError, match="molecule 7"):
        pack([Entry(molecule, 7)], np.zeros(1, np.uint8))


def test_types_are_the_documented_ones(sample: MoleculeStore) -> None:
    for name, dtypes in DTYPES.items():
        assert getattr(sample, "split_code" if name == "split" else name).dtype == dtypes[0]


def test_conformers_come_back_with_their_weights(tmp_path: Path) -> None:
    one, wide = big(3), big(2, 80.0)
    pos = np.random.default_rng(0).standard_normal((4, 3, 3))
    entries = [
        Entry(one, 3_000_000_000, pos, np.array([2.0, 1.0, 1.0, 4.0])),
        Entry(wide, 2),
    ]
    arrays = pack(entries, np.zeros(2, np.uint8))
    assert arrays["pos_milli_angstrom"].dtype == np.int32  # 40 Å from the centre
    save_arrays(tmp_path, arrays)
    files = {path.name: file_entry(path) for path in tmp_path.glob("*.npy")}
    write_manifest(tmp_path, Manifest(VERSION, "", "", "", {}, {}, {}, {}, files))
    store = MoleculeStore.open(tmp_path)
    assert store.source_index.tolist() == [3_000_000_000, 2]
    centred = pos - pos.mean(axis=1, keepdims=True)
    assert store.conformers(0) == pytest.approx(centred, abs=6e-4)
    assert store.weights(0).tolist() == [0.25, 0.125, 0.125, 0.5]
    assert np.array_equal(store[0].pos, store.conformers(0)[0])
    assert store.weights(1).tolist() == [1.0]
    assert store[1].pos[:, 0].tolist() == [40.0, -40.0]

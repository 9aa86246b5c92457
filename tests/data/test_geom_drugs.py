"""GEOM-Drugs in the three shapes in which it is published, on a handful of molecules."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.data.conformer_store import ConformerStore
from molgen.data.geom_drugs import MOST, prepare_geom_drugs
from molgen.data.msgpack import read_msgpack
from molgen.data.restricted_pickle import UntrustedError, load_pickle
from molgen.errors import DataError

GOOD = ("CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O")
WEIGHTS = (0.6, 0.3, 0.1)


def embedded(smiles: str, n: int = 3) -> list[Chem.Mol]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=1)) == n
    return [Chem.Mol(mol, confId=one.GetId()) for one in mol.GetConformers()]


def published(smiles: str, mols: list[Chem.Mol], crude: bool = False) -> dict[str, object]:
    """The content of one pickle of ``rdkit_folder``, or of one entry of the crude file."""
    conformers = []
    for rank, (mol, weight) in enumerate(zip(mols, WEIGHTS, strict=False)):
        numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        pos = mol.GetConformer().GetPositions()
        content = {"xyz": np.c_[numbers, pos].tolist()} if crude else {"rd_mol": mol}
        energies = {"totalenergy": -40.1 + rank, "relativeenergy": 0.3 * rank}
        weights = {"boltzmannweight": weight, "conformerweights": [weight], "degeneracy": 1}
        conformers.append({"geom_id": rank, "set": 1, **energies, **weights, **content})
    facts = {"totalconfs": 3, "uniqueconfs": 3, "temperature": 298.15, "charge": 0}
    return {"conformers": conformers, "smiles": smiles, "ensembleenergy": 0.4, **facts}


def odd() -> dict[str, list[Chem.Mol]]:
    """Molecules that are left out: two fragments, a radical, another graph than the SMILES."""
    return {
        "CC(=O)[O-].[NH4+]": embedded("CC(=O)[O-].[NH4+]", 1),
        "C[CH]C": embedded("C[CH]C", 1),
        "CC(=O)CC": embedded("CC(O)=CC", 2),
    }


def in_other_order(mol: Chem.Mol) -> Chem.Mol:
    return Chem.RenumberAtoms(mol, list(range(mol.GetNumAtoms()))[::-1])


def assert_stored(out: Path, counts: dict[str, int]) -> None:
    assert counts["molecules"] == 2
    assert counts["conformers"] == 6
    assert (counts["fragments"], counts["radicals"]) == (1, 1)
    store = ConformerStore.open(out)
    assert sorted(store.n_atoms.tolist()) == [6, 11]
    for row in range(2):
        np.testing.assert_allclose(store.populations(row, 298.15), WEIGHTS, rtol=1e-4)
    acid = int(np.argmin(store.n_atoms))
    wanted = embedded(GOOD[1])[0].GetConformer().GetPositions()[:6]
    found = store.conformer(acid, 0)
    apart = [np.linalg.norm(one[:, None] - one[None], axis=-1) for one in (wanted, found)]
    assert np.abs(np.sort(apart[0].ravel()) - np.sort(apart[1].ravel())).max() < 0.01


def test_pickles_with_their_summary(tmp_path: Path) -> None:
    folder = tmp_path / "rdkit_folder"
    (folder / "drugs").mkdir(parents=True)
    contents = {one: published(one, embedded(one)) for one in GOOD}
    acid = embedded(GOOD[1])
    contents[GOOD[1]] = published(GOOD[1], [acid[0], in_other_order(acid[1]), acid[2]])
    contents |= {smiles: published(smiles, mols) for smiles, mols in odd().items()}
    summary: dict[str, dict[str, object]] = {"CCCC": {"charge": 0}, "nope": {"pickle_path": "x"}}
    summary["CCCCC"] = {"pickle_path": "drugs/missing.pickle"}
    for number, (smiles, content) in enumerate(contents.items()):
        name = f"drugs/{number}.pickle"
        (folder / name).write_bytes(pickle.dumps(content, protocol=number % 5))
        summary[smiles] = {"pickle_path": name, "charge": 0, "uniqueconfs": 3}
    (folder / "summary_drugs.json").write_text(json.dumps(summary))
    counts = prepare_geom_drugs(folder, tmp_path / "out")
    assert_stored(tmp_path / "out", counts)
    assert counts["changed_graph"] == 2
    assert counts["unreadable"] == 3
    assert counts["left_out"] == 6


def test_the_crude_file(tmp_path: Path) -> None:
    blocks = [{one: published(one, embedded(one), crude=True)} for one in GOOD]
    blocks += [{one: published(one, mols, crude=True)} for one, mols in odd().items()]
    path = tmp_path / "drugs_crude.msgpack"
    path.write_bytes(b"".join(packed(block) for block in blocks))
    counts = prepare_geom_drugs(path, tmp_path / "out")
    assert_stored(tmp_path / "out", counts)
    assert counts["changed_graph"] == 2
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="cut short"):
        prepare_geom_drugs(path, tmp_path / "again")


def test_pickles_of_midi(tmp_path: Path) -> None:
    path = tmp_path / "train_data.pickle"
    molecules = [(one, embedded(one)) for one in GOOD] + list(odd().items())
    path.write_bytes(pickle.dumps(molecules))
    counts = prepare_geom_drugs(path, tmp_path / "out")
    assert (counts["molecules"], counts["conformers"]) == (2, 6)
    assert (counts["fragments"], counts["radicals"], counts["changed_graph"]) == (1, 1, 2)
    populations = ConformerStore.open(tmp_path / "out").populations(0, 298.15)
    np.testing.assert_allclose(populations, 1 / 3)


def test_the_fifty_heaviest_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "val_data.pickle"
    path.write_bytes(pickle.dumps([("CCO", embedded("CCO", 1) * (MOST + 1))]))
    assert MOST == 50
    assert prepare_geom_drugs(path, tmp_path / "out")["conformers"] == 50


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hostile",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused(
    tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train_data.pickle"
    path.write_bytes(pickle.dumps([("CCO", [Hostile()])], protocol=protocol))
    with pytest.raises(UntrustedError, match="system"):
        prepare_geom_drugs(path, tmp_path / "out")
    folder = tmp_path / "rdkit_folder"
    folder.mkdir()
    (folder / "0.pickle").write_bytes(path.read_bytes())
    (folder / "summary_drugs.json").write_text('{"CCO": {"pickle_path": "0.pickle"}}')
    with pytest.raises(UntrustedError, match="system"):
        prepare_geom_drugs(folder, tmp_path / "out")
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__", "open"])
def test_builtins_that_run_code_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(b"cbuiltins\n" + name.encode() + b"\n(S'1'\ntR.")
    with pytest.raises(UntrustedError):
        load_pickle(path)


def test_files_elsewhere_and_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "summary_drugs.json").write_text('{"C": {"pickle_path": "../x.pickle"}}')
    with pytest.raises(DataError, match="elsewhere"):
        prepare_geom_drugs(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="not GEOM-Drugs"):
        prepare_geom_drugs(tmp_path / "x.txt", tmp_path / "out")
    (tmp_path / "a.pickle").write_bytes(b"\x80\x04garbage")
    with pytest.raises(DataError, match="no pickle"):
        prepare_geom_drugs(tmp_path / "a.pickle", tmp_path / "out")


def packed(value: object) -> bytes:
    """MessagePack, as far as these tests need it."""
    if isinstance(value, dict):
        items = b"".join(packed(key) + packed(one) for key, one in value.items())
        return struct.pack(">BI", 0xDF, len(value)) + items
    if isinstance(value, list):
        return struct.pack(">BH", 0xDC, len(value)) + b"".join(map(packed, value))
    if isinstance(value, str):
        return struct.pack(">BB", 0xD9, len(value.encode())) + value.encode()
    if isinstance(value, int):
        return struct.pack(">Bi", 0xD2, value)
    return struct.pack(">Bd", 0xCB, value)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x07", 7),
        (b"\xff", -1),
        (b"\xc0", None),
        (b"\xc3", True),
        (b"\xcd\x01\x00", 256),
        (b"\xd1\xff\x00", -256),
        (b"\xca\x3f\x00\x00\x00", 0.5),
        (b"\xa2ab", "ab"),
        (b"\xc4\x02ab", b"ab"),
        (b"\x92\x01\x81\xa1a\x02", [1, {"a": 2}]),
        (b"\xda\x00\x01a", "a"),
        (b"\xdd\x00\x00\x00\x01\x01", [1]),
        (b"\xde\x00\x01\x01\x02", {1: 2}),
    ],
)
def test_messagepack_as_its_specification_has_it(data: bytes, value: object) -> None:
    assert list(read_msgpack(io.BytesIO(data + data))) == [value, value]


@pytest.mark.parametrize("data", [b"\xc1", b"\x91" * 100 + b"\x01", b"\x81\x90\x01", b"\xa5ab"])
def test_damaged_messagepack_is_an_error(data: bytes) -> None:
    with pytest.raises(DataError):
        list(read_msgpack(io.BytesIO(data)))

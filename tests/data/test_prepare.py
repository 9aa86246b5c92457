from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from molgen.data import prepare as preparation
from molgen.config.dataset import load_dataset
from molgen.data.perceive import OVERBONDED
from molgen.data.prepare import prepare
from molgen.data.records import Record, Source
from molgen.data.store import MoleculeStore
from molgen.errors import DataError, OutputError

Records = dict[str, Record]
QM9 = load_dataset("qm9")

NpzOf = Callable[[Sequence[Record]], Path]


def test_counts_reasons_and_molecules(records: Records, npz_of: NpzOf, tmp_path: Path) -> None:
    odd = replace(records["ethanol"], source_index=20, smiles="COC")
    source = npz_of([*records.values(), odd])
    out = tmp_path / "deep" / "store"
    manifest = prepare(QM9, source, out)
    store = MoleculeStore.open(out)
    store.verify()
    assert store.manifest == manifest
    assert manifest.source == "tiny.npz"
    counts = {key: manifest.counts[key] for key in list(manifest.counts)[:5]}
    assert counts == {
        "read": 8, "kept": 6, "bonds_from_smiles": 5, "bonds_from_geometry": 1, "left_out": 2,
    }  # fmt: skip
    assert manifest.left_out == {OVERBONDED: 1, "no bond assignment of this charge": 1}
    assert (out / "left_out.tsv").read_text().splitlines()[1:] == [
        f"105\tC1C2CC1C2\t{OVERBONDED}",
        "72320\tOC12CN=C3OC1C23O\tno bond assignment of this charge",
    ]
    left_out = {105, 72320}
    kept = [record for record in (*records.values(), odd) if record.source_index not in left_out]
    assert store.source_index.tolist() == [record.source_index for record in kept]
    for record, index in zip(kept, range(len(store)), strict=True):
        assert np.array_equal(store[index].atomic_numbers, record.atomic_numbers)
        assert store[index].pos == pytest.approx(record.pos, abs=0.0015)
    assert [path.name for path in out.parent.iterdir()] == ["store"]


def test_the_same_source_gives_the_same_bytes(
    records: Records, npz_of: NpzOf, tmp_path: Path
) -> None:
    source = npz_of(list(records.values()))
    one = prepare(QM9, source, tmp_path / "one", n_workers=1)
    two = prepare(QM9, source, tmp_path / "two", n_workers=3)
    assert one == two


def test_progress_is_reported(records: Records, npz_of: NpzOf, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = npz_of(list(records.values()))
    prepare(QM9, source, tmp_path / "store", progress=lambda *args: seen.append(args))
    assert seen == [(done, len(records)) for done in range(1, len(records) + 1)]


def test_an_existing_store_is_kept_unless_forced(
    records: Records, npz_of: NpzOf, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    prepare(QM9, npz_of([records["methane"]]), out)
    source = npz_of([records["benzene"], records["nitrile"]])
    with pytest.raises(OutputError, match=r"already exists. Add --force"):
        prepare(QM9, source, out)
    assert len(MoleculeStore.open(out)) == 1
    prepare(QM9, source, out, force=True)
    assert len(MoleculeStore.open(out)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"store", "tiny.npz"}


def test_a_failed_forced_run_keeps_the_old_store(
    records: Records, npz_of: NpzOf, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    prepare(QM9, npz_of([records["methane"]]), out)
    with pytest.raises(DataError):
        prepare(QM9, tmp_path / "missing", out, force=True)
    assert len(MoleculeStore.open(out)) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"store", "tiny.npz"}


def test_a_place_that_cannot_be_written_is_named(records: Records, npz_of: NpzOf) -> None:
    source = npz_of([records["methane"]])
    with pytest.raises(OutputError, match=r"cannot write .*tiny.npz/store: Not a directory"):
        prepare(QM9, source, source / "store")


def test_a_full_disk_leaves_nothing(
    records: Records, npz_of: NpzOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preparation, "save_arrays", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        prepare(QM9, npz_of([records["methane"]]), tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.npz"]


def test_a_molecule_that_takes_too_long_is_left_out(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stuck_at_five.py").write_text(
        "from molgen.data.prepare import judge as real\n"
        "def judge(record, dataset):\n"
        "    while record.source_index == 5: pass\n"
        "    return real(record, dataset)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import stuck_at_five

    monkeypatch.setattr(preparation, "judge", stuck_at_five.judge)
    monkeypatch.setattr(preparation, "TIME_LIMIT_S", 2.0)
    chosen = [records[name] for name in ("methane", "nitrile", "benzene")]
    source = Source("test", 3, lambda: iter(chosen))
    monkeypatch.setattr(preparation, "reader_named", lambda _: lambda *_: source)
    manifest = prepare(QM9, None, tmp_path / "store", 2)
    assert manifest.left_out == {"time limit": 1}
    assert MoleculeStore.open(tmp_path / "store").source_index.tolist() == [1, 214]


SCRIPT = """
import multiprocessing, sys, time
from pathlib import Path
from molgen.config.dataset import load_dataset
from molgen.data.prepare import prepare
def progress(n_done, n_all):
    if n_done == 3:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(60)
prepare(load_dataset("qm9"), Path(sys.argv[1]), Path(sys.argv[2]), n_workers=2, progress=progress)
"""


@pytest.fixture
def interrupted(records: Records, npz_of: NpzOf, tmp_path: Path) -> Callable[[int], Path]:
    """Sends a signal to a preparation in its middle; gives the folder it was to make."""

    def run(sent: signal.Signals) -> Path:
        out = tmp_path / "store"
        source = npz_of(list(records.values()))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(source), str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        with process:
            assert process.stdout is not None
            children = [int(pid) for pid in process.stdout.readline().split()]
            process.send_signal(sent)
        assert children
        wait_for_end(children)
        return out

    return run


def wait_for_end(pids: list[int]) -> None:
    for _ in range(600):
        pids = [pid for pid in pids if is_running(pid)]
        if not pids:
            return
        time.sleep(0.1)
    raise AssertionError(f"left running: {pids}")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks up processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_leaves_nothing_to_trust(
    interrupted: Callable[[int], Path], sent: signal.Signals
) -> None:
    out = interrupted(sent)
    with pytest.raises(DataError, match=r"does not exist. Run: molgen data prepare NAME"):
        MoleculeStore.open(out)
    assert [path.name for path in out.parent.iterdir()] == ["tiny.npz"]
    prepare(QM9, out.parent / "tiny.npz", out)
    MoleculeStore.open(out).verify()

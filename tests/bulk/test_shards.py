"""Runs in shards: every row once, whoever dies, and the file of an unbroken run."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.bulk.folder import MANIFEST, Folder, Manifest, open_folder, read_folder
from molgen.bulk.merge import merge
from molgen.bulk.processes import Processes
from molgen.bulk.run import STRIKES, Work, in_this_process, run_shards
from molgen.bulk.shards import Shard, cut, parse_place
from molgen.bulk.status import status
from molgen.errors import DataError, MolgenError, OutputError, UsageError
from molgen.locks import lock
from tests.bulk.jobs import Numbers


@given(st.integers(1, 10**9), st.integers(1, 500))
def test_shards_are_the_rows_once_in_equal_parts(n_rows: int, n_shards: int) -> None:
    n_shards = min(n_rows, n_shards)
    shards = cut(n_rows, n_shards)
    assert len(shards) == n_shards
    ends = [0, *(one.last for one in shards)]
    assert [one.first for one in shards] == ends[:-1]
    assert ends[-1] == n_rows
    sizes = {one.n_rows for one in shards}
    assert max(sizes) - min(sizes) <= 1
    names = [one.file_name(".sdf.gz") for one in shards]
    assert sorted(names) == names


@pytest.mark.parametrize("n", [0, -1, 8, 2_000_000])
def test_no_shard_is_empty(n: int) -> None:
    with pytest.raises(UsageError, match="shards of 7 rows"):
        cut(7, n)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/3", "1/0", "²/3"])
def test_a_place_is_within_its_shards(text: str) -> None:
    assert parse_place("3/3") == (3, 3)
    with pytest.raises(UsageError, match="shard is"):
        parse_place(text)


def work_of(job: Numbers, path: Path, n_shards: int = 5) -> Work:
    return Work(job, open_folder(path, job.manifest(n_shards)))


def rows_of(folder: Folder) -> list[int]:
    parts = [folder.part(one) for one in folder.manifest.shards]
    return [int(line) for part in parts for line in part.read_text().split()]


def ignored(_: int) -> None:
    return None


def test_all_rows_are_made_and_told(tmp_path: Path) -> None:
    work = work_of(Numbers(23), tmp_path / "run")
    told: list[int] = []
    shards = work.folder.manifest.shards
    assert run_shards(work, shards[1:2], in_this_process, told.append) == []
    assert not run_shards(work, shards, Processes(2), told.append)
    assert rows_of(work.folder) == list(range(23))
    assert told[-1] == 23
    assert sorted(told[2:]) == told[2:]
    assert {one.name for one in work.folder.path.iterdir()} == {
        MANIFEST, *(work.folder.part(one).name for one in shards),
    }  # fmt: skip


def test_a_finished_shard_is_not_made_again(tmp_path: Path) -> None:
    work = work_of(Numbers(23), tmp_path / "run")
    run_shards(work, work.folder.manifest.shards, in_this_process, ignored)
    first = work.folder.part(work.folder.manifest.shards[0])
    first.write_text("mine\n")
    run_shards(work, work.folder.manifest.shards, in_this_process, ignored)
    assert first.read_text() == "mine\n"


def test_a_worker_that_dies_is_replaced_and_its_shard_made(tmp_path: Path) -> None:
    counter = tmp_path / "deaths"
    job = Numbers(23, bad=11, times=STRIKES - 1, counter=str(counter))
    work = work_of(job, tmp_path / "run")
    assert not run_shards(work, work.folder.manifest.shards, Processes(2), ignored)
    assert rows_of(work.folder) == list(range(23))
    assert counter.stat().st_size == STRIKES - 1


def test_a_shard_that_kills_is_given_up_and_taken_up_again(tmp_path: Path) -> None:
    counter = tmp_path / "deaths"
    work = work_of(Numbers(23, bad=11, times=STRIKES, counter=str(counter)), tmp_path / "run")
    shards = work.folder.manifest.shards
    (failed,) = run_shards(work, shards, Processes(2), ignored)
    assert failed.shard.first <= 11 < failed.shard.last
    assert work.folder.failed() == [failed] == list(status(work.folder).failed)
    assert work.folder.missing(shards) == [failed.shard]
    assert not run_shards(work, shards, Processes(1), ignored)
    assert rows_of(work.folder) == list(range(23))
    assert not work.folder.failed()


@pytest.mark.parametrize("engine", [in_this_process, Processes(2)], ids=["here", "processes"])
def test_what_no_worker_could_write_ends_the_run(tmp_path: Path, engine: Processes) -> None:
    work = work_of(Numbers(23, broken=11), tmp_path / "run")
    with pytest.raises(OutputError, match="the disk is full"):
        run_shards(work, work.folder.manifest.shards, engine, ignored)
    assert status(work.folder).n_shards >= 1


def test_two_runs_share_a_folder(tmp_path: Path) -> None:
    """What another process holds is waited for, not made twice."""
    job = Numbers(23)
    work = work_of(job, tmp_path / "run")
    shards = work.folder.manifest.shards
    part = work.folder.part(shards[2])
    rounds: list[list[Shard]] = []

    def engine(work: Work, left: list[Shard]) -> list[tuple[Shard, object]]:
        rounds.append(list(left))
        if len(rounds) > 1:
            job.make(shards[2], part)  # the other process has done it meanwhile
            return list(in_this_process(work, left))
        with lock(part):
            assert status(work.folder).n_running == 1
            return list(in_this_process(work, left))

    assert not run_shards(work, shards, engine, ignored)  # type: ignore[arg-type]
    assert rounds == [list(shards), [shards[2]]]
    assert rows_of(work.folder) == list(range(23))


def test_another_run_is_refused(tmp_path: Path) -> None:
    open_folder(tmp_path / "run", Numbers(23).manifest(5))
    with pytest.raises(UsageError, match="its n_shards is 5, not 6"):
        open_folder(tmp_path / "run", Numbers(23).manifest(6))
    with pytest.raises(UsageError, match="its n_rows is 23, not 24"):
        open_folder(tmp_path / "run", Numbers(24).manifest(5))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="holds other files"):
        open_folder(tmp_path / "other", Numbers(23).manifest(5))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "command": 3}', '"x"', "\x00"]
)
def test_a_damaged_manifest_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        read_folder(tmp_path)


def packed(records: int) -> bytes:
    return gzip.compress(b"".join(b"mol\n$$$$\n" for _ in range(records)), mtime=0)


@pytest.fixture
def sdf(tmp_path: Path) -> Folder:
    manifest = Manifest("sample", "m", "f", 7, 3, ".sdf.gz")
    folder = open_folder(tmp_path / "run", manifest)
    for shard in manifest.shards:
        folder.part(shard).write_bytes(packed(shard.n_rows))
    return folder


@pytest.mark.parametrize("name", ["all.sdf", "all.sdf.gz"])
def test_shards_become_one_file(sdf: Folder, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    assert merge(sdf, target, ignored) == 7
    data = target.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data).count(b"$$$$\n") == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [(packed(1), "holds 1 records, not 2"), (packed(2)[:-9], "damaged"), (b"x", "damaged")],
)
def test_a_damaged_shard_is_named(
    sdf: Folder, tmp_path: Path, content: bytes, message: str
) -> None:
    sdf.part(sdf.manifest.shards[0]).write_bytes(content)
    with pytest.raises(DataError, match=message):
        merge(sdf, tmp_path / "all.sdf", ignored)
    assert not (tmp_path / "all.sdf").exists()


def test_what_is_not_whole_is_not_merged(sdf: Folder, tmp_path: Path) -> None:
    sdf.part(sdf.manifest.shards[1]).unlink()
    with pytest.raises(UsageError, match="1 of 3 shards"):
        merge(sdf, tmp_path / "all.sdf", ignored)
    with pytest.raises(MolgenError, match=r"cannot merge into all\.xyz"):
        merge(sdf, tmp_path / "all.xyz", ignored)


def test_a_manifest_tells_what_it_is(tmp_path: Path) -> None:
    open_folder(tmp_path, Numbers(23).manifest(5))
    tree = json.loads((tmp_path / MANIFEST).read_text())
    assert (tree["command"], tree["n_rows"], tree["n_shards"]) == ("count", 23, 5)

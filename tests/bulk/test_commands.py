"""``--shards`` and ``--shard`` on the command line: the records of a run in one piece."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.bulk import differences
from molgen.chem.read import count_records, read_range, read_records
from molgen.cli import run

SAMPLE = ("sample", "--n", "23", "--steps", "1", "--seed", "5", "--no-metrics", "--quiet")
MOLECULES = "CCO a\nnope b\nCCN c\nCC=O d\n[Na+].[Cl-] e\nCCF f\nC g\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def molgen(*words: object) -> None:
    assert run([str(word) for word in words]) == 0


def assert_same(one: str, other: str) -> None:
    """Records are equal, coordinates up to rounding: batches begin elsewhere."""
    n_other, largest = differences(Path(one), Path(other))
    assert n_other == 0
    assert largest < 2e-4


def refused(capfd: pytest.CaptureFixture[str], *words: object) -> str:
    assert run([str(word) for word in words]) in {1, 2}
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error:")
    return line


@pytest.mark.slow
def test_sampling_in_shards_gives_the_records_of_one_run(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    molgen(*SAMPLE, "--out", "one.sdf")
    molgen(*SAMPLE, "--out", "run", "--shards", 3, "--workers", 2)
    molgen("merge", "run", "--to", "merged.sdf", "--quiet")
    assert_same("merged.sdf", "one.sdf")
    molgen("status", "run")
    assert "23 of 23 rows" in capfd.readouterr().out


@pytest.mark.slow
def test_an_array_of_jobs_fills_a_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As ``sbatch --array=1-3`` runs it: every task knows its number by a variable."""
    molgen(*SAMPLE, "--out", "one.sdf")
    for task in ("2", "1"):
        os.environ["SLURM_ARRAY_TASK_ID"] = task
        molgen(*SAMPLE, "--out", "run", "--shard", f"{os.environ.pop('SLURM_ARRAY_TASK_ID')}/3")
    molgen("status", "run")
    assert "2 of 3 made" in capfd.readouterr().out
    assert "1 of 3 shards of run are missing" in refused(capfd, "merge", "run", "--to", "m.sdf")
    part = next(Path("run").glob("part-*"))
    taken = refused(capfd, "merge", "run", "--to", part, "--force")
    assert "is in the folder of the shards" in taken
    molgen(*SAMPLE, "--out", "run", "--shards", 3, "--workers", 1)
    molgen("merge", "run", "--to", "merged.sdf", "--quiet")
    assert_same("merged.sdf", "one.sdf")


@pytest.mark.slow
def test_conformers_in_shards_have_one_table(folder: Path) -> None:
    Path("in.smi").write_text(MOLECULES)
    common = ("in.smi", "--n", 2, "--steps", 1, "--quiet")
    molgen("conformers", *common, "--out", "one.sdf")
    molgen("conformers", *common, "--out", "run", "--shards", 3, "--workers", 1)
    molgen("merge", "run", "--to", "merged.sdf", "--quiet")
    assert_same("merged.sdf", "one.sdf")
    assert Path("merged.sdf.csv").read_bytes() == Path("one.sdf.csv").read_bytes()
    molgen("refine", "one.sdf", "--out", "refined.sdf", "--steps", 1, "--quiet")
    molgen("refine", "one.sdf", "--out", "run2", "--steps", 1, "--shards", 2, "--workers", 1)
    molgen("merge", "run2", "--to", "merged2.sdf", "--quiet")
    assert_same("merged2.sdf", "refined.sdf")


def test_options_that_do_not_go_together(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words, said in [
        (("--shards", 2, "--shard", "1/2"), "exclude each other"),
        (("--shards", 2, "--engine", "rya"), "ray"),
        (("--shards", 2, "--address", "auto"), "is of a Ray cluster"),
        (("--shards", 2, "--force"), "shards know no --force"),
        (("--shards", 2, "--json", "a.json"), "shards know no --json"),
        (("--shards", 2, "--valid-only"), "--valid-only leaves open"),
        (("--shards", 24), "24 shards of 23 rows"),
        (("--shard", "4/3"), "Type a place from 1 on"),
    ]:
        assert said in refused(capfd, *SAMPLE, "--out", "run", *words)
        assert not Path("run").exists()
    assert "no name of a folder" in refused(capfd, *SAMPLE, "--out", "a.sdf", "--shards", 2)
    assert "holds no run in shards" in refused(capfd, "status", ".")
    assert "holds no run in shards" in refused(capfd, "merge", ".", "--to", "x.sdf")


@pytest.mark.slow
def test_another_run_in_a_folder_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    molgen(*SAMPLE, "--out", "run", "--shard", "1/3")
    assert "its fingerprint is" in refused(
        capfd, *SAMPLE, "--seed", 6, "--out", "run", "--shard", "2/3"
    )
    assert "its n_shards is 3, not 4" in refused(capfd, *SAMPLE, "--out", "run", "--shard", "1/4")


@pytest.mark.slow
def test_a_part_of_a_run_is_that_part(folder: Path) -> None:
    molgen(*SAMPLE, "--out", "one.sdf")
    molgen(*SAMPLE[:1], "--first", 20, "--n", 3, *SAMPLE[3:], "--out", "part.sdf")
    whole = Path("one.sdf").read_text().split("$$$$\n")
    Path("end.sdf").write_text("$$$$\n".join(whole[20:]))
    assert_same("part.sdf", "end.sdf")


@pytest.mark.slow
def test_verdicts_in_shards_are_those_of_one_run(folder: Path) -> None:
    given = Path(__file__).parent.parent / "cases" / "drugs20.sdf"
    molgen("evaluate", given, "--out", "one.sdf", "--csv", "one.csv")
    molgen("evaluate", given, "--out", "parts", "--shards", 3)
    molgen("merge", "parts", "--to", "merged.sdf")
    assert Path("merged.sdf").read_bytes() == Path("one.sdf").read_bytes()
    one, merged = (Path(name).read_text() for name in ("one.csv", "merged.sdf.csv"))
    assert merged == one.replace(str(given), given.name)
    molgen("evaluate", given, "--out", "good", "--shards", 2, "--filter", "pass")
    molgen("merge", "good", "--to", "good.sdf")
    n_passed = one.count(",true,")
    assert Path("good.sdf").read_text().count("$$$$") == n_passed
    assert run(["evaluate", str(given), "--shards", "2"]) == 2
    assert run(["evaluate", str(given), "--shards", "2", "--out", "x", "--json", "a"]) == 2


def test_shards_are_merged_into_a_table(folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    molgen(*SAMPLE, "--out", "parts", "--shards", 3)
    molgen("merge", "parts", "--to", "all.parquet")
    table = parquet.read_table("all.parquet")
    assert table.num_rows == 23
    assert table["molgen_index"].to_pylist() == [str(row) for row in range(23)]


def test_a_range_of_a_file_is_that_of_all_its_records() -> None:
    cases = Path(__file__).parent.parent / "cases"
    for name in ("drugs20.sdf", "bad_record.sdf", "no_last_dollars.sdf", "utf8_bom.xyz"):
        records = list(read_records(cases / name))
        assert count_records(cases / name) == len(records)
        for first in range(len(records)):
            part = list(read_range(cases / name, first, first + 2))
            assert [(one.index, one.title) for one in part] == [
                (one.index, one.title) for one in records[first : first + 2]
            ]

"""Outputs: never an input, never one another, never through a link, one writer at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copy

import pytest

from molgen.chem.io import open_writer
from molgen.errors import OutputError
from molgen.locks import lock

CASES = Path(__file__).parent.parent / "cases"


@pytest.fixture
def sample(molgen: Callable, tiny_weights: Path) -> Callable:
    fixed = ("sample", "--model", tiny_weights, "--steps", 1, "--n", 2, "--no-metrics")
    return lambda *arguments: molgen(*fixed, *arguments)


@pytest.mark.parametrize("other", ["in.sdf", "./in.sdf", "link.sdf", "twin.sdf"])
def test_evaluate_does_not_write_over_its_input(molgen: Callable, other: str) -> None:
    copy(CASES / "cisplatin.sdf", "in.sdf")
    Path("link.sdf").symlink_to("in.sdf")
    os.link("in.sdf", "twin.sdf")
    before = Path("in.sdf").read_bytes()
    answer = molgen("evaluate", "in.sdf", "--json", other, "--force")
    answer.assert_one_line(2, other.removeprefix("./"))
    assert Path("in.sdf").read_bytes() == before


def test_outputs_are_not_one_another_nor_an_input(sample: Callable) -> None:
    copy(CASES / "salt.smi", "like.smi")
    for arguments in (
        ("--out", "a.sdf", "--json", "a.sdf"),
        ("--out", "a.sdf", "--json", "./a.partial.sdf"),
        ("--out", "a.smi", "--json", "a.smi.molgen.json"),
        ("--out", "like.smi", "--like", "like.smi", "--force"),
        ("--out", "a.sdf", "--like", "like.smi", "--json", "like.smi", "--force"),
    ):
        sample(*arguments).assert_one_line(2, "would overwrite")
    assert [path.name for path in Path().iterdir()] == ["like.smi"]


def test_a_report_obeys_force(molgen: Callable, sample: Callable) -> None:
    copy(CASES / "cisplatin.sdf", "in.sdf")
    Path("old.json").write_text("{}")
    molgen("evaluate", "in.sdf", "--json", "old.json").assert_one_line(1, "old.json", "--force")
    sample("--out", "a.sdf", "--json", "old.json").assert_one_line(1, "old.json", "--force")
    assert Path("old.json").read_text() == "{}"
    assert sample("--out", "a.sdf", "--json", "old.json", "--force").status == 0
    assert '"n_records": 2' in Path("old.json").read_text()
    assert sample("--out", "a.sdf", "--json", "old.json", "--resume").status == 0


@pytest.mark.parametrize("name", ["a.sdf", "a.partial.sdf"])
def test_links_are_not_followed(sample: Callable, name: str) -> None:
    Path("precious").write_text("kept")
    Path(name).symlink_to("precious")
    assert sample("--out", "a.sdf", "--force").status == 2
    assert Path("precious").read_text() == "kept"


def test_a_link_in_the_place_of_a_partial_file_is_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    link = tmp_path / "m.sdf"
    link.symlink_to(precious)
    with pytest.raises(OutputError, match="cannot write"):
        open_writer(link, keep_bytes=0)
    open_writer(link).close()
    assert precious.read_text() == "kept"


def test_devices_and_odd_names_are_one_line(sample: Callable) -> None:
    sample("--out", "a.sdf", "--json", "/dev/null", "--force").assert_one_line(1, "/dev/null")
    sample("--out", "a\0b.sdf").assert_one_line(2, "null byte")
    assert list(Path().iterdir()) == []


HOLD = """
import sys
from pathlib import Path
from molgen.locks import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_writer_is_told_of_the_first(sample: Callable) -> None:
    command = [sys.executable, "-c", HOLD, "a.sdf"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        for mode in ((), ("--force",), ("--resume",)):
            answer = sample("--out", "a.sdf", *mode)
            answer.assert_one_line(1, f"being written by process {first.pid} on ")
        first.kill()
    assert sample("--out", "a.sdf").status == 0
    assert [path.name for path in Path().iterdir()] == ["a.sdf"]


STORE = Path(__file__).parents[2] / "data" / "sample"


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "in.sdf", "--json", "a"),
        ("evaluate", "in.sdf", "--csv", "a"),
        ("images", "sample", "--out", "a"),
        ("images", "evaluate", "in.sdf", "--json", "a"),
        ("data", "prepare", "qm9", "--out", "a"),
        ("data", "prepare", "conformers", "--source", "in.sdf", "--out", "a"),
        ("data", "ensembles", "in.smi", "--out", "a"),
        ("data", "trajectories", "in.smi", "--out", "a"),
        ("calibrate", "qm9-few", "--data", str(STORE), "--out", "a"),
        ("train", "tiny", "--out", "a"),
        ("conformers", "CCO", "--out", "a.sdf"),
        ("refine", "in.sdf", "--out", "a.sdf"),
    ],
)
def test_every_command_that_writes_holds_its_outputs(
    molgen: Callable, command: tuple[str, ...]
) -> None:
    copy(CASES / "cisplatin.sdf", "in.sdf")
    copy(CASES / "salt.smi", "in.smi")
    sheet = "images" in command and "sample" in command
    out = "a.sdf" if "a.sdf" in command else "a.png" if sheet else "a"
    with lock(Path(out)):
        answer = molgen(*(out if one == "a" else one for one in command))
    answer.assert_one_line(1, f"{out} is being written by process {os.getpid()} on ")
    assert {path.name for path in Path().iterdir()} == {"in.sdf", "in.smi"}


def test_a_report_is_held_too(sample: Callable) -> None:
    with lock(Path("a.json")):
        sample("--out", "a.sdf", "--json", "a.json").assert_one_line(1, "a.json is being written")
    assert list(Path().iterdir()) == []


def test_a_store_does_not_take_the_place_of_its_source(molgen: Callable) -> None:
    Path("data").mkdir()
    copy(CASES / "cisplatin.sdf", "data/in.sdf")
    command = ("data", "prepare", "ccd", "--source", "data/in.sdf", "--out", "data", "--force")
    molgen(*command).assert_one_line(2, "would overwrite the input")
    assert Path("data/in.sdf").exists()


def test_a_lock_leaves_nothing_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path / "a"), pytest.raises(OutputError, match="being written"):  # noqa: SIM117
            with lock(tmp_path / "a"):
                pass
    assert list(tmp_path.iterdir()) == []


def test_more_records_than_a_file_should_hold(sample: Callable) -> None:
    sample("--n", 10**8, "--out", "a.sdf").assert_one_line(2, "100000000 records", "at most")

"""What only a process of its own can show: kills, full disks, closed pipes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from molgen.chem.io import completed_records, read_records

MOLGEN = [sys.executable, "-m", "molgen"]
COMMAND = f"{sys.executable} -m molgen"


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in a folder."""
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def one_error_line(text: str) -> str:
    """The only line of stderr."""
    [line] = text.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("arguments", ["models", "--version", "--help"])
def test_a_full_disk_behind_stdout(tmp_path: Path, arguments: str) -> None:
    done = shell(f"{COMMAND} {arguments} > /dev/full", tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in one_error_line(done.stderr)


def test_a_full_disk_behind_sampled_records(tmp_path: Path, tiny_weights: Path) -> None:
    sample = f"{COMMAND} sample --model {tiny_weights} --steps 1 --n 3 --quiet --no-metrics"
    done = shell(f"{sample} --out - > /dev/full", tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in one_error_line(done.stderr)


def test_a_disk_that_fills_up_leaves_whole_records(tmp_path: Path, tiny_weights: Path) -> None:
    sample = f"{COMMAND} sample --model {tiny_weights} --steps 1 --quiet --no-metrics --out m.sdf"
    # Python ignores SIGXFSZ, so the limit shows as an error of write, as a full disk does.
    done = shell(f"ulimit -f 8; {sample} --n 60", tmp_path)
    assert done.returncode == 1
    assert "m.partial.sdf after" in one_error_line(done.stderr)
    assert not (tmp_path / "m.sdf").exists()
    partial = tmp_path / "m.partial.sdf"
    whole = completed_records(partial)
    assert 0 < whole.n_records < 60
    assert whole.n_bytes == partial.stat().st_size
    assert len(list(read_records(partial))) == whole.n_records
    assert shell(f"{sample} --n 60 --resume", tmp_path).returncode == 0
    assert len(list(read_records(tmp_path / "m.sdf"))) == 60


def test_a_reader_that_leaves(tmp_path: Path, tiny_weights: Path) -> None:
    sample = f"{COMMAND} sample --model {tiny_weights} --steps 1 --n 400 --quiet --no-metrics"
    done = shell(f"set -o pipefail; {sample} --out - | head -n 1", tmp_path)
    assert done.stdout == "tiny-s0-k1-0\n"
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_killed_run_leaves_a_readable_file(
    tmp_path: Path, tiny_weights: Path, sign: signal.Signals, status: int
) -> None:
    fixed = ("--steps", "1", "--no-metrics", "--batch-size", "4", "--out", "m.sdf")
    arguments = [*MOLGEN, "sample", "--model", str(tiny_weights), *fixed]
    process = subprocess.Popen(
        [*arguments, "--n", "1000000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    partial = tmp_path / "m.partial.sdf"
    for _ in range(600):
        if partial.exists() and partial.stat().st_size > 5000:
            break
        time.sleep(0.1)
    process.send_signal(sign)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert "Traceback" not in err
    assert not (tmp_path / "m.sdf").exists()
    n_done = completed_records(partial).n_records
    assert n_done > 0
    n = str(n_done + 5)
    again = subprocess.run([*arguments, "--n", n, "--resume"], cwd=tmp_path, check=False)
    assert again.returncode == 0
    indices = [int(r.tags["molgen_index"]) for r in read_records(tmp_path / "m.sdf")]
    assert indices == list(range(n_done + 5))


@pytest.mark.parametrize("to", [">&-", "> /dev/full"])
def test_a_table_that_cannot_be_printed_loses_no_record(
    tiny_weights: Path, tmp_path: Path, to: str
) -> None:
    ask = f"-m molgen sample --model {tiny_weights} --n 3 --steps 1 --out m.sdf --json m.json"
    answer = shell(f"{sys.executable} {ask} {to}", tmp_path)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "cannot write standard output" in answer.stderr
    assert [one.reason for one in read_records(tmp_path / "m.sdf")] == [""] * 3
    assert (tmp_path / "m.json").read_text().startswith("{")


def test_records_for_a_closed_standard_output_are_refused(
    tiny_weights: Path, tmp_path: Path
) -> None:
    ask = f"-m molgen sample --model {tiny_weights} --n 3 --steps 1 --no-metrics --out -"
    answer = shell(f"{sys.executable} {ask} >&-", tmp_path)
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "Traceback" not in answer.stderr


def test_a_terminal_that_is_not_utf8(tiny_weights: Path, tmp_path: Path) -> None:
    ask = f"-m molgen sample --model {tiny_weights} --n 3 --steps 1 --out m.sdf"
    answer = shell(f"PYTHONIOENCODING=ascii {sys.executable} {ask}", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "n = 3" in answer.stdout

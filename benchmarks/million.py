"""A tenth of `molgen sample --n 1000000 --shards 1000`, killed with all its processes and resumed.

    python -m benchmarks million runs/million

The command is killed at random moments (SIGKILL, workers too) until so many shards are whole. Every
molecule of these must be there once; some shards are made again by an undisturbed process, and
their records compared: titles, order, tags, atoms and bonds equal, coordinates up to rounding.
Printed: kills, records, rate, what that makes for the million, and the largest memory of all
processes together. The folder is kept, and a repeated command goes on with it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.bulk import differences
from molgen.chem.read import read_records

N, N_SHARDS = 1_000_000, 1_000


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder of the run")
    parser.add_argument("--until", type=int, default=100, help="shards to be made")
    parser.add_argument("--kill-after", type=float, nargs=2, default=(20.0, 120.0), help="seconds")
    parser.add_argument("--compared", type=int, default=3, help="shards that are made again")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--weights", default="qm9-few")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")


def main(options: argparse.Namespace) -> int:
    dice = random.Random(options.seed)  # noqa: S311 - no secret
    words = ["--n", str(N), "--steps", str(options.steps), "--model", options.weights]
    words += ["--device", "cpu", "--quiet", "--no-metrics"]
    command = [*words, "--out", str(options.out), "--shards", str(N_SHARDS)]
    command += ["--workers", str(options.workers)]
    kills, seconds, peak = 0, 0.0, 0
    before = len(made(options.out))
    while len(made(options.out)) < options.until:
        allowed = dice.uniform(*options.kill_after)
        spent, largest = run_and_kill(command, allowed, options)
        kills, seconds, peak = kills + 1, seconds + spent, max(peak, largest)
        print(f"{len(made(options.out))} shards after {kills} kills", flush=True)
    parts = made(options.out)
    names = [record.title for part in parts for record in read_records(part)]
    print(f"{len(names)} records of {len(parts)} shards, {len(set(names))} different titles")
    if len(parts) > before:
        rate = (len(parts) - before) * N / N_SHARDS / seconds
        print(f"{rate:.1f} molecules/s with {kills} kills: {N / rate / 3600:.1f} h for {N:,}")
        print(f"all processes together: {peak / 2**30:.2f} GiB at most")
    n_other = sum(compared(words, part) for part in dice.sample(parts, options.compared))
    print(f"{n_other} records of {options.compared} shards other than of an undisturbed process")
    whole = len(names) == len(set(names)) == len(parts) * N // N_SHARDS
    return int(n_other > 0 or not whole)


def made(folder: Path) -> list[Path]:
    """Files of the shards that are whole."""
    return sorted(one for one in folder.glob("part-*.sdf.gz") if ".partial" not in one.name)


def run_and_kill(
    command: list[str], allowed: float, options: argparse.Namespace
) -> tuple[float, int]:
    """Run for some seconds, or until enough shards are made; seconds, and the peak in bytes."""
    began, peak = time.monotonic(), 0
    words = [sys.executable, "-m", "molgen", "sample", *command]
    with subprocess.Popen(words, start_new_session=True) as process:
        while process.poll() is None and time.monotonic() - began < allowed:
            time.sleep(0.5)
            peak = max(peak, memory_of(process.pid))
            if len(made(options.out)) >= options.until:
                break
        os.killpg(process.pid, signal.SIGKILL)
    return time.monotonic() - began, peak


def memory_of(pid: int) -> int:
    """Resident memory of a process and its children, bytes."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def compared(words: list[str], part: Path) -> int:
    """Records of a shard that are other than those of a process that nobody disturbs."""
    first = int(part.name.split("-")[1])
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "run")
        shard = f"{first * N_SHARDS // N + 1}/{N_SHARDS}"
        alone = [*words, "--out", str(out), "--shard", shard]
        subprocess.run([sys.executable, "-m", "molgen", "sample", *alone], check=True)
        n_other, _ = differences(part, made(out)[0])
    return n_other

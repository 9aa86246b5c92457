"""What sampling costs: the whole command as a process, for several numbers of network calls."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 20])
    parser.add_argument("--repeats", type=int, default=3)


def run_once(
    steps: int, options: argparse.Namespace, *, checks: bool
) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory (MiB) of one sampling command."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "molecules.sdf"
        command = [sys.executable, "-m", "molgen", "sample", "--model", options.model]
        command += ["--steps", str(steps), "--n", str(options.n), "--seed", "0", "--out", str(out)]
        command += ["--quiet"] if not checks else ["--json", str(Path(folder) / "scores.json")]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status != 0:
            raise SystemExit(f"failed: {' '.join(command)}")
        n_records = out.read_text().count("$$$$")
        if n_records != options.n:
            raise SystemExit(f"{n_records} records instead of {options.n}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(options: argparse.Namespace) -> None:
    """Print one line per number of calls; medians over the repeats."""
    print(f"{'calls':>5} {'checks':>6} {'wall s':>8} {'cpu s':>8} {'MiB':>6} {'molecules/s':>12}")
    for steps in options.steps:
        for checks in (False, True):
            runs = [run_once(steps, options, checks=checks) for _ in range(options.repeats)]
            wall, cpu, memory = (statistics.median(column) for column in zip(*runs, strict=True))
            word, rate = "yes" if checks else "no", options.n / wall
            print(
                f"{steps:5d} {word:>6} {wall:8.2f} {cpu:8.2f} {memory:6.0f} {rate:12.1f}",
                flush=True,
            )

"""Runs that are killed at random moments, resumed, and compared with the unbroken run in bytes.

    python -m benchmarks kills --n 24

Every run is forked from this process, so that a trial pays for no imports, and gets SIGKILL when
its partial file has grown to a random size, or a little later. One row is printed for each command
and format: trials, those that the kill met before the first record, amid records and after the
last, and trials whose file is not the unbroken one. Such files are kept.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from molgen.cli import run
from molgen.sampling.destination import destination
from molgen.sampling.status_table import status_table

ROW = "{:10} {:8} {:>6} {:>6} {:>6} {:>6} {:>9}"
HEADS = ("command", "format", "trials", "before", "amid", "after", "different")

N_VARIED = 8
"""Molecules that are varied, each as often as makes the number of records."""


@dataclass(frozen=True)
class Job:
    """A command that writes records.

    Attributes:
        suffix: Format of its output.
        words: The command line without ``--out``.
    """

    suffix: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Command and format."""
        return self.words[0] + self.suffix


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=24, help="kills of every command and format")
    parser.add_argument("--records", type=int, default=80)
    parser.add_argument("--weights", default="qm9-few")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="commands and formats, as in: vary.sdf")


def main(options: argparse.Namespace) -> int:
    torch.set_num_threads(1)  # a pool of threads would not survive a fork
    dice = random.Random(options.seed)  # noqa: S311 - no secret
    print(ROW.format(*HEADS), flush=True)
    n_different = 0
    with tempfile.TemporaryDirectory() as name:
        for job in jobs(options.weights, options.records, Path(name)):
            if options.only and job.name not in options.only:
                continue
            execute([*job.words, "--out", str(whole(job, Path(name)))])
            counts = Counter(trial(job, Path(name), dice) for _ in range(options.n))
            n_different += counts["different"]
            shown = [counts[one] for one in ("before", "amid", "after", "different")]
            print(ROW.format(job.words[0], job.suffix, options.n, *shown), flush=True)
    return min(n_different, 1)


def jobs(weights: str, n: int, folder: Path) -> list[Job]:
    """The commands; what they read is made in this process, which so has imported everything."""
    import molgen.sampling.conformers.stream  # noqa: F401, PLC0415 - forks need not import it

    fixed = ("--model", weights, "--steps", "1", "--device", "cpu", "--quiet", "--batch-size", "8")
    sample = ("sample", *fixed, "--n", str(n), "--no-metrics", "--workers", "1")
    given = str(folder / "given.sdf")
    run([*sample, "--n", str(N_VARIED), "--out", given])
    vary = ("vary", given, *fixed, "--n", str(-(-n // N_VARIED)))
    found = [Job(suffix, sample) for suffix in (".sdf", ".sdf.gz", ".smi", ".xyz")]
    found.append(Job(".sdf", vary))
    few = max(n // 4, 1)
    smiles = folder / "given.smi"
    smiles.write_text("".join(f"{'C' * (k % 7 + 2)}(F)Cc1ccccc1 mol{k}\n" for k in range(few)))
    options = ("--n", "4", "--steps", "2", "--device", "cpu", "--quiet")
    found.append(Job(".sdf", ("conformers", str(smiles), *options)))
    return found


def whole(job: Job, folder: Path) -> Path:
    """Where the output of the unbroken run is."""
    return folder / f"{job.words[0]}-whole{job.suffix}"


def trial(job: Job, folder: Path, dice: random.Random) -> str:
    """Kill a run, resume it, and say where it was, or ``different`` if its file is."""
    expected = content(whole(job, folder))
    target = destination(str(folder / f"killed{job.suffix}"))
    for path in folder.glob("killed*"):
        path.unlink()
    command = [*job.words, "--out", str(target.path), "--resume"]
    child = forked(command)
    least, delay = dice.uniform(0, len(expected[0])), dice.uniform(0, 0.01)
    while size_of(target.partial) < least and not target.path.exists():
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    where = "after" if target.path.exists() else "amid" if size_of(target.partial) else "before"
    execute(command)
    if content(target.path) == expected:
        return where
    kept = tempfile.mkdtemp(prefix="molgen-kills-")
    print(
        f"different: {shutil.copy(target.path, kept)} and {shutil.copy(whole(job, folder), kept)}"
    )
    return "different"


def content(path: Path) -> list[bytes]:
    """A file, and the status table beside it, if there is one."""
    table = status_table(path)
    return [one.read_bytes() for one in (path, table) if one.exists()]


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def execute(words: Sequence[str]) -> None:
    """Run a command to its end."""
    _, status = os.waitpid(forked(words), 0)
    if status:
        raise RuntimeError(f"molgen {' '.join(words)} ended with status {status}")


def forked(words: Sequence[str]) -> int:
    """Begin a command in a copy of this process."""
    child = os.fork()
    if not child:
        os._exit(run(list(words)))
    return child

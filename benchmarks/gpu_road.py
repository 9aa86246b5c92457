"""The road from data to few-step weights on a GPU: one command, as often as it takes.

    python -m benchmarks gpu-road --list            # what is done and what comes next
    python -m benchmarks gpu-road --minutes 9       # go on for nine minutes at most
    until python -m benchmarks gpu-road --minutes 9; do :; done

Every stage is a command that stands in the list and can be typed by hand; its output goes to a log
beside the record of what is done. A stage that ended well is not run again. Whatever is stopped,
killed or out of time goes on when the same command is given once more: training from its last
checkpoint, measurements from their last row, anything else from its own beginning. What a GPU says
of the weights that ship comes first, since it needs minutes; training comes after.

The exit status is 0 when all is done, 75 when there is more to do, and 1 when a stage failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from molgen.atomic import atomic_path
from molgen.device import pick_device
from molgen.did_you_mean import unknown
from molgen.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]

MORE_TO_DO = 75
"""Exit status, EX_TEMPFAIL of sysexits.h."""

SPEEDS = "benchmarks/data/speed.json"
"""Measured rates."""

CHECKPOINT = "last.ckpt"
"""What a training run goes on from."""

PATIENCE = 20.0
"""Seconds that a stage has to end by itself once it is told to."""

TAIL = 12
"""Lines of a failed stage's log that are shown."""

GPU_TESTS = (
    "tests/flow/test_assignment.py tests/flow/test_polar.py tests/flow/test_compile.py "
    "tests/train/test_module.py tests/data/test_loader.py tests/sampling/test_cuda_graph.py "
    "tests/baselines/test_run.py"
)


@dataclass(frozen=True)
class Stage:
    """One command of the road.

    Attributes:
        name: What it is called in the record and on the command line.
        command: Words of the command.
        least: Minutes below which it is not worth starting.
        on_gpu: Whether it uses the GPU; the others can be done elsewhere, and later.
        run: Folder of a training run, which goes on with ``--resume`` once it has a checkpoint.
        after: Stages that must be done.
    """

    name: str
    command: tuple[str, ...]
    least: float = 1.0
    on_gpu: bool = True
    run: Path | None = None
    after: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """The command as it is to be given now."""
        started = self.run is not None and (ROOT / self.run / CHECKPOINT).exists()
        return (*self.command, "--resume") if started else self.command


def road(folder: Path, device: str, teacher_minutes: float, student_minutes: float) -> list[Stage]:
    """All stages, in order.

    Args:
        folder: Where weights, logs and the record are kept.
        device: The GPU, ``cuda`` or ``cuda:N``; ``cpu`` tries the road without one.
        teacher_minutes: Time box of the teacher.
        student_minutes: Time box of the student.
    """

    def python(script: str, *rest: Path | str) -> tuple[str, ...]:
        return sys.executable, *script.split(), *map(str, rest)

    def training(recipe: str, minutes: float) -> tuple[str, ...]:
        box = time.strftime("%H:%M:%S", time.gmtime(60 * minutes))
        return python(f"-m molgen train {recipe} --device {device} --max-time {box}")

    def speed(weights: Path | str, *record: Path | str) -> tuple[str, ...]:
        script = f"-m benchmarks speed --device {device} --n 65536 --steps 1 4 8"
        return python(script, "--weights", weights, "--record", *record)

    profile = "-m benchmarks profile configs/qm9-gpu.yaml --warmup 110 --steps 100"
    table = "-m benchmarks results measure --steps 1 2 4 8 20 --n 10000 --seeds 0 1 2"
    teacher, student = Path("runs/qm9-gpu"), Path("runs/qm9-gpu-few")
    final = folder / "qm9-gpu-few.safetensors"
    calibrate = python(
        "-m molgen calibrate --resume", student / "model.safetensors", "--out", final
    )
    on_device = f"--device {device} --out"
    return [
        Stage("tests", python(f"-m pytest -q -m gpu {GPU_TESTS}")),
        Stage("speed", speed("qm9-few", SPEEDS, "--page", "docs/appendix/speed.md"), least=1.5),
        Stage("profile", python(f"{profile} {on_device}", folder / "profile.json")),
        Stage("teacher", training("configs/qm9-gpu.yaml", teacher_minutes), run=teacher),
        Stage(
            "student",
            training("configs/qm9-gpu-few.yaml", student_minutes),
            run=student,
            after=("teacher",),
        ),
        Stage("calibrate", calibrate, on_gpu=False, after=("student",)),
        Stage("speed-new", speed(final, folder / "speed.json"), least=1.5, after=("calibrate",)),
        Stage(
            "results",
            python(f"{table} {on_device}", folder / "results.csv", "--weights", final),
            after=("calibrate",),
        ),
    ]


def chosen(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    """Some of the stages, in the order of the road.

    Raises:
        UsageError: There is no stage of such a name.
    """
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            raise UsageError(*unknown("stage", name, known))
    return [stage for stage in stages if stage.name in names]


def go(
    stages: Sequence[Stage], folder: Path, minutes: float | None, *, gpu_only: bool = False
) -> int:
    """Walk on until the road or the time ends, or a stage that others need has failed.

    Args:
        stages: The road.
        folder: Where logs and the record are kept.
        minutes: Time for this walk; None for as long as it takes.
        gpu_only: Leave out what does not use the GPU.

    Returns:
        The exit status.
    """
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    failed = []
    for stage in stages:
        done = _done(folder)
        if stage.name in done or (gpu_only and not stage.on_gpu):
            continue
        missing = [name for name in stage.after if name not in done]
        if missing:
            _say(f"{stage.name}: waits for {', '.join(missing)}")
            continue
        left = until - time.monotonic()
        if left < 60 * stage.least:
            _say(f"{stage.name}: {left / 60:.1f} minutes left, {stage.least:g} needed")
            break
        if _end_of(stage, folder, left) not in (0, None):
            failed.append(stage.name)
    if failed:
        _say(f"failed: {', '.join(failed)}; mend it and give the same command again")
        return 1
    open_ones = [stage.name for stage in stages if stage.name not in _done(folder)]
    _say(f"still to do: {', '.join(open_ones)}" if open_ones else "all done")
    return MORE_TO_DO if open_ones else 0


def _end_of(stage: Stage, folder: Path, seconds: float) -> int | None:
    """Run a stage; its exit status, None if it ran out of time."""
    words, log = stage.words(), folder / f"{stage.name}.log"
    _say(f"{stage.name}: {shlex.join(words)}")
    began = time.monotonic()
    with log.open("a") as out:
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        status = _waited(process, seconds)
    took = time.monotonic() - began
    if status == 0:
        _record(folder, stage.name, took)
        _say(f"{stage.name}: done in {took / 60:.1f} minutes, {log}")
    elif status is None:
        _say(f"{stage.name}: out of time after {took / 60:.1f} minutes")
    else:
        _say(f"{stage.name}: exit status {status}; the end of {log}:")
        _say("\n".join(log.read_text(errors="replace").splitlines()[-TAIL:]))
    return status


def _waited(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status of a process; None where it was ended because its time was over.

    The process leads a group of its own, so that what it started ends with it, and it ends with
    this program, too.
    """
    try:
        return process.wait(None if seconds == float("inf") else max(seconds - PATIENCE, 0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _done(folder: Path) -> Mapping[str, float]:
    """Minutes of every stage that ended well."""
    path = folder / "done.json"
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _record(folder: Path, name: str, seconds: float) -> None:
    with atomic_path(folder / "done.json") as path:
        path.write_text(json.dumps({**_done(folder), name: round(seconds / 60, 2)}, indent=1))


def _say(text: str) -> None:
    print(text, flush=True)


def listed(stages: Sequence[Stage], folder: Path) -> str:
    """A line per stage: what it took, or the command that it will be."""
    done = _done(folder)
    lines = []
    for stage in stages:
        state = f"{done[stage.name]:.1f} min" if stage.name in done else "to do"
        where = "gpu" if stage.on_gpu else "cpu"
        lines.append(f"{stage.name:<10} {where} {state:>9}  {shlex.join(stage.words())}")
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, help="time for this walk; no limit without it")
    parser.add_argument("--list", action="store_true", help="show the stages, run nothing")
    parser.add_argument("--gpu-only", action="store_true", help="leave out what a CPU can do")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="no others than these")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--teacher-minutes", type=float, default=17.0)
    parser.add_argument("--student-minutes", type=float, default=8.0)
    parser.add_argument("--folder", type=Path, default=Path("runs/gpu-road"))


def main(options: argparse.Namespace) -> int:
    """Go on, or say where the road stands."""
    folder = (ROOT / options.folder).resolve()
    stages = road(folder, options.device, options.teacher_minutes, options.student_minutes)
    stages = chosen(stages, options.only) if options.only else stages
    if options.list:
        _say(listed(stages, folder))
        return 0
    if any(stage.on_gpu for stage in stages):
        pick_device(options.device)  # a machine without it would skip the tests and call it done
    return go(stages, folder, options.minutes, gpu_only=options.gpu_only)

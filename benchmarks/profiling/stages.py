"""Where the time of a training step goes: a stopwatch that Lightning's hooks and ours switch."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from molgen.flow.coupling import Coupling, Pairing
from molgen.train.base import TrainingModule
from molgen.train.fit import Stream

STAGES = ("data", "corrupt", "coupling", "forward", "loss", "backward", "optimiser", "lightning")


def host_clock(device: torch.device) -> float:
    """Seconds; work on one thread of a CPU is timed by what it ran, beside whatever else runs."""
    is_alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if is_alone else time.perf_counter()


class Stopwatch:
    """Time per stage, each moment given to one of them; on a GPU by its own events.

    Args:
        device: Where the work happens.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.marks: list[tuple[str, Any]] = []
        self.stage = "lightning"
        self.is_running = False

    def moment(self) -> Any:
        """Now, on the clock of the device."""
        if self.device.type != "cuda":
            return host_clock(self.device)
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def switch(self, stage: str) -> str:
        """Give the time from now on to a stage; returns the one before."""
        before, self.stage = self.stage, stage
        if self.is_running:
            self.marks.append((stage, self.moment()))
        return before

    @contextmanager
    def within(self, stage: str) -> Iterator[None]:
        """Give the time inside to a stage, then go on with the one before."""
        before = self.switch(stage)
        yield
        self.switch(before)

    def seconds(self) -> dict[str, float]:
        """Time per stage while the watch was running."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        spent = dict.fromkeys(STAGES, 0.0)
        for (stage, start), (_, end) in zip(self.marks[:-1], self.marks[1:], strict=True):
            gap = start.elapsed_time(end) / 1e3 if self.device.type == "cuda" else end - start
            spent[stage] += gap
        return spent


@dataclass(frozen=True)
class TimedCoupling:
    """A coupling that tells the watch."""

    inner: Coupling
    watch: Stopwatch

    def pair(
        self, x0: Tensor, eps: Tensor, mask: Tensor | None = None, given: Tensor | None = None
    ) -> Pairing:
        """Pair as the inner one does."""
        with self.watch.within("coupling"):
            return self.inner.pair(x0, eps, mask, given)


@dataclass
class TimedStream:
    """Batches whose making is told to the watch; the first ones are kept.

    Attributes:
        inner: The batches.
        watch: The watch.
        n_kept: Batches to keep.
        kept: Those.
    """

    inner: Stream
    watch: Stopwatch
    n_kept: int
    step: int = 0
    kept: list[Any] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.inner)
        while True:
            with self.watch.within("data"):
                batch = next(batches)
            if len(self.kept) < self.n_kept:
                self.kept.append(batch)
            yield batch


def attach(module: TrainingModule, watch: Stopwatch) -> None:
    """Let the parts of a module's step tell the watch."""
    before: list[str] = []
    module.coupling = TimedCoupling(module.coupling, watch)
    module._corrupt = _timed(module._corrupt, "corrupt", watch)  # noqa: SLF001
    module.compiled.register_forward_pre_hook(lambda *_: before.append(watch.switch("forward")))
    module.compiled.register_forward_hook(lambda *_: watch.switch(before.pop()) and None)


def _timed(work: Callable[..., Any], stage: str, watch: Stopwatch) -> Callable[..., Any]:
    def inner(*args: Any) -> Any:
        with watch.within(stage):
            return work(*args)

    return inner


class Observer(pl.Callback):
    """Runs the watch over some steps, then counts what waits for the device, then traces.

    Args:
        watch: The watch.
        warmup: Steps before it starts.
        steps: Steps that it measures.
        trace: File for a trace of two more steps, or none.
    """

    def __init__(self, watch: Stopwatch, warmup: int, steps: int, trace: Path | None) -> None:
        self.watch, self.warmup, self.steps, self.trace = watch, warmup, steps, trace
        self.began = self.seconds = 0.0
        self.waits: Counter[str] = Counter()
        self.caught: list[warnings.WarningMessage] = []
        self.catcher: warnings.catch_warnings[Any] | None = None
        self.profiler: torch.profiler.profile | None = None

    @property
    def n_steps(self) -> int:
        """Steps of the whole run: one that counts waits, two that are traced."""
        return self.warmup + self.steps + 1 + (2 if self.trace else 0)

    def on_train_batch_start(self, *_: Any) -> None:
        """The batch is there."""
        self.watch.switch("loss")

    def on_before_backward(self, *_: Any) -> None:
        """The loss is there."""
        self.watch.switch("backward")

    def on_after_backward(self, *_: Any) -> None:
        """The gradients are there."""
        self.watch.switch("optimiser")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """The step is done: start, stop, count or trace."""
        self.watch.switch("lightning")
        done = trainer.global_step
        if done == self.warmup:
            self._start()
        if done == self.warmup + self.steps:
            self._stop()
            self._count_waits()
        if done == self.warmup + self.steps + 1:
            self._counted()

    def _start(self) -> None:
        self._finish_work()
        self.began = host_clock(self.watch.device)
        self.watch.is_running = True
        self.watch.switch("lightning")

    def _stop(self) -> None:
        self.watch.switch("lightning")
        self.watch.is_running = False
        self._finish_work()
        self.seconds = host_clock(self.watch.device) - self.began

    def _finish_work(self) -> None:
        if self.watch.device.type == "cuda":
            torch.cuda.synchronize(self.watch.device)

    def _count_waits(self) -> None:
        if self.watch.device.type == "cuda":
            self.catcher = warnings.catch_warnings(record=True)
            self.caught = self.catcher.__enter__() or []
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")

    def _counted(self) -> None:
        if self.catcher is not None:
            torch.cuda.set_sync_debug_mode("default")
            self.catcher.__exit__(None, None, None)
            places = (f"{one.filename}:{one.lineno}" for one in self.caught if _is_wait(one))
            self.waits.update(places)
        if self.trace:
            self.profiler = torch.profiler.profile()
            self.profiler.__enter__()

    def on_train_end(self, *_: Any) -> None:
        """Write the trace."""
        if self.profiler is not None:
            self.profiler.__exit__(None, None, None)
            self.profiler.export_chrome_trace(str(self.trace))


def _is_wait(warning: warnings.WarningMessage) -> bool:
    return "called a synchronizing" in str(warning.message)

"""Apply a function to many items in killable processes, with a time limit for each item.

Some chemistry (RDKit's bond perception above all) can run for hours on one odd input and holds the
interpreter lock while it does, so neither a thread nor a signal handler can stop it. Here each item
runs in a process of its own pool; one that overruns is killed, replaced, and its item answered with
`TimedOut`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from molgen.chem.worker_process import serve

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_CHUNK = 32  # items in one message: amortises the pipe, keeps the tail of a run short
WINDOW_CHUNKS = 16  # chunks per worker that may be finished ahead of the oldest open one
POLL_S = 0.05


@dataclass(frozen=True)
class Unfinished:
    """An item without a result; `reason` is a short phrase for tables."""

    reason: str


@dataclass(frozen=True)
class TimedOut(Unfinished):
    """The item ran past the time limit and its process was killed."""

    reason: str = "time limit"


@dataclass(frozen=True)
class Crashed(Unfinished):
    """The item took its process down (a segmentation fault, or no memory)."""

    reason: str = "worker crashed"


def run_with_limit(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    timeout_s: float,
    n_workers: int,
    progress: Callable[[int], None] | None = None,
    chunk_size: int | None = None,
    *,
    nested: bool = False,
) -> Iterator[Result | Unfinished]:
    """Yield `function(item)` for each item, in the order of the items.

    Args:
        function: a function that an `import` can find (not a lambda, not one of `__main__`).
        items: picklable arguments; read lazily, never far ahead of what has been yielded.
        timeout_s: wall-clock limit per item in seconds; start-up of a process does not count.
        n_workers: number of processes, at least 1.
        progress: called with the number of items yielded so far, after each.
        chunk_size: items in one message; None suits items that take no time.
        nested: whether `function` may make processes of its own.

    In a daemonic process, such as a worker of `multiprocessing.Pool`, items run one after another
    in this process, without a limit.

    Yields:
        The result, or `TimedOut` or `Crashed` for an item that has none.

    Raises:
        ValueError: `n_workers` or `timeout_s` is not positive, or `function` is not importable.
        Exception: whatever `function` raised, with the worker's traceback as a note.
    """
    if n_workers < 1 or timeout_s <= 0:
        raise ValueError(f"need n_workers >= 1 and timeout_s > 0, got {n_workers}, {timeout_s}")
    if not _is_importable(function):
        raise ValueError(f"{function} must be importable from a module by its name")
    if multiprocessing.current_process().daemon:  # may not have processes of its own
        return _in_process(function, items, progress)
    pool: _Pool[Item, Result] = _Pool(
        function, items, timeout_s, n_workers, chunk_size, nested=nested
    )
    return _run(pool, progress)


def _is_importable(function: Callable[..., object]) -> bool:
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return getattr(function, "__module__", "") != "__main__"


def _in_process(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    progress: Callable[[int], None] | None,
) -> Iterator[Result | Unfinished]:
    for n_done, item in enumerate(items, start=1):
        result = function(item)
        if progress is not None:
            progress(n_done)
        yield result


def _run(
    pool: _Pool[Item, Result], progress: Callable[[int], None] | None
) -> Iterator[Result | Unfinished]:
    try:
        for result in pool.results():
            if progress is not None:
                progress(pool.n_yielded)
            yield result
    finally:
        pool.close()


@dataclass
class _Worker(Generic[Item]):
    """One process, its pipe, and the items it still owes (numbered, oldest first)."""

    process: Any
    pipe: connection.Connection
    started: Any  # shared double: monotonic start of the running item, 0.0 between items
    owed: list[tuple[int, Item]] = field(default_factory=list)

    def assign(self, chunk: list[tuple[int, Item]]) -> None:
        self.owed = chunk
        self.send([item for _, item in chunk])

    def send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # a dead process is met again when its pipe is read
            self.pipe.send(message)

    def stop(self) -> int | None:
        self.process.kill()
        self.process.join()
        code: int | None = self.process.exitcode
        self.process.close()
        self.pipe.close()
        return code


class _Pool(Generic[Item, Result]):
    """The workers and the state of one run: what is open, what is done but not yet yielded."""

    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        timeout_s: float,
        n_workers: int,
        chunk_size: int | None = None,
        *,
        nested: bool = False,
    ) -> None:
        self.function = function
        self.nested = nested
        self.timeout_s = timeout_s
        self.n_workers = n_workers
        self.chunk_size = chunk_size or _chunk_size(items, n_workers)
        self.todo = enumerate(items)
        self.again: list[tuple[int, Item]] = []  # owed by a worker that had to go
        self.workers: list[_Worker[Item]] = []
        self.done: dict[int, Result | Unfinished] = {}
        self.error: Exception | None = None
        self.n_read = 0
        self.n_yielded = 0

    def results(self) -> Iterator[Result | Unfinished]:
        while True:
            self._assign_chunks()
            if not any(worker.owed for worker in self.workers):
                return
            self._collect()
            if self.error is not None:
                raise self.error
            while self.n_yielded in self.done:
                self.n_yielded += 1
                yield self.done.pop(self.n_yielded - 1)

    def _assign_chunks(self) -> None:
        for place in range(self.n_workers):
            if place < len(self.workers) and self.workers[place].owed:
                continue
            chunk = self._next_chunk()
            if not chunk:
                return
            if place == len(self.workers):
                self.workers.append(self._hire())
            self.workers[place].assign(chunk)

    def _next_chunk(self) -> list[tuple[int, Item]]:
        if self.again:
            chunk, self.again = self.again[: self.chunk_size], self.again[self.chunk_size :]
            return chunk
        if self.n_read >= self.n_yielded + WINDOW_CHUNKS * self.n_workers * self.chunk_size:
            return []
        chunk = list(islice(self.todo, self.chunk_size))
        self.n_read += len(chunk)
        return chunk

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.workers.clear()

    def _hire(self) -> _Worker[Item]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        started = context.RawValue("d", 0.0)
        arguments = (theirs, started, self.timeout_s)
        process = context.Process(target=serve, args=arguments, daemon=not self.nested)
        with without_main():
            process.start()
        theirs.close()
        worker: _Worker[Item] = _Worker(process, ours, started)
        worker.send(self.function)
        return worker

    def _collect(self) -> None:
        """Take what has arrived, and dismiss stuck and dead workers."""
        busy = [worker for worker in self.workers if worker.owed]
        connection.wait([worker.pipe for worker in busy], POLL_S)
        for worker in busy:
            began = worker.started.value
            if not self._drain(worker):
                self._dismiss(worker, None)
            elif began and began == worker.started.value and self._overdue(began):
                # Unchanged since before the drain: the first item owed is the one that is stuck.
                self._dismiss(worker, TimedOut())

    def _overdue(self, began: float) -> bool:
        return time.monotonic() - began > self.timeout_s

    def _drain(self, worker: _Worker[Item]) -> bool:
        """Move the worker's finished results to `done`; False when its pipe is broken."""
        try:
            while worker.owed and worker.pipe.poll():
                self._take(worker, *worker.pipe.recv())
        except (EOFError, ConnectionError):
            return False
        return True

    def _take(self, worker: _Worker[Item], ok: bool, value: Any) -> None:
        if ok:
            self.done[worker.owed.pop(0)[0]] = value
            return
        error, trace = value
        error.add_note(f"in a worker process:\n{trace}")
        self.error = error
        worker.owed.clear()

    def _dismiss(self, worker: _Worker[Item], answer: Unfinished | None) -> None:
        self.workers.remove(worker)
        code = worker.stop()
        alarm = getattr(signal, "SIGALRM", None)
        if answer is None:
            answer = TimedOut() if alarm and code == -alarm else Crashed()
        self.done[worker.owed[0][0]] = answer
        self.again += worker.owed[1:]


def _chunk_size(items: Iterable[object], n_workers: int) -> int:
    if not isinstance(items, Sized):
        return MAX_CHUNK
    return max(1, min(MAX_CHUNK, len(items) // (4 * n_workers)))


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """Keep spawned processes from importing the user's script, which may lack a main guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

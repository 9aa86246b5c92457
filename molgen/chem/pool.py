"""Apply a function to many items in several processes, in order and in bounded memory.

For items that are safe to run: `molgen.chem.workers` is for those that may hang or crash.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Final, TypeVar

from molgen.chem.worker_process import begin
from molgen.chem.workers import without_main
from molgen.errors import MolgenError

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD: Final = 8
"""Items per process that may be under way or waiting to be taken."""


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], n_workers: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for each item, in the order of the items.

    Items are read as results are taken, a few per process ahead, and their results computed
    meanwhile. Processes start with the first items that need them and end with the iterator.

    Args:
        function: A function that an ``import`` can find, or a method of a picklable object.
        items: Picklable arguments.
        n_workers: Number of processes, at least 1.

    Yields:
        The results.

    Raises:
        MolgenError: A process was killed.
        Exception: Whatever ``function`` raised.
    """
    waiting: deque[Future[Result]] = deque()
    with processes(n_workers) as executor, told_if_killed():
        for item in items:
            with without_main():
                waiting.append(executor.submit(function, item))
            while waiting and (waiting[0].done() or len(waiting) > AHEAD * n_workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def told_if_killed() -> Iterator[None]:
    """For a block that waits for other processes.

    Raises:
        MolgenError: One of them was killed.
    """
    try:
        yield
    except BrokenProcessPool:
        raise MolgenError(
            "a process that finishes molecules was killed, perhaps for want of memory",
            "Go on with --resume, and with fewer workers where memory is short",
        ) from None


@contextmanager
def processes(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block or with their parent, whatever they are at."""
    executor = ProcessPoolExecutor(
        n_workers, mp_context=multiprocessing.get_context("spawn"), initializer=begin
    )
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)

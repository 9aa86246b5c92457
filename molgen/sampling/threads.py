"""Batches side by side on a CPU: a thread for each, without threads of its own.

Threads that share the work of one small operation wait for each other thousands of times a second.
Where they spin, two programs on the same cores take four times as long; where they sleep, two
threads are slower than one (docs/appendix/speed.md). Threads that have a batch each hardly wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    call: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Yield ``call(item)`` for each item, in order; so many are computed at the same time.

    Args:
        call: Spends its time in torch, which lets other threads run.
        items: Read as results are taken, ``n_threads`` ahead.
        n_threads: One is none beside the caller's.
    """
    if n_threads == 1:
        yield from map(call, items)
        return
    waiting: deque[Future[Result]] = deque()
    with _threads(n_threads) as executor:
        for item in items:
            waiting.append(executor.submit(call, item))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _threads(n: int) -> Iterator[ThreadPoolExecutor]:
    before = torch.get_num_threads()
    executor = ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)

"""Runs that are told to stop: by Ctrl-C, by a queue that needs the machine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from molgen.errors import MolgenError


class StopSignal(BaseException):
    """A signal; no handler of ordinary errors may take it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)


class StoppedError(MolgenError):
    """A run was told to stop.

    Args:
        stop: The signal.
        self_cond: What the user can do next.
    """

    def __init__(self, stop: StopSignal, self_cond: str) -> None:
        super().__init__(f"training was stopped by {stop.number.name}", self_cond)
        self.exit_code = 128 + stop.number


@contextmanager
def stop_signals() -> Iterator[None]:
    """Raise `StopSignal` at SIGINT and SIGTERM; outside of the main thread does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, _stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise StopSignal(number)

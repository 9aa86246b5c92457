"""The child's side of `molgen.chem.workers`: what runs in each killable process."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection
from typing import Any, Final

GRACE_S: Final = 5.0
"""A process whose parent is gone ends itself this long after the time limit."""


def serve(pipe: connection.Connection, started: Any, timeout_s: float) -> None:
    """Answer every item until the pipe closes.

    Args:
        pipe: Brings the function, then lists of items; takes back, for each item,
            ``(True, result)`` or ``(False, (error, traceback))``.
        started: Shared double: when the running item began by the monotonic clock, 0.0 between
            items.
        timeout_s: Time limit per item in seconds, which the parent enforces.
    """
    begin()
    with contextlib.suppress(EOFError, OSError):  # the parent is gone or wants no more
        try:
            _answer_all(pipe, started, timeout_s)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:  # noqa: BLE001 - what the pipe brought cannot be loaded here
            pipe.send((False, (_portable(error), traceback.format_exc())))


def begin() -> None:
    """Leave Ctrl-C to the parent, and end with it, in the middle of an item, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _answer_all(pipe: connection.Connection, started: Any, timeout_s: float) -> None:
    function = pipe.recv()
    while True:
        for item in pipe.recv():
            pipe.send(_outcome(function, item, started, timeout_s))


def _outcome(
    function: Callable[[Any], Any], item: Any, started: Any, timeout_s: float
) -> tuple[bool, Any]:
    _set_alarm(timeout_s + GRACE_S)
    started.value = time.monotonic()
    try:
        return True, function(item)
    except Exception as error:  # noqa: BLE001 - raised again in the parent
        return False, (_portable(error), traceback.format_exc())
    finally:
        started.value = 0.0
        _set_alarm(0.0)


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):  # SIGALRM's default action ends even a stuck process
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _portable(error: Exception) -> Exception:
    """The error itself if it survives a pipe, otherwise one that tells the same."""
    try:
        pickle.dumps(copy.copy(error))
    except Exception:  # noqa: BLE001 - any fault of a foreign class
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

"""Order, laziness and the end of the processes that share work."""

from __future__ import annotations

import math
import operator
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import pytest

from molgen.chem.pool import AHEAD, map_in_order
from molgen.errors import MolgenError


def test_results_come_in_order_whoever_is_done_first() -> None:
    sleeps = [partial(time.sleep, 0.3), *[partial(math.sqrt, n) for n in range(40)]]
    results = list(map_in_order(operator.call, sleeps, 2))
    assert results == [None, *[math.sqrt(n) for n in range(40)]]


def test_items_are_read_as_results_are_taken() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1000):
            read.append(n)
            yield n

    results = map_in_order(math.sqrt, items(), 1)
    assert read == []
    assert [next(results) for _ in range(3)] == [0.0, 1.0, math.sqrt(2)]
    assert len(read) <= AHEAD + 4
    results.close()
    assert len(read) <= AHEAD + 4


def test_what_the_function_raises_is_raised_in_its_place() -> None:
    results = map_in_order(math.sqrt, [4, 9, -1, 16], 2)
    assert [next(results), next(results)] == [2.0, 3.0]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        next(results)


def test_a_killed_process_is_one_clear_error_after_all_that_came_before() -> None:
    calls = [partial(math.sqrt, 4), partial(math.sqrt, 9), partial(os._exit, 9)]
    results = map_in_order(operator.call, calls, 1)
    assert [next(results), next(results)] == [2.0, 3.0]
    with pytest.raises(MolgenError, match=r"killed.*--resume"):
        next(results)


def test_scripts_without_a_main_guard_can_use_it() -> None:
    script = (
        "import math\nfrom molgen.chem.pool import map_in_order\n"
        "print(sum(map_in_order(math.sqrt, [4, 9], 2)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "5.0\n"
    assert done.stderr == ""


def test_processes_do_not_outlive_a_killed_parent() -> None:
    script = (
        "import os, signal, operator\nfrom molgen.chem.pool import map_in_order\n"
        "results = map_in_order(operator.call, [os.getpid, os.getpid], 1)\n"
        "print(next(results), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    child = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if "Z" in state_of(child):
            return
        time.sleep(0.1)
    pytest.fail(f"process {child} is still there")


def state_of(pid: int) -> str:
    """The letter of a process's state, empty when it is gone."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout

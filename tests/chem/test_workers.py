from __future__ import annotations

import math
import multiprocessing
import operator
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path

import psutil
import pytest

from molgen.chem.workers import Crashed, TimedOut, Unfinished, run_with_limit
from molgen.data.store import MoleculeStore
from molgen.errors import DataError

# Takes 2**40 steps in C and never lets go of the interpreter lock, like a stuck RDKit call.
STUCK = partial(re.match, r"(a+)+$", "a" * 40 + "b")


def root(number: float) -> partial[float]:
    return partial(math.sqrt, number)


def no_children() -> bool:
    return not multiprocessing.active_children()


@pytest.mark.parametrize("n_items", [0, 1, 2, 31, 32, 33, 2000])
@pytest.mark.parametrize("n_workers", [1, 3])
def test_results_come_in_order(n_items: int, n_workers: int) -> None:
    results = list(run_with_limit(math.sqrt, range(n_items), 10, n_workers))
    assert results == [math.sqrt(item) for item in range(n_items)]
    assert no_children()


def test_a_stuck_item_is_killed_and_the_rest_done() -> None:
    items = [root(4), STUCK, root(9), STUCK, root(16)]
    assert list(run_with_limit(operator.call, items, 1.5, 2)) == [
        2.0, TimedOut(), 3.0, TimedOut(), 4.0,
    ]  # fmt: skip
    assert no_children()


def test_items_behind_a_stuck_one_in_its_chunk_are_done() -> None:
    items = iter([STUCK, *(root(number) for number in range(40))])
    results = list(run_with_limit(operator.call, items, 1.5, 1))
    assert results == [TimedOut(), *(math.sqrt(number) for number in range(40))]


def test_a_slow_consumer_is_no_timeout() -> None:
    results = run_with_limit(math.sqrt, iter(range(200)), 1.0, 1)
    assert next(results) == 0.0
    time.sleep(1.5)
    assert not any(isinstance(result, Unfinished) for result in results)


def test_a_crash_costs_one_item() -> None:
    items = [root(4), partial(os._exit, 3), root(9)]
    assert list(run_with_limit(operator.call, items, 10, 1)) == [2.0, Crashed(), 3.0]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (root(-1), ValueError),
        (partial(operator.getitem, {}, "key"), KeyError),
        (partial(open, "/no/such/file"), FileNotFoundError),
        (partial(next, iter([])), StopIteration),
    ],
)
def test_an_error_of_the_function_is_raised_here(call: partial, error: type[Exception]) -> None:
    expected = RuntimeError if error is StopIteration else error  # PEP 479
    with pytest.raises(expected) as caught:
        list(run_with_limit(operator.call, [root(4), call, root(9)], 10, 2))
    if error is not StopIteration:
        assert "in a worker process" in caught.value.__notes__[0]
    assert no_children()


def test_errors_of_the_package_keep_their_hint() -> None:
    call = partial(MoleculeStore.open, "/no/such/store")
    with pytest.raises(DataError) as caught:
        list(run_with_limit(operator.call, [call], 10, 1))
    assert str(caught.value) == "/no/such/store does not exist. Run: molgen data prepare NAME"


def test_items_are_read_lazily() -> None:
    read = []

    def items() -> Iterator[int]:
        for number in count():
            read.append(number)
            yield number

    results = run_with_limit(math.sqrt, items(), 10, 2)
    assert list(islice(results, 5)) == [math.sqrt(number) for number in range(5)]
    assert len(read) < 5000
    results.close()
    assert no_children()


def test_progress_counts_what_was_yielded() -> None:
    seen: list[int] = []
    list(run_with_limit(math.sqrt, range(50), 10, 2, seen.append))
    assert seen == list(range(1, 51))


def test_closing_early_kills_a_stuck_worker() -> None:
    results = run_with_limit(operator.call, [root(4), STUCK], 60, 2)
    assert next(results) == 2.0
    results.close()
    assert no_children()


@pytest.mark.parametrize(
    ("function", "timeout_s", "n_workers"),
    [(math.sqrt, 1.0, 0), (math.sqrt, 0.0, 1), (lambda item: item, 1.0, 1)],
)
def test_bad_arguments_are_refused_at_once(
    function: object, timeout_s: float, n_workers: int
) -> None:
    with pytest.raises(ValueError, match=r"n_workers|importable"):
        run_with_limit(function, [1], timeout_s, n_workers)


def test_a_script_without_a_main_guard_works(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom molgen.chem.workers import run_with_limit\n"
        "print(sum(run_with_limit(math.sqrt, [4, 9], 10, 2)))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, env=_environment()
    )
    assert (done.stdout, done.stderr) == ("5.0\n", "")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_amid_an_item(how: int, nested: bool, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nfrom molgen.chem.workers import run_with_limit\n"
        "waits = [0, 0, 600, 600]\n"
        f"for one in run_with_limit(time.sleep, waits, 900, 2, None, 1, nested={nested}):\n"
        "    print(one, flush=True)\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"None\n"
        workers = psutil.Process(parent.pid).children(recursive=True)
        assert len(workers) >= 2
        parent.send_signal(how)
        parent.stdout.close()
        parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

"""The rule that every input obeys: a status that is meant, no traceback, little time and memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

from molgen.cli import run

STATUSES = (0, 1, 2, 130, 143)
SECONDS = 60
BYTES = 2 << 30

Obeys = Callable[[list[str], str], None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these out unless ``-m`` names them, since another ``-m`` replaces the default one."""
    if "fuzz" not in config.getoption("-m"):
        items[:] = [item for item in items if not item.get_closest_marker("fuzz")]


def _too_long(_: int, __: FrameType | None) -> NoReturn:
    raise AssertionError(f"more than {SECONDS} s")


@pytest.fixture(scope="session", autouse=True)
def _bounded_memory() -> Iterator[None]:
    """What is allocated on top of the interpreter and its libraries."""
    import torch  # noqa: F401 - counts as what is there already

    pages = int(Path("/proc/self/statm").read_text().split()[5])
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.fixture
def obeys(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Obeys]:
    """Runs a command line and checks the rule; an exception of the command is a failure."""
    monkeypatch.chdir(tmp_path)  # a hostile value may be a name to write to
    before = signal.signal(signal.SIGALRM, _too_long)

    def check(argv: list[str], what: str = "") -> None:
        signal.alarm(SECONDS)
        try:
            status = run(argv)
        except BaseException as error:
            raise AssertionError(f"{argv} {what}: {type(error).__name__}: {error}") from error
        finally:
            signal.alarm(0)
        said = capfd.readouterr().err
        assert status in STATUSES, (argv, what)
        assert "Traceback" not in said, (argv, what, said[-2000:])
        errors = [line for line in said.splitlines() if line.startswith("error:")]
        assert len(errors) == (status != 0), f"{what}: {argv[14:]} {errors}"
        assert all(len(line) < 2000 for line in errors), (argv, what)

    yield check
    signal.signal(signal.SIGALRM, before)

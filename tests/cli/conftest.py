"""The command line, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from molgen.cli import run


@dataclass(frozen=True)
class Answer:
    """What one command line returned and said."""

    status: int
    out: str
    err: str

    def assert_one_line(self, status: int, *words: str) -> None:
        """One error line with these words in it, and no traceback."""
        assert self.status == status, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        for word in words:
            assert word in lines[0]


@pytest.fixture
def molgen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run ``molgen`` with some arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        status = run([str(argument) for argument in arguments])
        return Answer(status, *capfd.readouterr())

    return call

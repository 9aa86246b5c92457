"""What a run with --valid-only says while it goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from molgen.cli import watching


def drawn(reason: str) -> Any:
    return SimpleNamespace(reason=reason, relaxed=None)


def test_kept_of_drawn_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "PAUSE_S", 0.0)
    tally = watching.WatchedTally()
    for reason in ("", "valence: C 3", ""):
        tally.add(drawn(reason))
    assert capsys.readouterr().err.splitlines()[-1] == "kept 2 of 3 drawn"


def test_nothing_is_said_before_the_pause(capsys: pytest.CaptureFixture[str]) -> None:
    assert watching.PAUSE_S == 10.0
    watching.WatchedTally().add(drawn(""))
    assert not capsys.readouterr().err

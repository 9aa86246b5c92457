"""A file is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from molgen.atomic import atomic_path


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["x.txt"]


def test_what_could_not_be_written_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as partial:
        partial.write_text(str(1 / 0))
    assert path.read_text() == "old"

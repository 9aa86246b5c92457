"""A file is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from molgen.atomic import atomic_folder, atomic_path


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


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["x.txt"]


def test_a_link_is_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "x").write_text("kept")
    for name in ("file", "folder"):
        (tmp_path / name).symlink_to(precious)
    with atomic_path(tmp_path / "file") as partial:
        partial.write_text("new")
    with atomic_folder(tmp_path / "folder") as beside:
        (beside / "x").write_text("new")
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "x").read_text() == "new"
    assert (precious / "x").read_text() == "kept"
    assert {one.name for one in tmp_path.iterdir()} == {"precious", "file", "folder"}


def test_a_folder_takes_the_place_of_another_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store"
    for text in ("old", "new"):
        with atomic_folder(path) as beside:
            (beside / text).write_text(text)
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as beside:
        (beside / "torn").write_text(str(1 / 0))
    assert [one.name for one in path.parent.iterdir()] == ["store"]
    assert [one.name for one in path.iterdir()] == ["new"]

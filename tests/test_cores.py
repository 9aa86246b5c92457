"""Threads by what a process may use, and settings of the user that stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from molgen import cores

SHOW = "import os, json, molgen; print(json.dumps({k: v for k, v in os.environ.items()}))"


def environment(**given: str) -> dict[str, str]:
    """What importing the package makes of an environment without settings of OpenMP."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, env={**rest, **given}, capture_output=True, check=True)
    seen: dict[str, str] = json.loads(done.stdout)
    return {name: seen[name] for name in names if name in seen}


def test_threads_sleep_while_they_wait() -> None:
    assert environment()["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_what_the_user_has_set_stays(name: str) -> None:
    seen = environment(**{name: "7", "OMP_NUM_THREADS": "3"})
    assert seen == {name: "7", "OMP_NUM_THREADS": "3"}


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "max 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "what"}, None),
        ({}, None),
    ],
)
def test_quotas_of_both_versions(
    tmp_path: Path, files: dict[str, str], limit: float | None
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert cores._quota(tmp_path, ["/", "/a", "/a/b"]) == limit


def test_cores_are_those_of_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_allowed", lambda: 8)
    for quota, n_cores in ((None, 8), (0.3, 1), (2.9, 2), (64.0, 8)):
        monkeypatch.setattr(cores, "_quota", lambda *_, quota=quota: quota)
        assert cores.available_cores() == n_cores

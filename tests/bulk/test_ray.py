"""Ray as the engine: actors that die, and a cluster that is not there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from molgen.bulk.folder import open_folder
from molgen.bulk.ray_engine import RayEngine
from molgen.bulk.run import STRIKES, Work, run_shards
from molgen.errors import OutputError, UsageError
from tests.bulk.jobs import Numbers

ray = pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield RayEngine(n=2)
        ray.shutdown()


def test_actors_that_die_are_replaced(tmp_path: Path, engine: RayEngine) -> None:
    job = Numbers(23, bad=11, times=STRIKES - 1, counter=str(tmp_path / "deaths"))
    work = Work(job, open_folder(tmp_path / "run", job.manifest(5)))
    shards = work.folder.manifest.shards
    assert not run_shards(work, shards, engine, lambda _: None)
    parts = [work.folder.part(one).read_text() for one in shards]
    assert "".join(parts) == "".join(f"{row}\n" for row in range(23))


def test_an_error_of_a_job_is_the_drivers(tmp_path: Path, engine: RayEngine) -> None:
    job = Numbers(23, broken=11)
    work = Work(job, open_folder(tmp_path / "run", job.manifest(5)))
    with pytest.raises(OutputError, match=r"the disk is full\. Free some space"):
        run_shards(work, work.folder.manifest.shards, engine, lambda _: None)


def test_ray_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("molgen.bulk.ray_engine.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r'pip install "molgen\[ray\]"'):
        RayEngine()

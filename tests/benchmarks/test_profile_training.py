"""The training profile: a run of a few steps gives every number, and its pieces count rightly."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from benchmarks.profiling import costs, stages, training

ROOT = Path(__file__).resolve().parents[2]


def test_a_tiny_run_gives_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, trace = tmp_path / "profile.json", tmp_path / "trace.json"
    command = f"{ROOT}/configs/tiny.yaml --device cpu --warmup 1 --steps 3 --out {out}".split()
    command += ["--set", f"data.store={ROOT}/data/sample", "--set", "train.batch_size=8"]
    command += ["--peak-tflops", "0.5", "--peak-gbps", "10", "--trace", str(trace)]
    parser = argparse.ArgumentParser()
    training.add_options(parser)
    training.main(parser.parse_args(command))
    found = json.loads(out.read_text())
    assert tuple(found["seconds"]) == stages.STAGES
    assert all(seconds > 0 for seconds in found["seconds"].values())
    total = sum(found["seconds"].values())
    assert found["molecules_per_second"] == pytest.approx(3 * 8 / total, rel=0.05)
    expected = found["molecules_per_second"] * found["flops_per_molecule"] / 0.5e12
    assert found["flop_utilisation"] == pytest.approx(expected)
    assert found["bandwidth_bound"] == pytest.approx(10e9 / found["traffic_per_molecule"])
    assert found["waits_per_step"] is None
    assert json.loads(trace.read_text())["traceEvents"]
    table = capsys.readouterr().out
    assert all(stage in table for stage in stages.STAGES)


def test_traffic_is_what_operations_read_and_write() -> None:
    x, y = torch.ones(10, 10), torch.ones(1).expand(10, 10)
    with costs.TrafficMode() as traffic:
        x.transpose(0, 1).add(y)
    assert traffic.bytes == 400 + 4 + 400


def test_each_moment_belongs_to_one_stage() -> None:
    watch = stages.Stopwatch(torch.device("cpu"))
    times = iter([0.0, 1.0, 3.0, 6.0, 10.0])
    watch.moment = lambda: next(times)
    watch.is_running = True
    watch.switch("loss")
    with watch.within("corrupt"), watch.within("coupling"):
        pass
    spent = {stage: seconds for stage, seconds in watch.seconds().items() if seconds}
    assert spent == {"loss": 1.0, "corrupt": 2.0 + 4.0, "coupling": 3.0}

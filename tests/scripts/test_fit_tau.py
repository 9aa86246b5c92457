"""Total variances of the calls are found, and nothing else is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from molgen.checkpoint import find_model, load_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import fit_tau  # noqa: E402
from fit_tau import Score, descend, moved, tau_of  # noqa: E402

SAMPLE = ROOT / "data" / "sample"


def run(monkeypatch: pytest.MonkeyPatch, weights: Path, out: Path, *words: str) -> None:
    argv = ["fit_tau.py", str(weights), "--out", str(out), "--data", str(SAMPLE), *words]
    monkeypatch.setattr(sys, "argv", argv)
    fit_tau.main()


def test_calls_between_two_knots_lie_between_their_factors() -> None:
    (between,) = tau_of((6.0,), (1.0, 1.2, 1.0, 1.0))
    assert 1.0 < between < 1.2
    assert tau_of((30.0, 0.1), (1.1, 1.0, 1.0, 0.9)) == (1.1, 0.9)


def test_only_knots_that_a_ladder_feels_are_moved() -> None:
    assert moved((20.0,)) == [0]
    assert moved((20.0, 0.5)) == [0, 2, 3]
    assert moved((20.0, 1.9, 0.7, 0.25)) == [0, 1, 2, 3]


def test_factors_go_where_the_score_is_least() -> None:
    best, tried = (1.2, 1.0, 0.9, 1.0), []

    def score(factors: tuple[float, ...]) -> float:
        tried.append(factors)
        return sum((one - other) ** 2 for one, other in zip(factors, best, strict=True))

    assert descend(score, [0, 1, 2], 3) == pytest.approx(best)
    assert len(tried) == len(set(tried))


def test_they_stay_within_their_range() -> None:
    found = descend(lambda factors: -factors[0], [0], 1)
    assert found[0] == pytest.approx(fit_tau.RANGE[1])


def test_what_is_lost_in_stable_graphs_counts() -> None:
    plain = Score({"ring_tv": 0.2, "gyration_w1": 0.1}, 0.9)
    assert plain.against(plain) == pytest.approx(1.0)
    better = Score({"ring_tv": 0.1, "gyration_w1": 0.1}, 0.9)
    assert better.against(plain) == pytest.approx(0.75)
    less_stable = Score(better.distances, 0.7)
    assert less_stable.against(plain) > 1


def test_a_ladder_gets_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = find_model("qm9-few"), tmp_path / "out.safetensors"
    run(monkeypatch, weights, out, "--steps", "1", "--n", "24", "--rounds", "1")
    before, after = (load_model(path, "cpu") for path in (weights, out))
    old, new = (one.model.state_dict() for one in (before, after))
    assert all(torch.equal(value, new[name]) for name, value in old.items())
    found = after.info.ladders.pop(1)
    before.info.ladders.pop(1)
    assert after.info.ladders == before.info.ladders
    assert found.tau is not None
    assert len(found.tau) == 1
    lines = capsys.readouterr().out.splitlines()
    values = [float(line.split(": ")[1].split()[0]) for line in lines if "tau" in line]
    assert values[0] == 1.0
    assert min(values) == pytest.approx(
        next(
            value for value, line in zip(values, lines, strict=False) if f"({found.tau[0]}," in line
        )
    )


@pytest.mark.parametrize(
    ("name", "words"), [("qm9", ("--steps", "4")), ("qm9-few", ("--steps", "3"))]
)
def test_what_has_no_ladder_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: tuple[str, ...]
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match="distilled weights, and numbers of calls"):
        run(monkeypatch, find_model(name), out, *words)
    assert not out.exists()

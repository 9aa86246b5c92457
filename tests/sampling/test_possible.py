"""What a model cannot make is refused before noise is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from molgen.config import parse_config
from molgen.errors import UsageError
from molgen.models.info import ModelInfo
from molgen.sampling.conditioning import find_conditioning
from molgen.sampling.request import MAX_STEPS, Request, parse_sizes

CASES = Path(__file__).parent.parent / "cases"
INFO = ModelInfo("random", parse_config({}), (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"like": str(CASES / "salt.smi")}, "record 1 is a salt"),
        ({"like": str(CASES / "quat.smi")}, r"record 1 has a charge of \+1"),
        ({"formula": "CH6NF"}, "too many hydrogens"),
        ({"formula": "CH6"}, "too many hydrogens"),
    ],
)
def test_impossible_compositions(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_conditioning(INFO, Request(n=1, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("formula", ["CH4", "CH5N", "H2O", "CH3NO2", "NH4+"])
def test_possible_compositions(formula: str) -> None:
    assert find_conditioning(INFO, Request(n=1, formula=formula)) is not None


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Request(n=1, steps=MAX_STEPS + 1),
        lambda: parse_sizes("9" * 5000),
        lambda: parse_sizes("²-3"),
    ],
)
def test_numbers_beyond_reason(ask: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        ask()

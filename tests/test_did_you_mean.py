"""Suggestions for mistyped names, and the errors that carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.did_you_mean import nearest, unknown
from molgen.errors import (
    CheckpointError,
    ChemistryError,
    ConfigError,
    DataError,
    MolgenError,
    OutputError,
    UsageError,
)

SOLVERS = ["euler", "heun", "ddim", "dpm_solver_pp", "unipc", "rho"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("eulr", "euler"), ("Huen", "heun"), ("dpm-solver-pp", "dpm_solver_pp"), ("UNIPC", "unipc")],
)
def test_the_nearest_name(typed: str, meant: str) -> None:
    assert nearest(typed, SOLVERS) == meant


@given(st.sampled_from(SOLVERS))
def test_a_known_name_is_nearest_to_itself(name: str) -> None:
    assert nearest(name.upper(), SOLVERS) == name


def test_nothing_close_gives_no_suggestion() -> None:
    assert nearest("zzzzzz", SOLVERS) is None
    message, hint = unknown("solver", "zzzzzz", SOLVERS)
    assert message == 'unknown solver "zzzzzz"'
    assert hint.startswith("Known: euler")


def test_no_names_at_all() -> None:
    assert unknown("model", "qm9", []) == ('unknown model "qm9"', "Known: none")


def test_an_error_is_one_line_with_its_hint() -> None:
    error = MolgenError("line one\n  line two", "Type this")
    assert str(error) == "line one line two. Type this"
    assert str(MolgenError("only this")) == "only this"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (UsageError, 2),
        (ConfigError, 2),
        (DataError, 1),
        (CheckpointError, 1),
        (OutputError, 1),
        (ChemistryError, 1),
    ],
)
def test_exit_codes(kind: type[MolgenError], status: int) -> None:
    assert kind("x").exit_code == status

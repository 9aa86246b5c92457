"""An option is declared once: the command line, Python and fingerprints follow from it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from molgen.api import Generator
from molgen.cli.app import app
from molgen.cli.options import takes
from molgen.flow.plan_options import PlanOptions
from molgen.option import Option, deciding, documented, options_of
from molgen.sampling.request import Request


@documented
@dataclass(frozen=True)
class Asked:
    """A request that no code of the package knows."""

    size: Annotated[tuple[int, ...], Option("NetworkSpec.", parse=lambda text: (int(text),))]
    quick: Annotated[bool, Option("No rest.", decides=False)] = False
    hook: Annotated[object, Option("Python only.", cli=False, decides=False)] = None


def test_a_new_option_is_one_field() -> None:
    seen: list[Asked] = []
    small = typer.Typer()

    @small.command()
    @takes(Asked)
    def run(request: Asked, out: str = "x") -> None:
        seen.append(request)

    answer = CliRunner().invoke(small, ["--size", "7", "--quick"])
    assert (answer.exit_code, seen) == (0, [Asked((7,), quick=True)])
    assert deciding(seen[0]) == {"size": (7,)}
    assert "    size: NetworkSpec." in str(Asked.__doc__)


def test_both_interfaces_know_every_option() -> None:
    text = CliRunner().invoke(app, ["sample", "--help"], env={"COLUMNS": "300"}).stdout
    for schema in (Request, PlanOptions):
        for one in options_of(schema):
            name = (one.option.names or (f"--{one.name.replace('_', '-')}",))[0]
            assert (name in text) == one.option.cli, name
    python = inspect.signature(Generator.sample).parameters
    assert set(python) == {"self", "plan", *(one.name for one in options_of(Request))}

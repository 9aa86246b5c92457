"""The tree of commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import molgen
from molgen.cli.benchmark import conformers as benchmark_conformers
from molgen.cli.bulk import merge, status
from molgen.cli.calibrate import calibrate
from molgen.cli.conformers import conformers, refine
from molgen.cli.data import ensembles, prepare, trajectories
from molgen.cli.dock import dock
from molgen.cli.edit import vary
from molgen.cli.evaluate import evaluate
from molgen.cli.export import export
from molgen.cli.images import evaluate as evaluate_images
from molgen.cli.images import sample as sample_images
from molgen.cli.models import models
from molgen.cli.sample import sample
from molgen.cli.train import train

app = typer.Typer(
    name="molgen",
    help="Few-step generative modelling of 3D molecules.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(name="data", help="Prepare training data.", no_args_is_help=True)
benchmark = typer.Typer(
    name="benchmark", help="Compare models with other programs.", no_args_is_help=True
)
images = typer.Typer(
    name="images", help="Images through the same flow; needs molgen[images].", no_args_is_help=True
)

app.command("sample")(sample)
app.command("conformers")(conformers)
app.command("refine")(refine)
app.command("vary")(vary)
app.command("evaluate")(evaluate)
app.command("export")(export)
app.command("dock")(dock)
app.command("status")(status)
app.command("merge")(merge)
app.command("models")(models)
app.command("train")(train)
app.command("calibrate")(calibrate)
data.command("prepare")(prepare)
data.command("ensembles")(ensembles)
data.command("trajectories")(trajectories)
app.add_typer(data)
benchmark.command("conformers")(benchmark_conformers)
app.add_typer(benchmark)
images.command("sample")(sample_images)
images.command("evaluate")(evaluate_images)
app.add_typer(images)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"molgen {molgen.__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and end."),
    ] = False,
) -> None:
    """Few-step generative modelling of 3D molecules."""

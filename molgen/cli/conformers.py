"""``molgen conformers``: conformers of given molecules to an SDF file, a status row for each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from molgen.cli import options
from molgen.cli.console import note
from molgen.sampling.destination import check_apart, check_new

if TYPE_CHECKING:
    from molgen.chem.conformer_files import NamedMolecule
    from molgen.sampling.conformers import ConformerResult

CHUNK = 64
"""Molecules that are sampled together."""

COLUMNS = ("row", "name", "status", "conformers", "redrawn", "stereo_wrong", "reason")


def conformers(
    molecules: Annotated[
        str, typer.Argument(metavar="INPUT", help="A SMILES, or a .smi or .sdf file.")
    ],
    out: Annotated[Path, typer.Option(help="SDF file of the conformers.")],
    n: Annotated[int, typer.Option("--n", "-n", help="Conformers of each molecule.")] = 20,
    steps: Annotated[int, typer.Option(help="Network calls for each conformer.")] = 4,
    seed: Annotated[
        int, typer.Option(help="The same molecule and seed give the same conformers.")
    ] = 0,
    relax: Annotated[
        bool, typer.Option("--relax", help="Relax every conformer by MMFF94s after the network.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="Name of a shipped model, or a .safetensors file.")
    ] = "conformers",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: options.Force = False,
) -> None:
    """Make conformers; OUT.csv says for every input what became of it."""
    from molgen.atomic import atomic_path
    from molgen.checkpoint import find_model
    from molgen.chem.conformer_files import read_inputs
    from molgen.locks import lock
    from molgen.sampling.conformers import ConformerRequest, sample_conformers
    from molgen.tasks.conformer_weights import load_conformer_model

    request = ConformerRequest(n=n, steps=steps, seed=seed, relax=relax)
    loaded = load_conformer_model(find_model(model), device)
    status = out.with_suffix(out.suffix + ".csv")
    check_apart([out, status], (molecules, model))
    for path in (out, status):
        check_new(path, "--out", force=force)
    inputs = read_inputs(molecules)
    row = n_made = 0
    with (
        lock(out),
        atomic_path(out) as sdf,
        atomic_path(status) as table,
        sdf.open("w", encoding="utf-8") as records,
        table.open("w", newline="", encoding="utf-8") as rows,
    ):
        writer = csv.writer(rows, lineterminator="\n")
        writer.writerow(COLUMNS)
        for chunk in _chunks(inputs):
            given = [one.mol if one.mol is not None else "" for one in chunk]
            results = sample_conformers(loaded.model, given, request)
            for named, result in zip(chunk, results, strict=True):
                row += 1
                n_made += result.mol is not None
                writer.writerow([row, *_written(records, named, result)])
    note(f"{out}: {n} conformers of each of {n_made} molecules; {row} rows in {status}")


def _chunks(inputs: Iterator[NamedMolecule]) -> Iterator[list[NamedMolecule]]:
    while chunk := list(islice(inputs, CHUNK)):
        yield chunk


def _written(records: TextIO, named: NamedMolecule, result: ConformerResult) -> list[str | int]:
    """Write a molecule's conformers; return its row of the table."""
    from molgen.chem.conformer_files import write_conformers

    if result.mol is None or result.wrong is None:
        return [named.name, "failed", 0, 0, 0, result.reason]
    wrong = [int(k) for k in result.wrong.nonzero()[0]]
    write_conformers(records, named.name, result.mol, wrong)
    status = "stereo_wrong" if wrong else "ok"
    return [named.name, status, len(result.wrong), result.redrawn, len(wrong), result.reason]

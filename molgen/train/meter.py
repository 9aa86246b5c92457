"""Means of the loss terms, over all and per noise level, kept on the device until asked for."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor

from molgen.atomic import atomic_path
from molgen.errors import CheckpointError
from molgen.train.parallel import gathered

SIGMA_EDGES = (0.05, 0.15, 0.4, 1.0, 4.0)
"""Boundaries, in Å, of the noise levels that are reported apart."""

LEVELS = ("<0.05", "0.05-0.15", "0.15-0.4", "0.4-1", "1-4", ">4")


class LossMeter:
    """Accumulates per-molecule loss terms by noise level without a host round trip.

    Args:
        terms: Names of the terms.
        device: Where they are computed.
    """

    def __init__(self, terms: tuple[str, ...], device: torch.device) -> None:
        self.terms = terms
        self.edges = torch.tensor(SIGMA_EDGES, device=device)
        self.sums = torch.zeros(len(LEVELS), len(terms) + 1, device=device, dtype=torch.float64)

    @torch.no_grad()
    def add(self, sigma: Tensor, terms: dict[str, Tensor]) -> None:
        """Add a batch: noise in Å ``[B]`` and terms ``[B]`` each."""
        ones = torch.ones_like(terms[self.terms[0]])
        columns = torch.stack([*(terms[name] for name in self.terms), ones], dim=1).double()
        self.sums.index_add_(0, torch.bucketize(sigma, self.edges), columns)

    def read(self) -> dict[str, float]:
        """Means since the last call, of all processes; resets. Levels not visited are missing."""
        sums = gathered(self.sums).to("cpu", copy=True)
        self.sums.zero_()
        everything = sums.sum(dim=0)
        row = {t: float(everything[i] / everything[-1]) for i, t in enumerate(self.terms)}
        for level, line in zip(LEVELS, sums, strict=True):
            if line[-1] > 0:
                row |= {
                    f"{t}[{level}]": float(line[i] / line[-1]) for i, t in enumerate(self.terms)
                }
        return row


def columns_of(terms: tuple[str, ...]) -> list[str]:
    """Names of all columns that `LossMeter.read` can give."""
    return [*terms, *(f"{term}[{level}]" for level in LEVELS for term in terms)]


class CsvLog:
    """A CSV file that survives kills: whole lines, appended and flushed, every step once.

    Args:
        path: The file. An existing one is continued, less a torn last line and less the rows
            after ``first_step``, whose steps will be made again.
        columns: Names of the columns; the first is the step.
        first_step: Step from which the run goes on.
    """

    def __init__(self, path: Path, columns: list[str], first_step: int = 0) -> None:
        self.path, self.columns = path, columns
        header = ",".join(columns) + "\n"
        with atomic_path(path) as partial:
            partial.write_text(header + "".join(_rows_until(path, header, first_step)))

    def write(self, row: dict[str, float | int | str]) -> None:
        """Append one row; columns without a value stay empty."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            )


def _rows_until(path: Path, header: str, step: int) -> list[str]:
    """Whole rows of an earlier log with the same columns, up to a step.

    Raises:
        CheckpointError: A row is damaged.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = text.splitlines(keepends=True)
    if lines[:1] != [header]:
        return []
    whole = [line for line in lines[1:] if line.endswith("\n")]
    for number, line in enumerate(whole, 2):
        first, *others = line.split(",")
        is_step = first.isascii() and first.isdecimal() and len(first) < 16
        if not is_step or len(others) != header.count(","):
            raise CheckpointError(f"{path}: line {number} is damaged", "Delete it to go on")
    return [line for line in whole if int(line.partition(",")[0]) <= step]

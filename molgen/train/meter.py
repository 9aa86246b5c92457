"""Means of the loss terms, over all and per noise level, kept on the device until asked for."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import torch
from torch import Tensor

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
        """Means since the last call; resets. Levels that were not visited are left out."""
        sums = self.sums.to("cpu", copy=True)
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
    """A CSV file that survives kills: whole lines, appended and flushed.

    Args:
        path: The file; an existing one is continued, less a torn last line.
        columns: Names of the columns.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path, self.columns = path, columns
        if not path.exists() or path.stat().st_size == 0:
            path.write_text(",".join(columns) + "\n")
        else:
            _drop_torn_line(path)

    def write(self, row: dict[str, float | int | str]) -> None:
        """Append one row; columns without a value stay empty."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            )


def _drop_torn_line(path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)

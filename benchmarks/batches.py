"""How far molecules move with the number of molecules per network call; no digit should differ.

    python -m benchmarks batches --n 2000

Molecules are drawn anew with every batch size and compared with those of the first. One row is
printed for each number of calls and batch size: molecules with another graph, those that moved by
more than .001 Å, and the largest displacement of an atom.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from molgen.api import load
from molgen.chem.molecule import Molecule
from molgen.sampling.request import Request
from molgen.sampling.run import Tally

ROW = "{:>6} {:>6} {:>10} {:>8} {:>10}"
HEADS = ("calls", "batch", "graphs", "moved", "largest")

MOVED = 1e-3
"""Å."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--weights", default="qm9-few")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 20])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 1, 7, 256])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())


def main(options: argparse.Namespace) -> int:
    torch.set_num_threads(options.threads)
    print(ROW.format(*HEADS), flush=True)
    n_other = 0
    for steps in options.steps:
        first, *others = options.batches
        expected = molecules(options, steps, first)
        for batch in others:
            found = molecules(options, steps, batch)
            both = list(zip(expected, found, strict=True))
            graphs = sum(not same_graph(*pair) for pair in both)
            moved = np.array([np.abs(one.pos - two.pos).max(initial=0) for one, two in both])
            n_other += graphs + int((moved > MOVED).sum())
            shown = (steps, batch, graphs, (moved > MOVED).sum(), f"{moved.max():.1e}")
            print(ROW.format(*shown), flush=True)
    return min(n_other, 1)


def molecules(options: argparse.Namespace, steps: int, batch: int) -> list[Molecule]:
    """The molecules of a run, decoded."""
    request = Request(
        options.n, steps=steps, seed=options.seed, batch_size=batch, int8=options.int8, workers=1
    )
    run = load(options.weights, "cpu").run(request)
    return [sample.molecule for sample in run.stream(Tally())]


def same_graph(one: Molecule, other: Molecule) -> bool:
    """Whether elements, formal charges and bonds are equal."""
    names = ("atomic_numbers", "formal_charge", "bonds")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)

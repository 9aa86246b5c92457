"""One measurement: sample, decode once, check everything, one flat row."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.schedules.cells import CELL_COLUMNS, Cell
from molgen.api import Generator
from molgen.chem.molecule import Molecule
from molgen.data.reference import load_reference
from molgen.data.store import MoleculeStore
from molgen.integrations.openbabel import is_stable
from molgen.metrics.evaluate import evaluate
from molgen.metrics.rate import Rate, rate_of
from molgen.metrics.shape import Shapes, shape_distance, shapes_of
from molgen.sampling.request import Request
from molgen.sampling.run import Run, Tally
from molgen.tasks.formula import FORMULA
from molgen.tasks.given import Conditioning, GivenAtoms

RATES = (
    "perceived_valid",
    "connected_valid",
    "bond_graph_stable_raw",
    "edm_stable",
    "unique",
    "ob_stable",
)
"""Fractions; each has its 95 % Wilson interval in two more columns."""

NUMBERS = (
    "size_tv",
    "element_tv",
    "length_w1",
    "angle_w1",
    "torsion_w1",
    "rmsd_to_mmff",
    "n_relaxed",
    "seconds_sampling",
    "seconds_checks",
)

COLUMNS = (
    *CELL_COLUMNS,
    *(f"{name}{end}" for name in RATES for end in ("", "_low", "_high")),
    *NUMBERS,
)

N_REFERENCE = 4000


@dataclass(frozen=True)
class Bench:
    """What all cells share.

    Attributes:
        generator: The model.
        test: Real molecules that the model was not trained on.
        shapes: Their internal coordinates.
        relax: Whether to relax geometries in the force field, the slowest check.
    """

    generator: Generator
    test: tuple[Molecule, ...]
    shapes: Shapes
    relax: bool


def test_molecules(folder: Path) -> tuple[Molecule, ...]:
    """Up to `N_REFERENCE` molecules of the test split, evenly spread; of a small store, all."""
    store = MoleculeStore.open(folder)
    split = store.split("test")
    chosen = split if len(split) > 1000 else np.arange(len(store))
    places = np.linspace(0, len(chosen) - 1, min(N_REFERENCE, len(chosen))).round().astype(int)
    return tuple(store[int(index)] for index in chosen[places])


def known_compositions(bench: Bench, n: int) -> Conditioning:
    """Compositions of n test molecules, evenly spread over the split."""
    vocabulary = bench.generator.model.info.vocabulary.atomic_numbers
    places = np.linspace(0, len(bench.test) - 1, n).round().astype(int)
    atoms = (sorted(bench.test[place].atomic_numbers.tolist()) for place in places)
    parts = tuple(GivenAtoms(np.array([vocabulary.index(z) for z in one])) for one in atoms)
    return Conditioning(FORMULA, parts, label="test molecules")


def measure(bench: Bench, cell: Cell) -> dict[str, str]:
    """The row of one cell."""
    model = bench.generator.model
    request = Request(n=cell.n, steps=cell.steps, seed=cell.seed, decode="map")
    known = known_compositions(bench, cell.n) if cell.given else None
    began = time.perf_counter()
    with np.errstate(all="ignore"):  # raw solvers may leave the range of floats
        samples = list(Run(model, request, cell.plan(model.info), known).stream(Tally()))
        sampled = time.perf_counter()
        molecules = [one.molecule for one in samples]
        row = _scores(bench, molecules, [one.raw for one in samples])
    row["seconds_sampling"] = _text(sampled - began)
    row["seconds_checks"] = _text(time.perf_counter() - sampled)
    return dict(zip(CELL_COLUMNS, cell.key, strict=True)) | row


def _scores(bench: Bench, molecules: Sequence[Molecule], raw: Sequence[Molecule]) -> dict[str, str]:
    reference = load_reference("qm9")
    found = evaluate(molecules, reference, raw=raw, relax=bench.relax, n_workers=1)
    strict = rate_of(is_stable(molecule) for molecule in molecules)
    distance = shape_distance(shapes_of(molecules), bench.shapes)
    rates = {"ob_stable": strict}
    rates |= {name: getattr(found, name) for name in RATES if name != "ob_stable"}
    row: dict[str, str] = {}
    for name, rate in rates.items():
        row |= _rate(name, rate)
    relaxed = found.rmsd_to_mmff
    return row | {
        "size_tv": _text(found.atom_count_tv),
        "element_tv": _text(found.element_tv),
        "length_w1": _text(distance.lengths),
        "angle_w1": _text(distance.angles),
        "torsion_w1": _text(distance.torsions),
        "rmsd_to_mmff": _text(relaxed.mean if relaxed else None),
        "n_relaxed": str(relaxed.n) if relaxed else "",
    }


def _rate(name: str, rate: Rate) -> dict[str, str]:
    low, high = rate.interval
    return {name: _text(rate.value), f"{name}_low": _text(low), f"{name}_high": _text(high)}


def _text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.5g}"


def new_bench(generator: Generator, folder: Path, *, relax: bool) -> Bench:
    """Read the real molecules."""
    test = test_molecules(folder)
    return Bench(generator, test, shapes_of(test), relax)

"""Judge one set of molecules: every count with its n, every distance, one flat row."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molgen.chem import valence
from molgen.chem.molecule import Molecule
from molgen.data.reference import load_reference
from molgen.metrics.distribution import total_variation
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.geometry import radii_of_gyration, ring_counts, ring_sizes, wasserstein
from molgen.metrics.evaluate import evaluate
from molgen.metrics.rate import Rate, rate_of, spread_of
from molgen.metrics.relax import Relaxation, relax_all
from molgen.metrics.shape import Shapes, shape_distance, shapes_of

TRAINING_SET = "qm9"

RATES = (
    "connected_valid",
    "connected_valid_raw",
    "bond_graph_stable",
    "bond_graph_stable_raw",
    "bond_graph_atom_stable_raw",
    "perceived_valid",
    "perceived_valid_raw",
    "graphs_agree",
    "edm_stable",
    "edm_stable_raw",
    "edm_atom_stable",
    "edm_valid",
    "edm_valid_unique",
    "unique",
    "novel",
)
"""Fractions, each with two columns: the count, and out of how many."""

DISTANCES = (
    *("size_tv", "element_tv", "ring_tv", "ring_count_tv"),
    *("length_w1", "angle_w1", "torsion_w1", "gyration_w1"),
)
RELAXED = ("rmsd", "heavy_rmsd", "strain")
"""Medians over the molecules that could be relaxed; the mean is in another column."""

NUMBERS = (
    *DISTANCES,
    *(f"{name}_{end}" for name in RELAXED for end in ("median", "mean")),
    "n_relaxed",
    "seconds_checks",
)

SCORE_COLUMNS = (*(f"{name}_{end}" for name in RATES for end in ("count", "n")), *NUMBERS)


@dataclass(frozen=True)
class Real:
    """Real molecules whose shapes are compared with.

    Attributes:
        shapes: Their bond lengths, angles and torsions.
        rings: Their number of rings by size.
        ring_counts: Their number by how many rings they have.
        gyration: Their radii of gyration, Å.
    """

    shapes: Shapes
    rings: Mapping[int, int]
    ring_counts: Mapping[int, int]
    gyration: NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """Molecules to judge, and what is known of how they were made.

    Attributes:
        molecules: Decoded, or real.
        raw: The same before decoding; None for real ones.
        facts: The other columns of the row.
        real: What their shapes are compared with.
        n_relax: How many of the first molecules are relaxed in the force field.
    """

    molecules: Sequence[Molecule]
    raw: Sequence[Molecule] | None
    facts: Mapping[str, str]
    real: Real
    n_relax: int


def real_of(molecules: Sequence[Molecule]) -> Real:
    """What is compared of a set of real molecules."""
    return Real(
        shapes_of(molecules),
        ring_sizes(molecules),
        ring_counts(molecules),
        radii_of_gyration(molecules),
    )


def judge(made: Made, n_workers: int) -> dict[str, str]:
    """The row of one set of molecules.

    Args:
        made: The molecules.
        n_workers: Processes for the checks that may hang.
    """
    began = time.perf_counter()
    found = evaluate(
        made.molecules,
        load_reference(TRAINING_SET),
        raw=made.raw,
        relax=False,
        n_workers=n_workers,
    )
    row = _rates(found, made.raw) | _distances(found, made)
    row |= _relaxed(relax_all(made.molecules[: made.n_relax], n_workers))
    row["seconds_checks"] = text(time.perf_counter() - began)
    return dict(made.facts) | row


def _rates(found: Evaluation, raw: Sequence[Molecule] | None) -> dict[str, str]:
    rates: dict[str, Rate | None] = {name: getattr(found, name, None) for name in RATES}
    if raw is not None:
        atoms = (atom for molecule in raw for atom in valence.stable_atoms(molecule))
        rates["bond_graph_atom_stable_raw"] = rate_of(atoms)
    row: dict[str, str] = {}
    for name, rate in rates.items():
        row[f"{name}_count"] = "" if rate is None else str(rate.count)
        row[f"{name}_n"] = "" if rate is None else str(rate.n)
    return row


def distances_of(molecules: Sequence[Molecule], real: Real) -> dict[str, float | None]:
    """How far shapes and rings are from those of real molecules; None for what there is none of."""
    shape = shape_distance(shapes_of(molecules), real.shapes)
    return {
        "ring_tv": total_variation(ring_sizes(molecules), real.rings),
        "ring_count_tv": total_variation(ring_counts(molecules), real.ring_counts),
        "length_w1": shape.lengths,
        "angle_w1": shape.angles,
        "torsion_w1": shape.torsions,
        "gyration_w1": wasserstein(radii_of_gyration(molecules), real.gyration),
    }


def _distances(found: Evaluation, made: Made) -> dict[str, str]:
    contents = {"size_tv": found.atom_count_tv, "element_tv": found.element_tv}
    distances = contents | distances_of(made.molecules, made.real)
    return {name: text(distances[name]) for name in DISTANCES}


def _relaxed(records: Sequence[Relaxation]) -> dict[str, str]:
    spreads = {
        "rmsd": spread_of(record.rmsd for record in records),
        "heavy_rmsd": spread_of(record.heavy_rmsd for record in records),
        "strain": spread_of(record.energy_drop for record in records),
    }
    row = {f"{name}_median": text(spread.median) for name, spread in spreads.items()}
    row |= {f"{name}_mean": text(spread.mean) for name, spread in spreads.items()}
    return row | {"n_relaxed": str(spreads["rmsd"].n)}


def text(value: float | None) -> str:
    """A number as it stands in the file; empty for one that there is not."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"

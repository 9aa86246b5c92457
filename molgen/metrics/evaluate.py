"""All checks of one set of molecules, every rate over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem import valence
from molgen.chem.checks.check import Value
from molgen.chem.molecule import Molecule
from molgen.cores import available_cores
from molgen.data.reference import Reference
from molgen.metrics import edm
from molgen.metrics.agreement import check_graph, graphs_agree
from molgen.metrics.distribution import (
    atom_counts,
    element_counts,
    total_variation,
)
from molgen.metrics.diversity import diversity
from molgen.metrics.edm_graph import edm_smiles
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.geometry import radii_of_gyration, ring_sizes
from molgen.metrics.inspection import Inspection, Progress, inspect
from molgen.metrics.perception import Criterion, Perception, perceive_all
from molgen.metrics.rate import Rate, rate_of, spread_of
from molgen.metrics.relax import Relaxation
from molgen.metrics.xtb import XtbRelaxation, xtb_scores

MEDIANS: Final = ("weight", "logp", "qed", "sa_score")
"""Measured columns whose medians are scores."""


def evaluate(
    molecules: Sequence[Molecule],
    reference: Reference | None = None,
    *,
    raw: Sequence[Molecule] | None = None,
    has_bonds: bool = True,
    criterion: Criterion | None = None,
    relax: bool = True,
    xtb: int | None = None,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a set of molecules.

    Args:
        molecules: n molecules; one without atoms stands for a record that could not be read and
            fails every check.
        reference: What to compare sizes, elements and novelty with.
        raw: The same n molecules before decoding, for the scores that end in ``_raw``.
        has_bonds: False when the molecules are geometries only, as from XYZ; scores of bond
            graphs are then None, and relaxing uses the perceived bonds.
        criterion: The charge of molecules and how bonds are perceived; None for each molecule's
            own charges.
        relax: Whether to relax geometries in the force field, the slowest check unless `xtb` is.
        xtb: How many molecules, the first, to relax in GFN2-xTB too; None for none. Needs the
            extra ``molgen[xtb]``.
        n_workers: Processes for the checks that need a time limit; None for one per core.
        progress: Called as the slow checks advance.

    Returns:
        The scores.

    Raises:
        ValueError: `raw` has another length than `molecules`.
        UsageError: `xtb` is below 1, or tblite is missing.
    """
    if raw is not None and len(raw) != len(molecules):
        raise ValueError(f"{len(raw)} raw molecules for {len(molecules)} molecules")
    found = inspect(
        molecules,
        has_bonds=has_bonds,
        criterion=criterion,
        relax=relax,
        xtb=xtb,
        n_workers=n_workers,
        progress=progress,
    )
    return score(found, reference, raw=raw, criterion=criterion, n_workers=n_workers)


def score(
    found: Inspection,
    reference: Reference | None = None,
    *,
    raw: Sequence[Molecule] | None = None,
    criterion: Criterion | None = None,
    n_workers: int | None = None,
) -> Evaluation:
    """Count what the checks found; see `evaluate`."""
    molecules, graphs, perceived = found.molecules, found.graphs, found.perceived
    total_charge = None if criterion is None else criterion.total_charge
    perceive = partial(perceive_all, n_workers=n_workers or available_cores(), criterion=criterion)
    return Evaluation(
        n=len(molecules),
        **_graph_scores(molecules, graphs, perceived),
        **_raw_scores(molecules, raw, perceived, perceive, total_charge),
        **_distance_scores(molecules),
        **_relaxation_scores(found.relaxed),
        **xtb_scores(found.in_xtb),
        **_set_scores(molecules, found.valid, reference),
        **_extent(molecules, has_bonds=graphs is not None),
        **_measured_scores(found.values),
        perceived_valid=rate_of(perception.is_valid for perception in perceived),
        invalid_reasons=_reasons(graphs or []),
        perception_reasons=_reasons(perceived),
        relax_reasons=_reasons(found.relaxed or []),
        xtb_reasons=_reasons(found.in_xtb or []),
    )


def _graph_scores(
    molecules: Sequence[Molecule],
    graphs: Sequence[Perception] | None,
    perceived: Sequence[Perception],
) -> dict[str, Any]:
    names = ("connected_valid", "bond_graph_atom_stable", "bond_graph_stable", "graphs_agree")
    scores: dict[str, Any] = dict.fromkeys(names)
    if graphs is not None:
        stable = [valence.stable_atoms(molecule) for molecule in molecules]
        pairs = zip(graphs, perceived, strict=True)
        scores = {
            "connected_valid": rate_of(graph.is_valid for graph in graphs),
            "bond_graph_atom_stable": rate_of(atom for atoms in stable for atom in atoms),
            "bond_graph_stable": rate_of(_all_of(atoms) for atoms in stable),
            "graphs_agree": rate_of(graphs_agree(graph, seen) for graph, seen in pairs),
        }
    return scores


def _raw_scores(
    molecules: Sequence[Molecule],
    raw: Sequence[Molecule] | None,
    perceived: Sequence[Perception],
    perceive: Callable[[list[Molecule]], list[Perception]],
    total_charge: int | None,
) -> dict[str, Any]:
    """Scores before decoding; what it left alone is not looked at again.

    Decoding itself changes no position, relaxing after it does.
    """
    if raw is None:
        names = ("connected_valid", "bond_graph_stable", "perceived_valid", "edm_stable")
        return dict.fromkeys(f"{name}_raw" for name in names)
    changed = [
        not np.array_equal(one.atomic_numbers, other.atomic_numbers)
        or not np.array_equal(one.pos, other.pos)
        for one, other in zip(molecules, raw, strict=True)
    ]
    again = iter(perceive([one for one, new in zip(raw, changed, strict=True) if new]))
    seen = [next(again) if new else old for old, new in zip(perceived, changed, strict=True)]
    stable = [edm.stable_atoms(molecule.atomic_numbers, molecule.pos) for molecule in raw]
    return {
        "connected_valid_raw": rate_of(check_graph(one, total_charge).is_valid for one in raw),
        "bond_graph_stable_raw": rate_of(valence.is_stable(molecule) for molecule in raw),
        "perceived_valid_raw": rate_of(perception.is_valid for perception in seen),
        "edm_stable_raw": rate_of(_all_of(atoms) for atoms in stable),
    }


def _distance_scores(molecules: Sequence[Molecule]) -> dict[str, Any]:
    stable = [edm.stable_atoms(molecule.atomic_numbers, molecule.pos) for molecule in molecules]
    smiles = [edm_smiles(molecule) for molecule in molecules]
    return {
        "edm_atom_stable": rate_of(atom for atoms in stable for atom in atoms),
        "edm_stable": rate_of(_all_of(atoms) for atoms in stable),
        "edm_valid": rate_of(text is not None for text in smiles),
        "edm_valid_unique": Rate(len({text for text in smiles if text}), len(smiles)),
    }


def _relaxation_scores(relaxed: Sequence[Relaxation] | None) -> dict[str, Any]:
    if relaxed is None:
        return dict.fromkeys(("rmsd_to_mmff", "heavy_rmsd_to_mmff", "mmff_energy_drop"))
    return {
        "rmsd_to_mmff": spread_of(record.rmsd for record in relaxed),
        "heavy_rmsd_to_mmff": spread_of(record.heavy_rmsd for record in relaxed),
        "mmff_energy_drop": spread_of(record.energy_drop for record in relaxed),
    }


def _set_scores(
    molecules: Sequence[Molecule], valid: Sequence[str], reference: Reference | None
) -> dict[str, Any]:
    distinct = set(valid)
    scores: dict[str, Any] = {
        "unique": Rate(len(distinct), len(valid)),
        "diversity": diversity(sorted(distinct)),
    }
    if reference is None:
        return scores | dict.fromkeys(("novel", "atom_count_tv", "element_tv"))
    return scores | {
        "novel": rate_of(not reference.knows(smiles) for smiles in distinct),
        "atom_count_tv": total_variation(atom_counts(molecules), reference.atom_counts),
        "element_tv": total_variation(element_counts(molecules), reference.element_counts),
    }


def _extent(molecules: Sequence[Molecule], *, has_bonds: bool) -> dict[str, Any]:
    """How many rings molecules have, and how far they reach; records without atoms are left out."""
    scores: dict[str, Any] = dict.fromkeys(("rings", "triangles", "gyration"))
    present = [molecule for molecule in molecules if molecule.n_atoms]
    if not present:
        return scores
    if has_bonds:
        sizes = ring_sizes(present)
        scores["rings"] = sum(sizes.values()) / len(present)
        scores["triangles"] = sizes.get(3, 0) / len(present)
    radii = radii_of_gyration(present)
    radii = radii[np.isfinite(radii)]
    scores["gyration"] = float(radii.mean()) if len(radii) else None
    return scores


def _measured_scores(values: Sequence[Mapping[str, Value]]) -> dict[str, Any]:
    scores: dict[str, Any] = dict.fromkeys((*MEDIANS, "alert_free"))
    columns = {name for row in values for name in row}
    for name in columns.intersection(MEDIANS):
        numbers = (row[name] for row in values)
        scores[name] = spread_of(one if isinstance(one, float) else None for one in numbers)
    if "alerts" in columns:
        scores["alert_free"] = rate_of(row["alerts"] == 0 for row in values)
    return scores


def _reasons(
    checks: Iterable[Perception | Relaxation | XtbRelaxation],
) -> dict[str, int]:
    kinds = Counter(check.reason.partition(":")[0] for check in checks if check.reason)
    return dict(kinds.most_common())


def _all_of(atoms: NDArray[np.bool_]) -> bool:
    return len(atoms) > 0 and bool(atoms.all())

"""Conformer generators on the same molecules and counts, against reference ensembles."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from molgen.chem import gfn2
from molgen.chem.conformers.energy import force_field_of
from molgen.chem.conformers.query import Query, query, stereo_is_right
from molgen.chem.force_field import relax_conformers, superpose
from molgen.metrics.conformer_references import Reference
from molgen.metrics.conformers import ConformerScores, heavy_rmsd, scores_of, summary
from molgen.metrics.posebusters import failed_checks
from molgen.metrics.torsions import torsion_divergence

Maker = Callable[[str, int], Chem.Mol | None]
"""Conformers of a SMILES, as many as asked for; None where it fails."""

STRAINED: Final = 3
"""Conformers of each molecule whose strain is measured and that PoseBusters checks."""

DIVERSE: Final = 10
"""Conformers of each molecule that are compared with each other."""

RESAMPLES: Final = 2_000
"""Draws of the bootstrap."""


@dataclass(frozen=True)
class Judges:
    """What else is measured.

    Attributes:
        gfn2: Conformers of each molecule that GFN2-xTB relaxes; seconds each.
        posebusters: Whether PoseBusters' fast checks run.
    """

    gfn2: int = 0
    posebusters: bool = False


@dataclass(frozen=True)
class Trial:
    """What a generator made of one molecule.

    Attributes:
        scores: Against the references; None where it failed.
        n: Conformers that it made.
        seconds: CPU seconds that it took.
        right: Whether all labelled stereo is right, ``[n]``.
        strain: kcal/mol above the minimum of MMFF94s next to it, of the first conformers; UFF
            where MMFF94s has no parameters.
        torsion: Divergence of its torsions from the references', see `torsion_divergence`.
        diversity: Mean RMSD between two of the first conformers, Å; NaN for one alone.
        gfn2: kcal/mol above the minimum of GFN2-xTB next to it, and RMSD to that over heavy atoms,
            Å, ``[n, 2]``; those that did not converge are left out.
        passed: Whether all fast checks of PoseBusters pass.
    """

    scores: ConformerScores | None = None
    n: int = 0
    seconds: float = 0.0
    right: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    strain: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    torsion: float = float("nan")
    diversity: float = float("nan")
    gfn2: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    passed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))


def etkdg(smiles: str, n: int) -> Chem.Mol | None:
    """Conformers of ETKDGv3."""
    with rdBase.BlockLogs():
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        settings: Any = rdDistGeom.ETKDGv3()
        settings.randomSeed = 1
        rdDistGeom.EmbedMultipleConfs(mol, n, settings)
    return mol if mol.GetNumConformers() else None


def etkdg_mmff(smiles: str, n: int) -> Chem.Mol | None:
    """Conformers of ETKDGv3, minimised by MMFF94s."""
    mol = etkdg(smiles, n)
    if mol is not None:
        relax_conformers(mol)
    return mol


def trial(
    make: Maker, reference: Reference, n: int | None = None, judges: Judges | None = None
) -> Trial:
    """Let a generator make conformers of a molecule, and measure them.

    Args:
        make: The generator.
        reference: The molecule.
        n: Conformers; None for twice as many as there are references.
        judges: What else is measured; None for nothing.
    """
    start = time.process_time()
    mol = make(reference.smiles, n or 2 * reference.mol.GetNumConformers())
    seconds = time.process_time() - start
    if mol is None or not mol.GetNumConformers():
        return Trial(seconds=seconds)
    rmsd = heavy_rmsd(reference.mol, mol)
    asked = judges or Judges()
    whole = Chem.AddHs(mol).GetNumAtoms() == mol.GetNumAtoms()
    first = _first(mol, STRAINED)
    return Trial(
        scores=None if rmsd is None else scores_of(rmsd),
        n=mol.GetNumConformers(),
        seconds=seconds,
        right=_right(reference.smiles, mol),
        strain=_strain(first) if whole else np.zeros(0),
        torsion=torsion_divergence(reference.mol, mol),
        diversity=_diversity(_first(mol, DIVERSE)),
        gfn2=_gfn2(_first(mol, asked.gfn2)) if whole and asked.gfn2 else np.zeros((0, 2)),
        passed=_passed(first) if whole and asked.posebusters else np.zeros(0, np.bool_),
    )


def table_row(trials: Sequence[Trial]) -> dict[str, float]:
    """Scores of a generator over all molecules.

    Returns:
        What `summary` gives; ``torsion`` and ``diversity`` (means over molecules); ``stereo``
        (share of conformers with all labels right); ``posebusters`` (share that passes);
        ``strain``, ``gfn2`` and ``gfn2_rmsd`` (medians over conformers); ``ms`` (CPU milliseconds
        per conformer). NaN for what was not measured.
    """
    n = sum(one.n for one in trials)
    strain = np.concatenate([one.strain for one in trials])
    relaxed = np.concatenate([one.gfn2 for one in trials])
    return {
        **summary([one.scores for one in trials]),
        "torsion": _over(np.mean, np.array([one.torsion for one in trials])),
        "diversity": _over(np.mean, np.array([one.diversity for one in trials])),
        "stereo": float(np.concatenate([one.right for one in trials]).mean()) if n else 0.0,
        "posebusters": _over(np.mean, np.concatenate([one.passed for one in trials])),
        "strain": _over(np.median, strain),
        "gfn2": _over(np.median, relaxed[:, 0]),
        "gfn2_rmsd": _over(np.median, relaxed[:, 1]),
        "ms": 1000 * sum(one.seconds for one in trials) / max(1, n),
    }


def benchmark(
    makers: Mapping[str, Maker], chosen: Sequence[Reference]
) -> dict[str, dict[str, float]]:
    """The row of every generator, by name."""
    return {name: table_row([trial(make, one) for one in chosen]) for name, make in makers.items()}


def paired_interval(
    one: Sequence[Trial], other: Sequence[Trial], score: str, *, seed: int = 0
) -> tuple[float, float, float]:
    """How far one generator is ahead of another, with a 95 % interval by bootstrap over molecules.

    Args:
        one: Trials of one generator.
        other: Trials of the other, on the same molecules.
        score: A key of `summary`, such as ``amr_r``.
        seed: Of the resampling.

    Returns:
        Mean difference, lower and upper end; molecules without a value in either are left out.
    """
    values = np.array(
        [
            [summary([trial.scores])[score] for trial in pair]
            for pair in zip(one, other, strict=True)
        ]
    )
    difference = values[:, 0] - values[:, 1]
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.percentile(difference[drawn].mean(axis=1), [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def _over(mean: Callable[..., Any], values: NDArray[Any]) -> float:
    """A mean of the values that are numbers; NaN without any."""
    values = values[np.isfinite(values)]
    return float(mean(values)) if len(values) else float("nan")


def _first(mol: Chem.Mol, n: int) -> Chem.Mol:
    """The first conformers of a molecule."""
    first = Chem.Mol(mol)
    for conformer in list(mol.GetConformers())[n:]:
        first.RemoveConformer(conformer.GetId())
    return first


def _strain(mol: Chem.Mol) -> NDArray[np.float64]:
    judge = force_field_of(mol)
    if judge is None:
        return np.zeros(0)
    strain = judge.energy(mol) - judge.relaxed(mol).energy
    return strain[np.isfinite(strain)]


def _gfn2(mol: Chem.Mol) -> NDArray[np.float64]:
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    heavy = np.flatnonzero(numbers > 1).tolist()
    found = []
    for conformer in mol.GetConformers():
        there = gfn2.minimum(numbers, conformer.GetPositions(), Chem.GetFormalCharge(mol))
        if isinstance(there, gfn2.Minimum):
            bare = Chem.Mol(mol, confId=conformer.GetId())
            moved = Chem.Mol(bare)
            moved.GetConformer().SetPositions(there.pos)
            found.append((there.drop, superpose(moved, bare, heavy)))
    return np.array(found).reshape(-1, 2)


def _passed(mol: Chem.Mol) -> NDArray[np.bool_]:
    every = (Chem.Mol(mol, confId=one.GetId()) for one in mol.GetConformers())
    return np.array([not failed_checks(one, "fast") for one in every], np.bool_)


def _diversity(mol: Chem.Mol) -> float:
    rmsd = heavy_rmsd(mol, mol)
    if rmsd is None or len(rmsd) < 2:
        return float("nan")
    return float(rmsd[np.triu_indices(len(rmsd), 1)].mean())


def _right(smiles: str, mol: Chem.Mol) -> NDArray[np.bool_]:
    asked = query(smiles)
    pos = np.stack([one.GetPositions() for one in mol.GetConformers()])
    if not isinstance(asked, Query):
        return np.zeros(len(pos), np.bool_)
    return stereo_is_right(asked.graph, pos[:, asked.graph.index])

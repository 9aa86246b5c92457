"""Conformer generators on the same molecules and counts, against reference ensembles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.energy import force_field_of
from molgen.chem.conformers.ensemble import Ensemble
from molgen.chem.conformers.placing import conformer_at
from molgen.chem.conformers.query import Query, query, stereo_is_right
from molgen.chem.force_field import relax_conformers
from molgen.data.ensembles import read_ensembles
from molgen.data.prepare_conformers import is_held_out
from molgen.metrics.conformers import ConformerScores, heavy_rmsd, scores_of, summary

Maker = Callable[[str, int], Chem.Mol | None]
"""Conformers of a SMILES, as many as asked for; None where it fails."""

STRAINED: Final = 3
"""Conformers of each molecule whose strain is measured."""

RESAMPLES: Final = 2_000
"""Draws of the bootstrap."""


@dataclass(frozen=True)
class Reference:
    """Conformers to be found.

    Attributes:
        smiles: The molecule.
        mol: With its reference conformers, those of lowest energy.
    """

    smiles: str
    mol: Chem.Mol


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
    """

    scores: ConformerScores | None
    n: int
    seconds: float
    right: NDArray[np.bool_]
    strain: NDArray[np.float64]


def references(
    folder: Path, n: int, *, most: int = 20, held_out: bool = True
) -> Iterator[Reference]:
    """Molecules of a folder of ensembles.

    Args:
        folder: Of ensembles.
        n: Molecules at most.
        most: Conformers of each at most, those of lowest energy.
        held_out: Only molecules that training leaves out.
    """
    for _, one in read_ensembles(folder):
        if n <= 0:
            return
        if not isinstance(one, Ensemble):
            continue
        mol = Chem.AddHs(Chem.MolFromSmiles(one.smiles))
        if held_out and not is_held_out(mol):
            continue
        for pos in one.pos[:most]:
            mol.AddConformer(conformer_at(pos), assignId=True)
        n -= 1
        yield Reference(one.smiles, mol)


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


def trial(make: Maker, reference: Reference) -> Trial:
    """Let a generator make twice as many conformers as there are references."""
    start = time.process_time()
    mol = make(reference.smiles, 2 * reference.mol.GetNumConformers())
    seconds = time.process_time() - start
    if mol is None or not mol.GetNumConformers():
        return Trial(None, 0, seconds, np.zeros(0, np.bool_), np.zeros(0))
    rmsd = heavy_rmsd(reference.mol, mol)
    return Trial(
        None if rmsd is None else scores_of(rmsd),
        mol.GetNumConformers(),
        seconds,
        _right(reference.smiles, mol),
        _strain(mol),
    )


def table_row(trials: Sequence[Trial]) -> dict[str, float]:
    """Scores of a generator over all molecules.

    Returns:
        What `summary` gives, ``stereo`` (share of conformers with all labels right), ``strain``
        (median, kcal/mol) and ``ms`` (CPU milliseconds per conformer).
    """
    right = np.concatenate([one.right for one in trials])
    strain = np.concatenate([one.strain for one in trials])
    n = sum(one.n for one in trials)
    return {
        **summary([one.scores for one in trials]),
        "stereo": float(right.mean()) if n else 0.0,
        "strain": float(np.median(strain)) if len(strain) else float("nan"),
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


def _strain(mol: Chem.Mol) -> NDArray[np.float64]:
    """Energies above the next minimum, of molecules with hydrogens only."""
    if Chem.AddHs(mol).GetNumAtoms() != mol.GetNumAtoms():
        return np.zeros(0)
    first = Chem.Mol(mol)
    for conformer in list(mol.GetConformers())[STRAINED:]:
        first.RemoveConformer(conformer.GetId())
    field = force_field_of(first)
    if field is None:
        return np.zeros(0)
    strain = field.energy(first) - field.relaxed(first).energy
    return strain[np.isfinite(strain)]


def _right(smiles: str, mol: Chem.Mol) -> NDArray[np.bool_]:
    asked = query(smiles)
    pos = np.stack([one.GetPositions() for one in mol.GetConformers()])
    if not isinstance(asked, Query):
        return np.zeros(len(pos), np.bool_)
    return stereo_is_right(asked.graph, pos[:, asked.graph.index])

"""How well conformers cover a reference ensemble, and how many of them lie in it.

Coverage (COV) and average minimum RMSD (AMR), recall and precision, over symmetric heavy-atom
RMSD (Ganea et al. 2021, arXiv 2106.07802). A molecule without conformers counts as uncovered in
COV and is counted apart in AMR, which has no value for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolAlign

MAX_MATCHES: Final = 2_000
"""Symmetric mappings that are tried per pair of conformers."""

THRESHOLDS: Final = (0.5, 0.75, 1.0, 1.25)
"""Å."""

TIME_LIMIT_S: Final = 60.0
"""Seconds for the pairs of one molecule."""


@dataclass(frozen=True)
class ConformerScores:
    """Scores of one molecule.

    Attributes:
        recall: Smallest RMSD of each reference to any conformer, Å, ``[R]``.
        precision: Smallest RMSD of each conformer to any reference, Å, ``[G]``.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def heavy_rmsd(
    references: Chem.Mol, made: Chem.Mol, time_limit_s: float = TIME_LIMIT_S
) -> NDArray[np.float64] | None:
    """Symmetric heavy-atom RMSD of every reference to every conformer, Å, ``[R, G]``.

    Args:
        references: Conformers of a molecule.
        made: Conformers of the same molecule.
        time_limit_s: Seconds after which it is given up.

    Returns:
        None where it was given up, or the molecules differ.
    """
    one, other = Chem.RemoveAllHs(references), Chem.RemoveAllHs(made)
    end = time.monotonic() + time_limit_s
    rows = []
    try:
        for reference in one.GetConformers():
            row = []
            for conformer in other.GetConformers():
                ids = (conformer.GetId(), reference.GetId())
                row.append(rdMolAlign.GetBestRMS(other, one, *ids, maxMatches=MAX_MATCHES))
                if time.monotonic() > end:
                    return None
            rows.append(row)
    except RuntimeError:  # no mapping between the molecules
        return None
    return np.array(rows, np.float64).reshape(len(rows), -1)


def scores_of(rmsd: NDArray[np.float64]) -> ConformerScores:
    """Scores from RMSD ``[R, G]``, both at least 1."""
    return ConformerScores(rmsd.min(axis=1), rmsd.min(axis=0))


def summary(
    scores: Sequence[ConformerScores | None], thresholds: Sequence[float] = THRESHOLDS
) -> Mapping[str, float]:
    """Means and medians over molecules.

    Args:
        scores: Of each molecule; None where there are no conformers.
        thresholds: Å.

    Returns:
        ``amr_r``, ``amr_p`` (means over molecules with conformers), ``amr_r_median``,
        ``amr_p_median``, ``cov_r@T``, ``cov_p@T`` (means over all), ``molecules``, ``failed``.
    """
    made = [one for one in scores if one is not None]
    found: dict[str, float] = {"molecules": len(scores), "failed": len(scores) - len(made)}
    for name in ("recall", "precision"):
        short = name[0]
        least = [getattr(one, name) for one in made]
        amr = [float(each.mean()) for each in least]
        found[f"amr_{short}"] = float(np.mean(amr)) if amr else float("nan")
        found[f"amr_{short}_median"] = float(np.median(amr)) if amr else float("nan")
        for threshold in thresholds:
            covered = sum(float((each < threshold).mean()) for each in least)
            found[f"cov_{short}@{threshold:g}"] = covered / max(1, len(scores))
    return found

"""The scores a training run can afford: numpy only, well under a millisecond per molecule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molgen.chem import valence
from molgen.chem.molecule import Molecule
from molgen.metrics import edm


def quick_score(molecules: Sequence[Molecule]) -> dict[str, float]:
    """Stability of bond graphs and of geometries, without a chemistry library.

    Args:
        molecules: n molecules; atoms are pooled over all of them.

    Returns:
        Fractions under the names of `molgen.metrics.evaluation.Evaluation`:
        ``bond_graph_atom_stable``, ``bond_graph_stable``, ``edm_atom_stable``, ``edm_stable``; all
        NaN when n = 0.

    Example:
        >>> import numpy as np
        >>> from molgen.chem.molecule import Molecule
        >>> hydrogen = Molecule(
        ...     atomic_numbers=np.array([1, 1], dtype=np.uint8),
        ...     pos=np.array([[0, 0, 0], [0, 0, 0.74]], dtype=np.float32),
        ...     formal_charge=np.zeros(2, dtype=np.int8),
        ...     bonds=np.array([[0, 1, 1]], dtype=np.int16),
        ... )
        >>> quick_score([hydrogen])["edm_stable"]
        1.0
    """
    graph = [valence.stable_atoms(molecule) for molecule in molecules]
    distance = [edm.stable_atoms(molecule.atomic_numbers, molecule.pos) for molecule in molecules]
    return {
        "bond_graph_atom_stable": _share_of_atoms(graph),
        "bond_graph_stable": _share_of_molecules(graph),
        "edm_atom_stable": _share_of_atoms(distance),
        "edm_stable": _share_of_molecules(distance),
    }


def _share_of_atoms(stable: Sequence[np.ndarray]) -> float:
    n_atoms = sum(len(atoms) for atoms in stable)
    return sum(int(atoms.sum()) for atoms in stable) / n_atoms if n_atoms else float("nan")


def _share_of_molecules(stable: Sequence[np.ndarray]) -> float:
    if not stable:
        return float("nan")
    return sum(len(atoms) > 0 and bool(atoms.all()) for atoms in stable) / len(stable)

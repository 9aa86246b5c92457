"""The name of a compound without stereo: what counts as "the same molecule" here."""

from __future__ import annotations

from typing import Any

from rdkit import Chem

# RDKit keeps a hydrogen that carries double-bond stereo ([H]N=C), which would tell a molecule
# whose stereo was perceived from its own twin without.
_STRIP: Any = Chem.RemoveHsParameters()
_STRIP.removeDefiningBondStereo = True


def constitution(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereo and without explicit hydrogens.

    Equal for two molecules exactly when connectivity, hydrogen counts, bond orders, aromaticity
    and formal charges are equal; uniqueness, novelty and the agreement of graphs compare it.

    Args:
        mol: A sanitised molecule.

    Returns:
        The SMILES.

    Example:
        >>> both = [Chem.MolFromSmiles(smiles) for smiles in ("C[C@H](F)O", "OC(F)C")]
        >>> [constitution(mol) for mol in both]
        ['CC(O)F', 'CC(O)F']
    """
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol, _STRIP), isomericSmiles=False))

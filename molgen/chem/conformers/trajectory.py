"""Conformers on the way to the minimum of MMFF94s next to them: what a refiner learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from molgen.chem.conformers.ensemble import Ensemble, NoEnsemble, embedded, unfit
from molgen.chem.force_field import FORCE_FIELD
from molgen.chem.smiles import read_smiles

BLOCK_END: Final = "M  END"
"""What tells an SDF record from a SMILES."""


@dataclass(frozen=True)
class TrajectoryOptions:
    """How a conformer is minimised.

    Attributes:
        iterations: Iterations of the minimiser before each geometry that is kept; after the last
            ones it has converged.
        max_heavy: Heavy atoms at most.
        seed: Seed of the embedding of a SMILES.
    """

    iterations: tuple[int, ...] = (12, 40, 2_000)
    max_heavy: int = 60
    seed: int = 0

    def conformers(self, text: str) -> Ensemble | NoEnsemble:
        """Geometries from a start to its minimum, in this order.

        Args:
            text: A SMILES, which starts from an ETKDGv3 embedding, or an SDF record, which starts
                from its own geometry.
        """
        with rdBase.BlockLogs():
            start = _from_record(text) if BLOCK_END in text else _from_smiles(text, self)
            return start if isinstance(start, NoEnsemble) else _minimised(start, self)


def _from_record(text: str) -> Chem.Mol | NoEnsemble:
    mol: Chem.Mol | None = Chem.MolFromMolBlock(text, removeHs=False)
    if mol is None or not mol.GetNumConformers() or not mol.GetConformer().Is3D():
        return NoEnsemble("not a record in 3D that RDKit can read")
    Chem.AssignStereochemistryFrom3D(mol)
    whole = Chem.AddHs(Chem.MolFromSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol))))
    match = mol.GetSubstructMatch(whole, useChirality=True)
    if len(match) != mol.GetNumAtoms():
        return NoEnsemble("its hydrogens or its stereo are not those of its SMILES")
    return Chem.RenumberAtoms(mol, list(match))


def _from_smiles(smiles: str, options: TrajectoryOptions) -> Chem.Mol | NoEnsemble:
    mol = read_smiles(smiles)
    if mol is None:
        return NoEnsemble("not a SMILES that RDKit can read")
    if reason := unfit(mol, options.max_heavy):
        return NoEnsemble(reason)
    whole = Chem.AddHs(mol)
    if not embedded(whole, 1, options.seed):
        return NoEnsemble("cannot be embedded")
    # Canonical SMILES give the order of the atoms, whatever the input's was.
    return _from_record(Chem.MolToMolBlock(whole, forceV3000=True))


def _minimised(mol: Chem.Mol, options: TrajectoryOptions) -> Ensemble | NoEnsemble:
    if reason := unfit(Chem.RemoveHs(mol), options.max_heavy):
        return NoEnsemble(reason)
    smiles = _smiles(mol)
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant=FORCE_FIELD)
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
    field.Initialize()
    conformer = mol.GetConformer()
    pos: list[NDArray[np.float64]] = [conformer.GetPositions()]
    energy = [field.CalcEnergy()]
    is_open = True
    for n_iterations in options.iterations:
        is_open = bool(field.Minimize(maxIts=n_iterations))
        pos.append(conformer.GetPositions())
        energy.append(field.CalcEnergy())
    if is_open or not np.isfinite(pos).all():
        return NoEnsemble("does not converge")
    Chem.AssignStereochemistryFrom3D(mol)
    if _smiles(mol) != smiles:
        return NoEnsemble("changes its stereo")
    above = np.array(energy) - energy[-1]
    return Ensemble(smiles, np.stack(pos).astype(np.float32), above.astype(np.float32), 1)


def _smiles(mol: Chem.Mol) -> str:
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))

"""Low-energy conformers of a molecule: many embeddings, their minima, what is distinct of these.

The search follows what is usual for drug-like molecules: ETKDGv3 embeddings (Wang et al. 2020),
minimised by MMFF94s (Halgren 1999), told apart by symmetric heavy-atom RMSD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolDescriptors

from molgen.chem.conformers.selection import distinct
from molgen.chem.force_field import FORCE_FIELD
from molgen.chem.smiles import read_smiles


@dataclass(frozen=True)
class SearchOptions:
    """How conformers are searched for.

    Attributes:
        starts: Embeddings of a rigid molecule.
        starts_per_torsion: Embeddings more for each rotatable bond.
        max_starts: Embeddings at most.
        max_iterations: Steps of the minimiser per embedding.
        rmsd: Conformers nearer than this are one, Å over heavy atoms.
        window: Conformers higher than this above the lowest are left out, kcal/mol.
        keep: Conformers that are kept, those of lowest energy.
        max_heavy: Heavy atoms at most.
        seed: Seed of the embeddings.
    """

    starts: int = 60
    starts_per_torsion: int = 10
    max_starts: int = 150
    max_iterations: int = 2_000
    rmsd: float = 0.3
    window: float = 8.0
    keep: int = 100
    max_heavy: int = 60
    seed: int = 0

    def n_starts(self, mol: Chem.Mol) -> int:
        """Embeddings for a molecule: the more, the more it can turn."""
        n_torsions = rdMolDescriptors.CalcNumRotatableBonds(mol)
        return min(self.max_starts, self.starts + self.starts_per_torsion * int(n_torsions))

    def conformers(self, text: str) -> Ensemble | NoEnsemble:
        """The ensemble of a SMILES; see `search`."""
        return search(text, self)


@dataclass(frozen=True)
class Ensemble:
    """Distinct conformers of one molecule, lowest energy first.

    Attributes:
        smiles: SMILES with all stereo of the conformers; ``AddHs(MolFromSmiles(smiles))`` gives
            bonds and the order of the atoms.
        pos: Å, ``[K, N, 3]`` float32.
        energy: kcal/mol above the lowest, ``[K]`` float32.
        n_starts: Embeddings that were minimised.
    """

    smiles: str
    pos: NDArray[np.float32]
    energy: NDArray[np.float32]
    n_starts: int


@dataclass(frozen=True)
class NoEnsemble:
    """A molecule without an ensemble.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def search(smiles: str, options: SearchOptions) -> Ensemble | NoEnsemble:
    """Search the conformers of a molecule; the same answer whenever and wherever it is asked.

    Stereo that the SMILES leaves open is settled by the first embedding, so that all conformers
    are of one stereoisomer.

    Args:
        smiles: One connected molecule.
        options: How to search.
    """
    with rdBase.BlockLogs():
        mol = read_smiles(smiles)
        if mol is None:
            return NoEnsemble("not a SMILES that RDKit can read")
        if reason := unfit(mol, options.max_heavy):
            return NoEnsemble(reason)
        whole = with_all_stereo(mol, options.seed)
        if whole is None:
            return NoEnsemble("cannot be embedded")
        return _searched(whole, options)


def with_all_stereo(mol: Chem.Mol, seed: int) -> Chem.Mol | None:
    """The molecule with hydrogens, stereo that was left open settled by one embedding.

    Args:
        mol: Without conformers.
        seed: Of the embedding.

    Returns:
        Atoms in the order of ``AddHs(MolFromSmiles(smiles))``, ``smiles`` being its own canonical
        SMILES; None where the molecule cannot be embedded.
    """
    probe = Chem.AddHs(mol)
    if not embedded(probe, 1, seed):
        return None
    Chem.AssignStereochemistryFrom3D(probe)
    smiles = Chem.MolToSmiles(Chem.RemoveHs(probe))
    again = read_smiles(smiles)
    return None if again is None else Chem.AddHs(again)


def unfit(mol: Chem.Mol, max_heavy: int) -> str:
    """Why no conformers of a molecule are minimised, or nothing.

    Args:
        mol: Without hydrogens.
        max_heavy: Heavy atoms at most.
    """
    if len(Chem.GetMolFrags(mol)) > 1:
        return "more than one fragment"
    if mol.GetNumHeavyAtoms() < 1 or mol.GetNumHeavyAtoms() > max_heavy:
        return f"{mol.GetNumHeavyAtoms()} heavy atoms"
    if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return "a radical"
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(Chem.AddHs(mol)):
        return f"no parameters of {FORCE_FIELD}"
    return ""


def embedded(mol: Chem.Mol, n: int, seed: int, limit_s: int = 0) -> bool:
    """Give a molecule ETKDGv3 conformers, in place of those it has; False where it has none.

    Args:
        mol: With hydrogens.
        n: Embeddings.
        seed: Of the random numbers.
        limit_s: Seconds for all; 0 for no limit.
    """
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed = seed + 1  # 0 and -1 would mean none
    settings.timeout = limit_s
    settings.clearConfs = True
    rdDistGeom.EmbedMultipleConfs(mol, n, settings)
    if not mol.GetNumConformers():
        settings.useRandomCoords = True
        rdDistGeom.EmbedMultipleConfs(mol, n, settings)
    return bool(mol.GetNumConformers())


def _searched(mol: Chem.Mol, options: SearchOptions) -> Ensemble | NoEnsemble:
    smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
    n_starts = options.n_starts(mol)
    if not embedded(mol, n_starts, options.seed):
        return NoEnsemble("cannot be embedded")
    results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
        mol, maxIters=options.max_iterations, mmffVariant=FORCE_FIELD
    )
    order = _lowest(mol, results, smiles, options)
    if not order:
        return NoEnsemble("no minimum keeps the stereo")
    energies = np.array([results[place][1] for place in range(len(results))])
    chosen = distinct(mol, order, options.rmsd, options.keep)
    ids = [conformer.GetId() for conformer in mol.GetConformers()]
    pos = np.stack([mol.GetConformer(ids[place]).GetPositions() for place in chosen])
    energy = energies[chosen] - energies[chosen[0]]
    return Ensemble(smiles, pos.astype(np.float32), energy.astype(np.float32), n_starts)


def _lowest(
    mol: Chem.Mol, results: list[tuple[int, float]], smiles: str, options: SearchOptions
) -> list[int]:
    """Places of the converged conformers within the window, lowest first, of the right stereo."""
    energies = np.array([energy for _, energy in results])
    converged = [place for place, (failed, _) in enumerate(results) if failed == 0]
    converged = [place for place in converged if np.isfinite(energies[place])]
    ids = [conformer.GetId() for conformer in mol.GetConformers()]
    order = sorted(converged, key=lambda place: (energies[place], place))
    right = [place for place in order if _smiles_in_3d(mol, ids[place]) == smiles]
    return [p for p in right if energies[p] <= energies[right[0]] + options.window]


def _smiles_in_3d(mol: Chem.Mol, conformer: int) -> str:
    one = Chem.Mol(mol, confId=conformer)
    Chem.AssignStereochemistryFrom3D(one)
    return str(Chem.MolToSmiles(Chem.RemoveHs(one)))

"""Conformers of one file against reference ensembles of another: coverage and average RMSD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rdkit import Chem, rdBase

from molgen.chem.mol import build_mol, smiles_of
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.metrics.conformers import ConformerScores, heavy_rmsd, scores_of, summary

TIME_LIMIT_S: Final = 120.0

Pair = tuple[bytes, bytes]
"""References and conformers of a molecule, packed."""


def ensemble_scores(
    molecules: Sequence[Molecule], references: Sequence[Molecule], n_workers: int
) -> dict[str, Any] | None:
    """Scores of the compounds of the references (`molgen.metrics.conformers.summary`).

    Args:
        molecules: Geometries, those of one compound anywhere among them.
        references: Geometries likewise; compounds are told apart by stereo, too.
        n_workers: Processes.

    Returns:
        None where no compound has several geometries on either side.
    """
    mine, theirs = _by_compound(molecules), _by_compound(references)
    several = any(mol.GetNumConformers() > 1 for mol in (*mine.values(), *theirs.values()))
    if not several or not mine.keys() & theirs.keys():
        return None
    pairs = [(theirs[name].ToBinary(), mine[name].ToBinary()) for name in theirs if name in mine]
    answers = run_with_limit(_scored, pairs, TIME_LIMIT_S, n_workers)
    scores = [None if isinstance(one, Unfinished) else one for one in answers]
    missing = [None] * (len(theirs) - len(scores))
    return dict(summary([*scores, *missing]))


def _scored(pair: Pair) -> ConformerScores | None:
    references, made = (Chem.Mol(one) for one in pair)  # type: ignore[call-overload]
    rmsd = heavy_rmsd(references, made)
    return None if rmsd is None else scores_of(rmsd)


def _by_compound(molecules: Sequence[Molecule]) -> dict[str, Chem.Mol]:
    """A molecule with all its conformers, by SMILES with stereo; invalid ones are left out."""
    found: dict[str, Chem.Mol] = {}
    for molecule in molecules:
        with rdBase.BlockLogs():
            built = build_mol(molecule)
        if built.reason or not molecule.n_atoms:
            continue
        name = smiles_of(built.mol)
        if name not in found:
            found[name] = built.mol
            continue
        # The order of atoms may differ from record to record.
        order = built.mol.GetSubstructMatch(found[name], useChirality=True)
        if len(order) == built.mol.GetNumAtoms():
            same = Chem.RenumberAtoms(built.mol, list(order))
            found[name].AddConformer(same.GetConformer(), assignId=True)
    return found

"""Protonation states at a pH, by Dimorphite-DL (Ropp et al. 2019), where a caller asks for them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rdkit import Chem, rdBase

from molgen.errors import ChemistryError, UsageError


def at_ph(mol: Chem.Mol, ph: float) -> Chem.Mol:
    """The most probable state of a molecule at a pH; heavy atoms stay where they are.

    Hydrogens of atoms whose state changes are placed anew by the usual lengths and angles.

    Args:
        mol: Sanitised, with all hydrogens and one conformer.
        ph: From 0 to 14.

    Returns:
        Another molecule, or the same where nothing changes.

    Raises:
        UsageError: Dimorphite-DL is missing, or the pH is out of range.
        ChemistryError: It has no answer for this molecule.
    """
    bare = Chem.RemoveAllHs(mol)
    return _with_state(mol, bare, *_state(bare, ph))


def graph_at_ph(mol: Chem.Mol, ph: float) -> Chem.Mol:
    """The same of a molecule whose geometry does not matter.

    Args:
        mol: Sanitised; hydrogens may be atoms or not.
        ph: From 0 to 14.

    Returns:
        Heavy atoms in their order, without conformers; hydrogens are atoms where some were.

    Raises:
        UsageError: As `at_ph`.
        ChemistryError: Likewise.
    """
    bare = Chem.RemoveAllHs(mol)
    state, places = _state(bare, ph)
    edited = Chem.RWMol(bare)
    edited.RemoveAllConformers()
    for atom in state.GetAtoms():
        own = edited.GetAtomWithIdx(places[atom.GetIdx()])
        own.SetFormalCharge(atom.GetFormalCharge())
        own.SetNoImplicit(True)
        own.SetNumExplicitHs(atom.GetTotalNumHs())
    Chem.SanitizeMol(edited)
    made: Chem.Mol = edited.GetMol()
    return Chem.AddHs(made) if mol.GetNumAtoms() > bare.GetNumAtoms() else made


def _state(bare: Chem.Mol, ph: float) -> tuple[Chem.Mol, tuple[int, ...]]:
    """The state of a molecule without hydrogens, and which of its atoms each of the state's is."""
    check_ph(ph)
    protonate: Any = import_module("dimorphite_dl").protonate_smiles
    try:
        with rdBase.BlockLogs():
            (smiles, *_) = protonate(
                Chem.MolToSmiles(bare), ph_min=ph, ph_max=ph, precision=0.0, max_variants=1
            )
            state: Chem.Mol | None = Chem.MolFromSmiles(smiles)
    except (ValueError, RuntimeError, KeyError, AssertionError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ChemistryError(f"Dimorphite-DL: {reason}", "Leave out --ph") from None
    places = () if state is None else bare.GetSubstructMatch(_skeleton(state), useChirality=True)
    if state is None or len(places) != bare.GetNumAtoms():
        raise ChemistryError("Dimorphite-DL changed the bonds", "Leave out --ph")
    return state, tuple(places)


def check_ph(ph: float) -> None:
    """Refuse what cannot be asked for.

    Raises:
        UsageError: Dimorphite-DL is missing, or the pH is out of range.
    """
    if not 0 <= ph <= 14:
        raise UsageError(f"pH {ph:g}", "Use a number from 0 to 14")
    if find_spec("dimorphite_dl") is None:
        raise UsageError("protonation needs Dimorphite-DL", 'Type: pip install "molgen[docking]"')


def _with_state(
    mol: Chem.Mol, bare: Chem.Mol, state: Chem.Mol, places: tuple[int, ...]
) -> Chem.Mol:
    """The molecule with charges and hydrogens of a state whose atoms stand at `places`."""
    wanted = {
        places[atom.GetIdx()]: (atom.GetFormalCharge(), atom.GetTotalNumHs())
        for atom in state.GetAtoms()
    }
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    if len(heavy) != bare.GetNumAtoms():
        raise ChemistryError("hydrogens that are no ordinary ones", "Leave out --ph")
    edited = Chem.RWMol(mol)
    surplus, changed = [], []
    for place, row in enumerate(heavy):
        atom = edited.GetAtomWithIdx(row)
        near = [one.GetIdx() for one in atom.GetNeighbors() if one.GetAtomicNum() == 1]
        charge, n_hydrogens = wanted[place]
        if (atom.GetFormalCharge(), len(near)) == (charge, n_hydrogens):
            continue
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(n_hydrogens)
        surplus += near
        changed.append(row)
    if not changed:
        return Chem.Mol(mol)
    gone = set(surplus)
    for row in sorted(gone, reverse=True):
        edited.RemoveAtom(row)
    changed = [row - sum(one < row for one in gone) for row in changed]
    Chem.SanitizeMol(edited)
    made = Chem.AddHs(edited.GetMol(), addCoords=True, onlyOnAtoms=changed)
    for name in mol.GetPropNames(includePrivate=True):
        made.SetProp(name, mol.GetProp(name))
    return made


def _skeleton(state: Chem.Mol) -> Chem.Mol:
    """Elements, bonds and stereo of a state, without its charges and hydrogens."""
    query = Chem.RWMol(state)
    for atom in query.GetAtoms():
        plain = Chem.MolFromSmarts(f"[#{atom.GetAtomicNum()}]").GetAtomWithIdx(0)
        query.ReplaceAtom(atom.GetIdx(), plain, updateLabel=False, preserveProps=True)
    for before, after in zip(state.GetAtoms(), query.GetAtoms(), strict=True):
        after.SetChiralTag(before.GetChiralTag())
    return query.GetMol()

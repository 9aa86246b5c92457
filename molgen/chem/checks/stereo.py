"""Whether a geometry has the stereo that its record asks for."""

from __future__ import annotations

from typing import Final

from rdkit import Chem

from molgen.chem.checks.check import Check, Tags, Value

ASKED: Final = ("molgen_input_smiles", "smiles", "SMILES")
"""Data fields that name a record's molecule, the first that is there counts."""


def stereo(mol: Chem.Mol, tags: Tags) -> dict[str, Value]:
    """Stereo centres and double bonds of the geometry beside those of the record's SMILES.

    What the SMILES leaves open, any geometry has.
    """
    seen = Chem.Mol(mol)
    Chem.AssignStereochemistryFrom3D(seen)
    bare = Chem.RemoveHs(seen)
    n = len(list(Chem.FindPotentialStereo(bare)))
    text = next((tags[name] for name in ASKED if tags.get(name)), "")
    wanted = Chem.MolFromSmiles(text) if text else None
    if wanted is None:
        return {"stereo_elements": n, "stereo_ok": None}
    return {
        "stereo_elements": n,
        "stereo_ok": bool(
            bare.GetNumAtoms() == wanted.GetNumAtoms()
            and bare.HasSubstructMatch(wanted, useChirality=True)
        ),
    }


STEREO: Final = Check(("stereo_elements", "stereo_ok"), stereo)

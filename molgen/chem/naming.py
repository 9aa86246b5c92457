"""SMILES whose stereo has been checked against the geometry by a second program."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from rdkit import Chem, rdBase
from rdkit.Chem import inchi

from molgen.chem.mol import smiles_of

LEFT_OUT: Final = "left out of smiles: RDKit and InChI differ"
"""What is said of a record whose stereo is not settled."""

_INCHI: Final[Any] = inchi  # without types
_CENTRES: Final = re.compile(r"/t([^/]*)")
_BONDS: Final = re.compile(r"/b([^/]*)")
_PARITY: Final = re.compile(r"([\d-]*\d)([+-])(?=,|$)")


class Name(NamedTuple):
    """The SMILES of a molecule.

    Attributes:
        smiles: Canonical, without explicit hydrogens; empty when the molecule cannot be sanitised.
        is_settled: False where stereo is left out, because InChI reads the geometry otherwise.
    """

    smiles: str
    is_settled: bool = True


def name_of(mol: Chem.Mol) -> Name:
    """SMILES with the stereo of the geometry, or without any where two programs differ on it.

    RDKit's perception misses some centres that depend on one another, and then names another
    stereoisomer. A centre that one program takes for stereo and the other does not, such as an
    inverting nitrogen, is no difference.

    Args:
        mol: With one conformer, sanitised, with stereo assigned from it.
    """
    smiles = smiles_of(mol)
    if "@" not in smiles and "/" not in smiles and "\\" not in smiles:
        return Name(smiles)
    with rdBase.BlockLogs():
        read = Chem.MolFromSmiles(smiles)
        if read is not None:
            in_3d = _parities(_INCHI.MolBlockToInchi(Chem.MolToMolBlock(mol)))
            named = _parities(_INCHI.MolToInchi(read))
            if all(in_3d.get(place, parity) == parity for place, parity in named.items()):
                return Name(smiles)
        flat = Chem.Mol(mol)
        Chem.RemoveStereochemistry(flat)
    return Name(smiles_of(flat), is_settled=False)


def _parities(text: str) -> dict[str, str]:
    """Absolute parity of each stereo centre and double bond that an InChI settles."""
    centres, bonds = _CENTRES.search(text), _BONDS.search(text)
    flip = "/m1" in text
    found = dict(_PARITY.findall(bonds[1] if bonds else ""))
    for place, sign in _PARITY.findall(centres[1] if centres else ""):
        found[place] = {"+": "-", "-": "+"}[sign] if flip else sign
    return found

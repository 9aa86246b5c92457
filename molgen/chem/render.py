"""One molecule as the text of one record: SDF, SMILES or XYZ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from rdkit import Chem, rdBase

from molgen.chem.elements import SYMBOLS
from molgen.chem.mol import smiles_of

TagValue = str | int | float | bool
"""A value that can be stored beside a molecule."""

Tags = Mapping[str, TagValue]
"""Values stored beside a molecule, by snake_case name."""

END_OF_RECORD: Final = "$$$$"
"""The line that ends an SDF record."""


@dataclass(frozen=True)
class Format:
    """A file format that molecules can be appended to, record after record.

    Attributes:
        name: For messages, such as ``SDF``.
        render: Text of one record from (mol, title, tags); ends with a newline.
        is_compressed: Whether the file is a series of gzip members.
    """

    name: str
    render: Callable[[Chem.Mol, str, Tags], str]
    is_compressed: bool = False


def render_sdf(mol: Chem.Mol, title: str, tags: Tags) -> str:
    """One SDF record: explicit hydrogens, bonds with orders, charges, tags.

    V2000, and V3000 beyond 999 atoms or bonds.

    Args:
        mol: With a conformer; an unsanitised molecule keeps its bonds as they are.
        title: One non-empty line.
        tags: Written after the molecule in the given order.

    Returns:
        The record with its closing ``$$$$`` line.

    Raises:
        ValueError: The title is empty.
    """
    if not title.strip():
        raise ValueError("an SDF record needs a title")
    _, rest = _mol_block(mol).split("\n", 1)
    data = "".join(f">  <{name}>\n{one_line(value)}\n\n" for name, value in tags.items())
    return f"{one_line(title)}\n{rest}{data}{END_OF_RECORD}\n"


def render_smiles(mol: Chem.Mol, title: str, tags: Tags) -> str:
    """One line: SMILES, tab, title, and after a second tab the reason if there is one.

    Args:
        mol: An invalid molecule is written as it is, with every hydrogen.
        title: One non-empty line.
        tags: Only ``molgen_reason`` is used.

    Returns:
        The line.
    """
    fields = [smiles_of(mol) or str(Chem.MolToSmiles(mol)) or "*", one_line(title)]
    reason = one_line(tags.get("molgen_reason", ""))
    return "\t".join([*fields, reason] if reason else fields) + "\n"


def render_xyz(mol: Chem.Mol, title: str, tags: Tags) -> str:
    """One XYZ frame: atom count, a comment with title and tags, elements and positions.

    Args:
        mol: With a conformer.
        title: First word of the comment.
        tags: Written as ``name="value"``.

    Returns:
        The frame; bonds and charges cannot be stored in this format.
    """
    pairs = [f'{name}="{one_line(value)}"' for name, value in tags.items()]
    pos = mol.GetConformer().GetPositions().reshape(-1, 3).tolist()
    symbols = [SYMBOLS[atom.GetAtomicNum()] for atom in mol.GetAtoms()]
    lines = [
        f"{symbol:<2s} {x:12.6f} {y:12.6f} {z:12.6f}"
        for symbol, (x, y, z) in zip(symbols, pos, strict=True)
    ]
    return "\n".join([str(len(lines)), " ".join([one_line(title), *pairs]), *lines]) + "\n"


def one_line(value: TagValue) -> str:
    """A tag value or a title as text without line breaks; booleans in lower case."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(text.split())


def _mol_block(mol: Chem.Mol) -> str:
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToMolBlock(mol))
        except Chem.KekulizeException:
            return str(Chem.MolToMolBlock(mol, kekulize=False))


FORMATS: Final[Mapping[str, Format]] = {
    ".sdf": Format("SDF", render_sdf),
    ".sdf.gz": Format("SDF", render_sdf, is_compressed=True),
    ".smi": Format("SMILES", render_smiles),
    ".xyz": Format("XYZ", render_xyz),
}
"""What can be written, by file suffix."""

"""One molecule as the text of one record: SDF, SMILES or XYZ."""

from __future__ import annotations

import re
import zlib
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

RUN: Final = "molgen_run"
"""Tag with the fingerprint of the run that a record is of."""

SEAL: Final = "molgen_check"
"""Tag with the CRC-32 of the record without it; written where there is a run to be resumed."""

_SEALS: Final = {
    ".sdf": re.compile(rf">  <{SEAL}>\n([0-9a-f]{{8}})\n\n"),
    ".xyz": re.compile(rf' {SEAL}="([0-9a-f]{{8}})"'),
}
_ENDS: Final = {".sdf": f"{END_OF_RECORD}\n", ".xyz": ""}


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
    _, rest = mol_block(mol).split("\n", 1)
    data = "".join(_field(name, value) for name, value in tags.items())
    text = f"{one_line(title)}\n{rest}{data}"
    seal = _field(SEAL, _digest(text)) if RUN in tags else ""
    return f"{text}{seal}{END_OF_RECORD}\n"


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
        tags: Written as ``name="value"`` of extended XYZ, which has no empty values.

    Returns:
        The frame; bonds and charges cannot be stored in this format.
    """
    pairs = [_pair(name, one_line(value)) for name, value in tags.items() if one_line(value)]
    pos = mol.GetConformer().GetPositions().reshape(-1, 3).tolist()
    symbols = [SYMBOLS[atom.GetAtomicNum()] for atom in mol.GetAtoms()]
    lines = [
        f"{symbol:<2s} {x:12.6f} {y:12.6f} {z:12.6f}"
        for symbol, (x, y, z) in zip(symbols, pos, strict=True)
    ]
    comment = " ".join([one_line(title), *pairs])
    atoms = "\n".join([*lines, ""])
    seal = " " + _pair(SEAL, _digest(f"{len(lines)}\n{comment}\n{atoms}")) if RUN in tags else ""
    return f"{len(lines)}\n{comment}{seal}\n{atoms}"


def is_sealed(suffix: str, text: str) -> bool:
    """Whether a record of a run is as it was written; true where the format has no seal.

    Args:
        suffix: ``.sdf``, ``.xyz`` or ``.smi``.
        text: The record.
    """
    if suffix not in _SEALS:
        return True
    parts = _SEALS[suffix].split(text)
    return len(parts) == 3 and parts[1] == _digest(parts[0] + parts[2].removesuffix(_ENDS[suffix]))


def _digest(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _field(name: str, value: TagValue) -> str:
    return f">  <{name}>\n{one_line(value)}\n\n"


def _pair(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def one_line(value: TagValue) -> str:
    """A tag value or a title as text without line breaks; booleans in lower case."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(text.split())


def mol_block(mol: Chem.Mol) -> str:
    """A molecule as a MOL block; aromatic bonds stay where no Kekulé structure fits."""
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToMolBlock(mol))
        except (Chem.MolSanitizeException, RuntimeError):  # aromatic where no bonds fit
            return str(Chem.MolToMolBlock(mol, kekulize=False))


FORMATS: Final[Mapping[str, Format]] = {
    ".sdf": Format("SDF", render_sdf),
    ".sdf.gz": Format("SDF", render_sdf, is_compressed=True),
    ".smi": Format("SMILES", render_smiles),
    ".xyz": Format("XYZ", render_xyz),
}
"""What can be written, by file suffix."""

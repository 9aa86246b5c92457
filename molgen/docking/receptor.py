"""A receptor as PDBQT: as it is given, or from a PDB file by Meeko."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from molgen.errors import DataError, UsageError
from molgen.regular_file import open_regular

SUFFIXES: Final = (".pdbqt", ".pdb")

LARGEST: Final = 200_000_000
"""Bytes."""

TIME_LIMIT_S: Final = 900.0

PREPARE: Final = "meeko.cli.mk_prepare_receptor"


def receptor_pdbqt(path: Path) -> str:
    """The PDBQT of a receptor.

    Meeko adds hydrogens that are missing. It knows amino acids, nucleotides, water and some ions,
    and says which residues it does not.

    Args:
        path: ``.pdbqt``, or ``.pdb`` of the protein alone.

    Raises:
        UsageError: Another suffix, or Meeko is missing.
        DataError: The file cannot be read, or Meeko does not know a residue.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} is no receptor", "Give a .pdbqt or a .pdb file")
    try:
        with open_regular(path) as file:
            text = file.read(LARGEST).decode(errors="replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {path} ({reason})", "Give a .pdbqt or a .pdb file") from None
    if path.suffix == ".pdbqt":
        if not any(line.startswith(("ATOM", "HETATM")) for line in text.splitlines()):
            raise DataError(f"{path} holds no atoms", "Give the PDBQT of a receptor")
        return text
    if find_spec("meeko") is None:
        raise UsageError("a .pdb receptor needs Meeko", 'Type: pip install "molgen[docking]"')
    return _prepared(path)


def _prepared(path: Path) -> str:
    try:
        return _meeko(path)
    except subprocess.TimeoutExpired:
        raise DataError(
            f"Meeko took more than {TIME_LIMIT_S:g} s for {path}", "Give the pocket alone"
        ) from None


def _meeko(path: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="molgen-") as folder:
        target = Path(folder, "receptor")
        command = [sys.executable, "-m", PREPARE, "--read_pdb", str(path.resolve())]
        done = subprocess.run(  # noqa: S603 - a program of ours, names of files
            [*command, "-o", str(target), "-p"],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIME_LIMIT_S,
        )
        made = target.with_suffix(".pdbqt")
        if done.returncode or not made.exists():
            raise DataError(
                f"Meeko cannot prepare {path} ({_reason(done.stdout + done.stderr)})",
                "Leave out what is no protein, or prepare it yourself and give the .pdbqt",
            )
        return made.read_text(encoding="utf-8")


def _reason(said: str) -> str:
    """The line of an error message that says most."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    telling = [one for one in lines if "rror" in one or "residue" in one or "atom" in one]
    return (telling or lines or ["no message"])[-1][:160]

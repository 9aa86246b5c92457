"""Conformers as SDF records with their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rdkit import Chem

from molgen.chem.conformers.results import ConformerResult
from molgen.chem.render import TagValue, render_sdf

OWN: Final = "molgen_"
"""Tags that begin so are ours; those of the input do not survive."""

DIGITS: Final = 4
"""Of energies and weights."""


def records_of(result: ConformerResult, name: str, facts: Mapping[str, TagValue]) -> Iterator[str]:
    """One record for every conformer, titled ``<name>_c<number>``.

    Args:
        result: Of one molecule.
        name: Without white space.
        facts: Tags that all records have.
    """
    if result.mol is None:
        return
    mol = result.mol
    smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
    kept = {key: mol.GetProp(key) for key in mol.GetPropNames() if not key.startswith(OWN)}
    for number, conformer in enumerate(mol.GetConformers(), start=1):
        one = Chem.Mol(mol, confId=conformer.GetId())
        tags = {
            **kept,
            "molgen_smiles": smiles,
            "molgen_conformer": number,
            **_tags(conformer, result.method),
            **facts,
        }
        yield render_sdf(one, f"{name}_c{number}", tags)


def _tags(conformer: Chem.Conformer, method: str) -> dict[str, TagValue]:
    tags: dict[str, TagValue] = {
        "molgen_stereo": conformer.GetProp("stereo"),
        "molgen_source": conformer.GetProp("source"),
    }
    if conformer.HasProp("core"):
        tags["molgen_core"] = conformer.GetProp("core")
    for name in ("energy", "relative_energy", "boltzmann_weight", "moved"):
        if conformer.HasProp(name):
            tags[f"{OWN}{name}"] = round(conformer.GetDoubleProp(name), DIGITS)
    return {**tags, "molgen_energy_method": method} if method else tags

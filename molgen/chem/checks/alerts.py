"""Groups that a chemist would not make: strained and unstable ones here, lists of RDKit's beside.

The list is for molecules made *de novo*: what valences allow and no flask holds. BRENK (Brenk et
al. 2008) and PAINS (Baell and Holloway 2010) are lists for screening, from RDKit's FilterCatalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Final

from rdkit import Chem
from rdkit.Chem import FilterCatalog, rdMolDescriptors

from molgen.chem.checks.check import Check, Tags, Value

SMALL: Final = "r3,r4,r5,r6,r7,r8"

SMARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "three-ring with O-O": "[O]1[O]*1",
        "three-ring with N-O": "[#7]1[#8]*1",
        "three-ring with N-N-N": "[#7]1~[#7]~[#7]~1",
        "three-ring C=C with a heteroatom": "C1=C[O,S,N]1",
        "three-ring of three sp2 carbons": "[#6]=[#6]1[#6]=[#6]1",
        "double bond at the fusion of a three-ring": "[#6;r3]=;@[#6;!r3]",
        "cyclobutadiene": "C1=CC=C1",
        "peroxide": "[OX2][OX2]",
        "chain of three N or O": "[NX3,OX2;!a]-[NX3,OX2;!a]-[NX3,OX2;!a]",
        "allene in a small ring": f"[C;{SMALL}]=@[C;{SMALL}]=@[C;{SMALL}]",
        "triple bond in a small ring": f"[C;{SMALL}]#@[C;{SMALL}]",
        "cumulated C=C=C=C": "[#6]=[#6]=[#6]=[#6]",
        "geminal O and N at sp3 carbon": "[CX4]([OX2H,NX3H2])[OX2H,NX3H2]",
        "N or O bonded to halogen": "[#7,#8;!+]-[F,Cl,Br,I]",
        "N or O beside N-O": "[NX3;!a;!$(N=*);!$(N-[C,S,P]=*)][OX2][NX3,OX2;!a]",
    }
)
"""Groups by name."""

BREDT: Final = "double bond at a bridgehead"

LARGEST_BREDT: Final = 7
"""Ring atoms up to which a double bond at a bridgehead is an alert (Fawcett 1950)."""


def alerts(mol: Chem.Mol, _tags: Tags) -> dict[str, Value]:
    """Strained and unstable groups: how many kinds, and which."""
    found = [name for name, query in _queries().items() if mol.HasSubstructMatch(query)]
    if _breaks_bredt(mol):
        found.append(BREDT)
    return {"alerts": len(found), "alert_names": ", ".join(found)}


def _breaks_bredt(mol: Chem.Mol) -> bool:
    heads: list[int] = []
    count: Any = rdMolDescriptors.CalcNumBridgeheadAtoms  # its stubs know no list
    count(mol, heads)
    rings = mol.GetRingInfo()
    return any(
        bond.GetBondType() == Chem.BondType.DOUBLE
        and not bond.GetIsAromatic()
        and 0 < rings.MinBondRingSize(bond.GetIdx()) <= LARGEST_BREDT
        for head in heads
        for bond in mol.GetAtomWithIdx(head).GetBonds()
    )


def catalogued(mol: Chem.Mol, _tags: Tags, name: str) -> dict[str, Value]:
    """Groups of one of RDKit's lists: how many, and which."""
    found = [one.GetDescription() for one in _catalogue(name).GetMatches(Chem.RemoveHs(mol))]
    return {name: len(found), f"{name}_names": ", ".join(found)}


@cache
def _queries() -> dict[str, Chem.Mol]:
    return {name: Chem.MolFromSmarts(text) for name, text in SMARTS.items()}


@cache
def _catalogue(name: str) -> FilterCatalog.FilterCatalog:
    kinds = FilterCatalog.FilterCatalogParams.FilterCatalogs
    return FilterCatalog.FilterCatalog(getattr(kinds, name.upper()))


ALERTS: Final = Check(("alerts", "alert_names"), alerts)
BRENK: Final = Check(("brenk", "brenk_names"), partial(catalogued, name="brenk"))
PAINS: Final = Check(("pains", "pains_names"), partial(catalogued, name="pains"))

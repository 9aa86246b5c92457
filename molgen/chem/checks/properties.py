"""Properties of drugs and of shapes, by RDKit."""

from __future__ import annotations

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import numpy as np
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Descriptors, rdMolDescriptors

from molgen.chem.checks.check import Check, Tags, Value


def properties(mol: Chem.Mol, _tags: Tags) -> dict[str, Value]:
    """Size, drug-likeness and ease of synthesis.

    ``qed`` is the quantitative estimate of drug-likeness (Bickerton et al. 2012), ``sa_score`` the
    synthetic accessibility from 1, easy, to 10 (Ertl and Schuffenhauer 2009), ``logp`` Crippen's.
    """
    bare = Chem.RemoveHs(mol)
    values = (
        bare.GetNumHeavyAtoms(),
        Descriptors.MolWt(bare),  # type: ignore[attr-defined]
        rdMolDescriptors.CalcCrippenDescriptors(bare)[0],
        rdMolDescriptors.CalcTPSA(bare),
        rdMolDescriptors.CalcNumRotatableBonds(bare),
        bare.GetRingInfo().NumRings(),
        QED.qed(bare),  # type: ignore[no-untyped-call]
        _sascorer().calculateScore(bare),
    )
    return {
        name: value if isinstance(value, int) else round(float(value), 3)
        for name, value in zip(PROPERTIES.columns, values, strict=True)
    }


def shape(mol: Chem.Mol, _tags: Tags) -> dict[str, Value]:
    """How a geometry extends: radius of gyration and thickness in Å, ratios of moments of inertia.

    ``npr1`` and ``npr2`` are (0, 1) for a rod, (.5, .5) for a disc, (1, 1) for a sphere (Sauer and
    Schwarz 2003). ``thickness`` is the extent along the shortest principal axis, 0 for flat.
    """
    pos = mol.GetConformer().GetPositions()
    pos = pos - pos.mean(axis=0)
    across = pos @ np.linalg.svd(pos, full_matrices=False)[2][-1]
    values = (
        float(np.sqrt((pos**2).sum(1).mean())),
        float(np.ptp(across)) if len(pos) > 2 else 0.0,
        rdMolDescriptors.CalcNPR1(mol),
        rdMolDescriptors.CalcNPR2(mol),
    )
    return {
        name: round(value, 3) if np.isfinite(value) else None
        for name, value in zip(SHAPE.columns, values, strict=True)
    }


PROPERTIES: Final = Check(
    ("heavy_atoms", "weight", "logp", "tpsa", "rotatable_bonds", "rings", "qed", "sa_score"),
    properties,
)
SHAPE: Final = Check(("radius_of_gyration", "thickness", "npr1", "npr2"), shape)


@cache
def _sascorer() -> Any:
    """RDKit's own implementation, which it ships beside its packages."""
    path = Path(RDConfig.RDContribDir, "SA_Score", "sascorer.py")
    spec = spec_from_file_location("sascorer", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"RDKit lacks {path}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

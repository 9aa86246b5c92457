# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From SMILES to docked poses
#
# The receptor is the tyrosine site of DAHP synthase (PDB 1OF6). `pip install ".[docking]"` brings
# AutoDock Vina and Meeko.

# %%
from pathlib import Path

import molgen

FILES = next(
    folder / "tests" / "fixtures" / "docking"
    for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "tests" / "fixtures" / "docking").exists()
)
smiles = {
    "tyrosine": "N[C@@H](Cc1ccc(O)cc1)C(=O)O",
    "phenylalanine": "N[C@@H](Cc1ccccc1)C(=O)O",
    "tyramine": "NCCc1ccc(O)cc1",
}

# %% [markdown]
# Five lines: conformers, docking, ranking.

# %%
ligands = molgen.conformers(smiles.values(), n=1, minimise="mmff94s")
poses = molgen.dock(
    ligands, FILES / "1of6_pocket.pdb", autobox=FILES / "tyrosine.sdf", exhaustiveness=2
)
docked = dict(zip(smiles, poses, strict=True))
ranked = sorted(docked.items(), key=lambda one: one[1].GetDoubleProp("molgen_score"))
[(name, mol.GetDoubleProp("molgen_score"), mol.GetNumConformers()) for name, mol in ranked]

# %% [markdown]
# How far is tyrosine's best pose from the crystal's? Heavy atoms, symmetric, nothing moved:

# %%
from rdkit import Chem
from rdkit.Chem import rdMolAlign

crystal = next(iter(Chem.SDMolSupplier(str(FILES / "tyrosine.sdf"))))
round(rdMolAlign.CalcRMS(Chem.RemoveHs(docked["tyrosine"]), crystal, 0, 0), 2)

# %%
import py3Dmol

scene = py3Dmol.view(width=640, height=420)
scene.addModel((FILES / "1of6_pocket.pdb").read_text(), "pdb")
scene.setStyle({"model": 0}, {"stick": {"radius": 0.07, "colorscheme": "grayCarbon"}})
for mol, colour in ((docked["tyrosine"], "greenCarbon"), (crystal, "orangeCarbon")):
    scene.addModel(Chem.MolToMolBlock(mol), "sdf")
    scene.setStyle({"model": -1}, {"stick": {"radius": 0.18, "colorscheme": colour}})
scene.zoomTo({"model": 1})
scene

# %% [markdown]
# The same from the command line, resumable and with a row for each ligand that fails:
#
# ```bash
# molgen conformers ligands.smi --n 1 --minimise mmff94s --out ligands.sdf
# molgen dock ligands.sdf --receptor 1of6_pocket.pdb --autobox tyrosine.sdf --out poses.sdf
# head poses.sdf.ranked.csv
# ```

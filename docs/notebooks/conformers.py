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
# # Conformers of a series
#
# Four analogues of one amide. Conformers of each are drawn in four network calls, lowest energy
# first; stereo is checked.

# %%
from rdkit import Chem
from rdkit.Chem import Draw

import molgen

series = {
    "methyl": "C[C@H](NC(=O)c1ccccc1)C(=O)N1CCOCC1",
    "isopropyl": "CC(C)[C@H](NC(=O)c1ccccc1)C(=O)N1CCOCC1",
    "benzyl": "O=C(N[C@@H](Cc1ccccc1)C(=O)N1CCOCC1)c1ccccc1",
    "pyridyl": "C[C@H](NC(=O)c1cccnc1)C(=O)N1CCOCC1",
}
Draw.MolsToGridImage(
    [Chem.MolFromSmiles(one) for one in series.values()], molsPerRow=4, legends=list(series)
)

# %%
found = dict(
    zip(series, molgen.conformers(series.values(), n=8, rms=0.5, minimise="mmff94s"), strict=True)
)
for name, mol in found.items():
    energies = [one.GetDoubleProp("relative_energy") for one in mol.GetConformers()]
    stereo = {one.GetProp("stereo") for one in mol.GetConformers()}
    print(
        f"{name:10} {mol.GetNumConformers()} conformers, up to {max(energies):.1f} kcal/mol, {stereo}"
    )

# %% [markdown]
# All conformers of one molecule, laid over each other:

# %%
molgen.view(found["benzyl"], overlay=True)

# %% [markdown]
# ## Around a common core
#
# With `core` a part stays where it is: here the benzoyl amide of the first analogue's lowest
# conformer, so that the series lies in one frame, ready for the same pocket.

# %%
import tempfile
from pathlib import Path

first = found["methyl"]
pattern = Chem.MolFromSmarts("CNC(=O)c1ccccc1")
keep = first.GetSubstructMatch(pattern)
core = Chem.RWMol(Chem.Mol(first, confId=first.GetConformers()[0].GetId()))
Chem.Kekulize(core, clearAromaticFlags=True)
for atom in sorted((a.GetIdx() for a in core.GetAtoms() if a.GetIdx() not in keep), reverse=True):
    core.RemoveAtom(atom)
path = Path(tempfile.mkdtemp()) / "core.sdf"
with Chem.SDWriter(str(path)) as writer:
    writer.write(core.GetMol())

aligned = list(
    molgen.conformers(
        [series["methyl"], series["isopropyl"], series["benzyl"]], n=1, core=str(path)
    )
)
[(mol.GetProp("molgen_status"), mol.GetNumConformers()) for mol in aligned]

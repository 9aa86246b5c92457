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
# # Quickstart: make molecules, look, judge, hand over
#
# `pip install -c constraints.txt ".[notebook,dataframe]"`; weights come with the package.

# %%
import tempfile
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import Draw

import molgen

generator = molgen.load()
generator

# %% [markdown]
# Twelve molecules in four network calls. They are RDKit molecules with one conformer each. The same
# seed gives the same molecules, whatever the batch.

# %%
mols = generator.sample(12, steps=4, seed=0, progress=False)
smiles = [mol.GetProp("smiles") for mol in mols]
Draw.MolsToGridImage([Chem.MolFromSmiles(one) for one in smiles], molsPerRow=4, legends=smiles)

# %%
molgen.view(mols[:4])

# %% [markdown]
# ## Judge
#
# Every rate is over all molecules. `records` has the verdict on each; as a data frame it can be
# sorted and filtered.

# %%
scores = molgen.evaluate(mols)
print("valid, own bonds   ", scores.connected_valid.value)
print("valid, coordinates ", scores.perceived_valid.value)
print("without alerts     ", scores.alert_free.value)
table = molgen.to_dataframe(scores)
table[["title", "smiles", "valid", "qed", "sa_score", "mmff_strain", "alert_names"]]

# %% [markdown]
# ## Filter while sampling
#
# A molecule beyond a bound fails; with `valid_only` another one is drawn.

# %%
sound = generator.sample(
    4, steps=4, require="alerts == 0, sa_score <= 5", valid_only=True, progress=False
)
[(mol.GetProp("smiles"), mol.GetProp("molgen_reason")) for mol in sound]

# %% [markdown]
# ## Hand over
#
# From the command line: `molgen export sound.sdf --to pdbqt --out ligands --ph 7.4`, and
# `molgen evaluate sound.sdf --report page.html` for a page to look at.

# %%
folder = Path(tempfile.mkdtemp())
with Chem.SDWriter(str(folder / "sound.sdf")) as writer:
    for mol in sound:
        writer.write(mol)
print((folder / "sound.sdf").read_text().count("$$$$"), "records")

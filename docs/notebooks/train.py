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
# # Train on your own SDF
#
# One specification, one recipe, no code. Here 300 molecules of the repository's sample and a tiny
# network for a few seconds: the way, not the quality.

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = next(one for one in (Path.cwd(), *Path.cwd().parents) if (one / "data/sample.sdf").exists())
os.chdir(tempfile.mkdtemp())


def molgen_command(*words):
    """What the command `molgen …` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "molgen", *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


Path("mine.yaml").write_text("""\
title: "Three hundred small molecules"
reader: sdf
atomic_numbers: [1, 6, 7, 8, 9]
charges: [-1, 0, 1]
total_charge: null
max_atoms: 40
split: {kind: hashed, test: 0.1, val: 0.1}
""")
print(
    molgen_command(
        "data", "prepare", "mine.yaml", "--source", ROOT / "data/sample.sdf", "--out", "store"
    )
)

# %%
Path("recipe.yaml").write_text("""\
data: {dataset: mine.yaml, store: store}
model:
  n_layers: 2
  n_radial: 16
  pos_scale: 1.5
  dims: {scalar: 32, vector: 8, pair: 16, pair_hidden: 16, n_heads: 4, n_frames: 2, mlp: 64, noise: 32}
optim: {kind: muon, warmup_steps: 10}
train: {batch_size: 32, max_steps: 60, log_every: 10, checkpoint_every: 30, sample_every: 60,
        sample_n: 4, sample_steps: 4, precision: 32-true}
""")
molgen_command("train", "recipe.yaml", "--out", "run")
print(*Path("run/losses.csv").read_text().splitlines()[:7], sep="\n")

# %% [markdown]
# The curve of the loss, and a molecule of the network. After hours instead of seconds they are
# sound; `docs/train.md` has recipes with their times.

# %%
import csv

import matplotlib.pyplot as plt

import molgen

rows = list(csv.DictReader(Path("run/losses.csv").read_text().splitlines()))
for term in ("pos", "element", "bond"):
    plt.plot([int(row["step"]) for row in rows], [float(row[term]) for row in rows], label=term)
plt.xlabel("step")
plt.ylabel("loss")
plt.legend()
plt.show()

# %%
generator = molgen.load("run/model.safetensors")
mol = generator.sample(1, steps=8, progress=False)[0]
mol.GetProp("molgen_valid"), mol.GetProp("molgen_reason"), mol.GetNumAtoms()

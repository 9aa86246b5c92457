"""What a script that tries settings needs: molecules of a ladder, and real ones beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molgen.api import Generator
from molgen.checkpoint import LoadedModel
from molgen.chem.molecule import Molecule
from molgen.data.store import MoleculeStore
from molgen.sampling.request import Request
from molgen.sampling.run import Tally

N_REAL = 5000
"""Held-out molecules to compare with, at most."""


def held_out(data: Path, seed: int) -> list[Molecule]:
    """Some molecules of a store that no weights were trained on.

    Args:
        data: The store.
        seed: Which ones.
    """
    store = MoleculeStore.open(data)
    rows = np.random.default_rng(seed).permutation(store.split("val"))[:N_REAL]
    return [store[int(row)] for row in rows]


def drawn(loaded: LoadedModel, steps: int, n: int, seed: int) -> Tally:
    """Molecules of a model's own ladder, decoded and as they were named.

    Args:
        loaded: The model.
        steps: Calls of the ladder.
        n: How many.
        seed: Of the run.
    """
    tally = Tally(keep=True)
    for _ in Generator(loaded).run(Request(n=n, steps=steps, seed=seed)).stream(tally):
        pass
    return tally

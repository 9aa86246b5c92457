"""How conformers are finished: plain values; needs no chemistry package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINIMISERS: Final = ("none", "mmff94s", "gfn2")
"""What ``--minimise`` can be."""


@dataclass(frozen=True)
class Finishing:
    """How conformers are finished.

    Attributes:
        n: Conformers that are kept at most.
        minimise: One of `MINIMISERS`.
        rms: Conformers nearer than this to one of lower energy are left out, Å; 0 keeps all.
        window: Conformers higher than this above the lowest are left out, kcal/mol.
        by_energy: Whether the lowest energy comes first; else the order of the draws.
        temperature: K, of the Boltzmann weights.
        fallback: Whether ETKDGv3 makes what the network cannot.
        seed: Of the embeddings.
    """

    n: int
    minimise: str = "none"
    rms: float = 0.0
    window: float = float("inf")
    by_energy: bool = True
    temperature: float = 298.15
    fallback: bool = False
    seed: int = 0

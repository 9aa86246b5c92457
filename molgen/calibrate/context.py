"""What every stage of the calibration gets, and the molecules that it draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from molgen.api import Generator
from molgen.checkpoint import LoadedModel
from molgen.chem.molecule import Molecule
from molgen.config.calibrate import CalibrateConfig
from molgen.data.store import MoleculeStore
from molgen.errors import UsageError
from molgen.models.info import ModelInfo
from molgen.sampling.request import Request
from molgen.sampling.run import Tally

N_REAL: Final = 5000
"""Held-out molecules to compare with, at most."""


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Context:
    """What a stage is given besides the weights.

    Attributes:
        config: How it fits.
        store: Real molecules.
        steps: Numbers of network calls to calibrate; empty for all that the weights know.
        report: Told a line after every trial.
    """

    config: CalibrateConfig
    store: MoleculeStore
    steps: tuple[int, ...] = ()
    report: Callable[[str], None] = field(default=_silent, repr=False)

    def presets(self, info: ModelInfo) -> tuple[int, ...]:
        """Numbers of calls to calibrate, ascending.

        Raises:
            UsageError: The weights were not distilled, or not for one of these numbers.
        """
        known = sorted(info.presets)
        if info.config.distil is None:
            raise UsageError(
                f"{info.name} is not distilled", "Give weights of a recipe with a section distil"
            )
        if missing := [count for count in self.steps if count not in known]:
            choices = ", ".join(map(str, known))
            raise UsageError(f"{info.name} has no preset of {missing[0]} calls", f"Use {choices}")
        return self.steps or tuple(known)

    def held_out(self) -> list[Molecule]:
        """Some molecules of the validation split."""
        rows = np.random.default_rng(self.config.seed).permutation(self.store.split("val"))
        return [self.store[int(row)] for row in rows[:N_REAL]]


def drawn(loaded: LoadedModel, steps: int, n: int, seed: int) -> Tally:
    """Molecules of a preset of the weights, decoded and before.

    Args:
        loaded: The weights.
        steps: Network calls.
        n: Number of molecules.
        seed: Of the run.
    """
    tally = Tally(keep=True)
    for _ in Generator(loaded).run(Request(n=n, steps=steps, seed=seed)).stream(tally):
        pass
    return tally

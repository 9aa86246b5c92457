"""How a run that keeps only valid molecules goes, on stderr."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from molgen.cli.console import note
from molgen.sampling.run import Tally

if TYPE_CHECKING:
    from molgen.sampling.run import Sample

PAUSE_S = 10.0
"""Seconds between two lines."""


@dataclass
class WatchedTally(Tally):
    """A tally that says every `PAUSE_S` seconds how many of the drawn molecules were kept."""

    said: float = field(default_factory=time.monotonic)

    def add(self, sample: Sample) -> None:
        """Count one molecule."""
        super().add(sample)
        if time.monotonic() - self.said >= PAUSE_S:
            self.said = time.monotonic()
            note(f"kept {self.n_drawn - self.faults.total()} of {self.n_drawn} drawn")

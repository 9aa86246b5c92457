"""What a teacher believes, made into molecules that a student can be taught.

Tensors know nothing of it and it knows no tensors, so other processes start quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import Decoder
from molgen.chem.molecule import Molecule


@dataclass(frozen=True)
class DecodeRelax:
    """How beliefs become a molecule.

    Attributes:
        decoder: How beliefs become bonds.
        relax: Iterations of the force field on the decoded molecule; 0 keeps the positions.
        restraint: Force constant, in kcal/mol/Å², that keeps its atoms near where they were.
    """

    decoder: Decoder = field(default_factory=Decoder)
    relax: int = 0
    restraint: float = 0.0

    def __call__(self, beliefs: Sequence[Beliefs]) -> list[Molecule]:
        """One molecule each; positions stay where there is no relaxing them."""
        return [self._settled(self.decoder(one)) for one in beliefs]

    def _settled(self, molecule: Molecule) -> Molecule:
        if not self.relax:
            return molecule
        # Recipes that do not relax train on machines without RDKit.
        from molgen.chem.force_field import relaxed_pos  # noqa: PLC0415

        pos = relaxed_pos(molecule, self.relax, self.restraint)
        return molecule if pos is None else replace(molecule, pos=pos.astype(np.float32))

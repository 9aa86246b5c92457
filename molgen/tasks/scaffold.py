"""Molecules around given atoms, which keep their elements, charges and places."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from molgen.chem.molecule import Molecule
from molgen.config import CompletionConfig
from molgen.errors import UsageError
from molgen.flow.process import Gaussian
from molgen.models.info import ModelInfo
from molgen.tasks.formula import element_classes
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.task import PRIOR, Finish, Modality, Role, Task

SCAFFOLD: Final = Task(
    "scaffold",
    {
        Modality.POS: Role.GIVEN,
        Modality.ELEMENT: Role.GIVEN,
        Modality.CHARGE: Role.GIVEN,
        Modality.BOND: Role.PREDICTED,
    },
    partial=True,
    finish=Finish(refine=False, logit_bias=False, restore=True),
)

PER_ATOM: Final = replace(
    SCAFFOLD,
    per_atom=True,
    prior=MappingProxyType({**PRIOR, Modality.POS: Gaussian(zero_com=False)}),
)
"""The same for models that were trained to complete molecules.

Nobody knows where the centre of the whole molecule will be, so noise is not centred.
"""


def has_per_atom_levels(info: ModelInfo) -> bool:
    """Whether a model was trained to complete molecules."""
    return isinstance(info.config.rows, CompletionConfig)


def scaffold_task(info: ModelInfo) -> Task:
    """The task as a model knows it."""
    return PER_ATOM if has_per_atom_levels(info) else SCAFFOLD


def around(info: ModelInfo, molecule: Molecule, label: str, where: str) -> Conditioning:
    """Molecules around the atoms of another.

    Args:
        info: The model.
        molecule: The scaffold.
        label: Its name, for messages.
        where: Its file, for messages.

    Raises:
        UsageError: The model does not know an element or a charge, or makes nothing so large.
    """
    n, charges = molecule.n_atoms, molecule.formal_charge.tolist()
    for charge in charges:
        if charge not in info.vocabulary.charges:
            known = ", ".join(f"{value:+d}" for value in info.vocabulary.charges)
            raise UsageError(f"{where} has a charge of {charge:+d}", f"{info.name} knows {known}")
    atoms = GivenAtoms(
        element=element_classes(info, molecule.atomic_numbers.tolist(), where),
        pos=molecule.pos.astype(np.float64),
        charge=np.array([info.vocabulary.charges.index(charge) for charge in charges]),
        bonds=molecule.bonds,
    )
    if n >= info.max_atoms:
        raise UsageError(
            f"scaffold {label} has {n} atoms; {info.name} makes molecules of up to "
            f"{info.max_atoms}",
            f"Keep fewer than {info.max_atoms} atoms of it",
        )
    return Conditioning(scaffold_task(info), (atoms,), label)

"""The seam: what follows from the roles of a task."""

from __future__ import annotations

import pytest
import torch

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, NOISE_LEVEL
from molgen.flow.coupling import AtomOT
from molgen.tasks.denovo import DENOVO
from molgen.tasks.task import Finish, Modality, Role, Task

TOY = Task(
    "geometry of a graph",
    {
        Modality.POS: Role.NOISED,
        Modality.ELEMENT: Role.GIVEN,
        Modality.CHARGE: Role.GIVEN,
        Modality.BOND: Role.PREDICTED,
    },
    coupling=AtomOT(permute=False),
    finish=Finish(logit_bias=False),
)
"""A task that no code of the package knows."""


def test_losses_and_levels_follow_from_the_roles() -> None:
    assert DENOVO.losses == ("pos", "distance", "element", "charge", "bond")
    assert TOY.losses == ("pos", "distance", "bond")
    assert TOY.of(Role.GIVEN) == (Modality.ELEMENT, Modality.CHARGE)
    lam = torch.tensor([-1.0, 2.0])
    assert torch.equal(TOY.level(Modality.POS, lam), lam)
    assert TOY.level(Modality.ELEMENT, lam).tolist() == [CLEAN_LEVEL] * 2
    assert TOY.level(Modality.BOND, lam).tolist() == [NOISE_LEVEL] * 2


def test_a_task_leaves_something_to_predict() -> None:
    with pytest.raises(UsageError, match="gives every modality"):
        Task("nothing", dict.fromkeys(Modality, Role.GIVEN))

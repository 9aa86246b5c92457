"""Tasks between modalities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, NOISE_LEVEL
from molgen.modality import Modality
from molgen.tasks.mixture import TaskMixture
from molgen.tasks.task import Role, Task

LEADS = {Modality.POS: 0.0, Modality.ELEMENT: 1.5, Modality.BOND: 1.5}
DE_NOVO = Task("denovo", dict.fromkeys(LEADS, Role.NOISED))
CONFORMER = Task(
    "conformer",
    {Modality.POS: Role.NOISED, Modality.ELEMENT: Role.GIVEN, Modality.BOND: Role.GIVEN},
)
PERCEIVE = Task(
    "perceive",
    {Modality.POS: Role.GIVEN, Modality.ELEMENT: Role.NOISED, Modality.BOND: Role.PREDICTED},
)
MIXTURE = TaskMixture(LEADS, (DE_NOVO, CONFORMER, PERCEIVE), (2.0, 1.0, 1.0))


@given(st.integers(1, 80), st.integers(0, 100))
def test_every_sample_follows_one_task_and_has_something_to_predict(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    lam = torch.rand(n, generator=generator) * 8 - 4
    levels = MIXTURE.levels(lam, generator)
    assert tuple(levels) == tuple(LEADS)
    kinds = []
    for row in range(n):
        kind = []
        for name, lead in LEADS.items():
            level = float(levels[name][row])
            if level == CLEAN_LEVEL:
                kind.append("given")
            elif level == NOISE_LEVEL:
                kind.append("absent")
            else:
                assert level == float(lam[row] + lead)
                kind.append("diffused")
        kinds.append(tuple(kind))
    allowed = {
        ("diffused", "diffused", "diffused"): 0.5,
        ("diffused", "given", "given"): 0.25,
        ("given", "diffused", "absent"): 0.25,
    }
    assert set(kinds) <= set(allowed)
    for kind, share in allowed.items():
        assert abs(kinds.count(kind) - share * n) <= 2


def test_levels_follow_from_the_generator() -> None:
    lam = torch.linspace(-2, 2, 40)
    one, same, other = (
        MIXTURE.levels(lam, torch.Generator().manual_seed(seed))[Modality.BOND]
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.dtype == lam.dtype


def test_without_tasks_everything_is_diffused() -> None:
    lam = torch.linspace(-2, 2, 5)
    levels = TaskMixture(LEADS).levels(lam)
    assert torch.equal(levels["pos"], lam)
    assert torch.equal(levels["element"], lam + 1.5)


def test_senseless_mixtures_are_refused() -> None:
    for weights in ((), (0.0,), (1.0, 1.0)):
        with pytest.raises(UsageError):
            TaskMixture(LEADS, (DE_NOVO,), weights)


def test_terms_that_no_task_asks_for_are_left_out() -> None:
    assert TaskMixture(LEADS, (CONFORMER,)).losses == ("pos", "distance")
    assert MIXTURE.losses == ("pos", "distance", "element", "bond")

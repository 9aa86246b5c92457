"""Tasks between modalities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, NOISE_LEVEL
from molgen.flow.masking import ModalityMasking, Task

LEADS = {"pos": 0.0, "element": 1.5, "bond": 1.5}
DE_NOVO = Task(weight=2.0)
CONFORMER = Task(given=frozenset({"element", "bond"}))
PERCEIVE = Task(given=frozenset({"pos"}), absent=frozenset({"bond"}))
MASKING = ModalityMasking(LEADS, (DE_NOVO, CONFORMER, PERCEIVE))


@given(st.integers(1, 80), st.integers(0, 100))
def test_every_sample_follows_one_task_and_has_something_to_predict(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    lam = torch.rand(n, generator=generator) * 8 - 4
    levels = MASKING.levels(lam, generator)
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
        MASKING.levels(lam, torch.Generator().manual_seed(seed))["bond"] for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.dtype == lam.dtype


def test_without_tasks_everything_is_diffused() -> None:
    lam = torch.linspace(-2, 2, 5)
    levels = ModalityMasking(LEADS).levels(lam)
    assert torch.equal(levels["pos"], lam)
    assert torch.equal(levels["element"], lam + 1.5)


@pytest.mark.parametrize(
    "tasks",
    [
        (),
        (Task(weight=0.0),),
        (Task(given=frozenset({"position"})),),
        (Task(given=frozenset(LEADS)),),
        (Task(given=frozenset({"pos"}), absent=frozenset({"pos"})),),
    ],
)
def test_senseless_tasks_are_refused(tasks: tuple[Task, ...]) -> None:
    with pytest.raises(UsageError):
        ModalityMasking(LEADS, tasks)

"""The laws of the denoiser: rotation, reflection, translation, permutation, batch, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.models.denovo import POS
from molgen.nn.network import Estimate, SelfCond

from ..networks import (  # noqa: TID252
    DTYPES,
    HEADS,
    Case,
    assert_same,
    estimate_of,
    mapped_pos,
    random_case,
    random_model,
    seeds,
    sizes,
)

angles = st.tuples(*[st.floats(0, 2 * math.pi)] * 3)
kinds = st.fixed_dictionaries({"hinted": st.booleans(), "per_atom": st.booleans()})
shifts = st.tuples(*[st.floats(-50, 50)] * 3)
each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)
some_examples = settings(max_examples=25)


def vector_map(turn: tuple[float, float, float], reflect: bool, dtype: torch.dtype) -> Tensor:
    """How an element of O(3) acts on polar vectors, ``1o`` in e3nn's notation."""
    alpha, beta, gamma = torch.tensor(turn, dtype=torch.float64)
    parity = torch.tensor(float(reflect), dtype=torch.float64)
    matrix = o3.Irreps("1o").D_from_angles(alpha, beta, gamma, parity)
    assert float(torch.linalg.det(matrix)) == pytest.approx(-1 if reflect else 1)
    return matrix.to(dtype)


def mapped_levels(case: Case, change: Callable[[Tensor], Tensor]) -> Case:
    """The case with a function applied to its levels per atom, if it has such."""
    if case.lam_element is None:
        return case
    return replace(case, lam=change(case.lam), lam_element=change(case.lam_element))


def rows(case: Case, chosen: Tensor) -> Case:
    """Some molecules of a batch, without the padding that they do not need."""
    n = int(case.mask[chosen].sum(dim=1).max())
    self_cond = case.self_cond and SelfCond(
        case.self_cond.pos[chosen, :n],
        case.self_cond.element[chosen, :n],
        case.self_cond.bond[chosen, :n, :n],
    )
    state = {name: value[chosen, :n] for name, value in case.state.items()}
    shorter = mapped_levels(case, lambda levels: levels[:, :n])
    lam_element = None if shorter.lam_element is None else shorter.lam_element[chosen]
    return Case(state, shorter.lam[chosen], case.mask[chosen, :n], self_cond, lam_element)


def real_part(estimate: Estimate, row: int, n: int) -> Estimate:
    """One molecule of an estimate, without padding."""
    return Estimate(
        estimate.pos[row : row + 1, :n],
        estimate.element[row : row + 1, :n],
        estimate.charge[row : row + 1, :n],
        estimate.bond[row : row + 1, :n, :n],
    )


def padded(case: Case, extra: int) -> Case:
    """The batch with more padding, on which the self_cond holds what heads say of nothing."""

    def grow(value: Tensor, dims: int, fill: float) -> Tensor:
        return torch.nn.functional.pad(value, (0, 0) + (0, extra) * dims, value=fill)

    self_cond = case.self_cond and SelfCond(
        grow(case.self_cond.pos, 1, 0.0),
        grow(case.self_cond.element, 1, 0.3),
        grow(case.self_cond.bond, 2, 0.3),
    )
    state = {name: grow(value, 1, 0.0) for name, value in case.state.items()}
    mask = torch.nn.functional.pad(case.mask, (0, extra))
    longer = mapped_levels(case, lambda levels: grow(levels[..., None], 1, 0.0)[..., 0])
    return replace(longer, state=state, mask=mask, self_cond=self_cond)


@each_precision
@some_examples
@given(sizes, seeds, kinds, angles, st.booleans())
def test_positions_turn_and_reflect_with_the_input(
    dtype: torch.dtype,
    n_atoms: list[int],
    seed: int,
    kind: dict[str, bool],
    turn: tuple,
    reflect: bool,
) -> None:
    model, matrix = random_model(dtype), vector_map(turn, reflect, dtype)
    case = random_case(n_atoms, seed, dtype, **kind)
    here = estimate_of(model, case)
    there = estimate_of(model, mapped_pos(case, lambda pos: pos @ matrix.T))
    assert_same(there, replace(here, pos=here.pos @ matrix.T))


def test_e3nn_agrees_on_a_random_rotation() -> None:
    rotation = o3.rand_matrix().double()
    case = random_case([5, 8], 3, torch.float64, hinted=True)
    here = estimate_of(random_model(torch.float64), case)
    for matrix in (rotation, -rotation):
        turned = mapped_pos(case, lambda pos, matrix=matrix: pos @ matrix.T)
        assert float((turned.state["pos"] - case.state["pos"]).abs().max()) > 0.1
        # e3nn draws float32 matrices, which are orthogonal to 1e-7 only.
        moved = estimate_of(random_model(torch.float64), turned).pos
        torch.testing.assert_close(moved, here.pos @ matrix.T, rtol=0, atol=1e-5)


@each_precision
@some_examples
@given(sizes, seeds, kinds, shifts)
def test_a_translation_is_gone_after_centring(
    dtype: torch.dtype, n_atoms: list[int], seed: int, kind: dict[str, bool], shift: tuple
) -> None:
    case = random_case(n_atoms, seed, dtype, **kind)
    away = torch.tensor(shift, dtype=dtype)
    if dtype == torch.float32:
        away = away / 10  # positions of 50 carry rounding errors of 4e-6 themselves
    moved = mapped_pos(case, lambda pos: POS.project(pos + away, case.mask))
    assert_same(estimate_of(random_model(dtype), moved), estimate_of(random_model(dtype), case))


@each_precision
@some_examples
@given(sizes, seeds, kinds, st.randoms(use_true_random=False))
def test_atoms_may_be_renumbered(
    dtype: torch.dtype, n_atoms: list[int], seed: int, kind: dict[str, bool], random: object
) -> None:
    case = random_case(n_atoms, seed, dtype, **kind)
    n = case.mask.shape[1]
    order = torch.tensor(random.sample(range(n), n))  # type: ignore[attr-defined]
    self_cond = case.self_cond and SelfCond(
        case.self_cond.pos[:, order],
        case.self_cond.element[:, order],
        case.self_cond.bond[:, order][:, :, order],
    )
    state = {name: value[:, order] for name, value in case.state.items()}
    renumbered = replace(
        mapped_levels(case, lambda levels: levels[:, order]),
        state=state,
        mask=case.mask[:, order],
        self_cond=self_cond,
    )
    here = estimate_of(random_model(dtype), case)
    expected = Estimate(
        here.pos[:, order],
        here.element[:, order],
        here.charge[:, order],
        here.bond[:, order][:, :, order],
    )
    assert_same(estimate_of(random_model(dtype), renumbered), expected)


@each_precision
@some_examples
@given(sizes, seeds, kinds)
def test_a_molecule_does_not_see_its_batch(
    dtype: torch.dtype, n_atoms: list[int], seed: int, kind: dict[str, bool]
) -> None:
    case = random_case(n_atoms, seed, dtype, **kind)
    together = estimate_of(random_model(dtype), case)
    for row, n in enumerate(n_atoms):
        alone = estimate_of(random_model(dtype), rows(case, torch.tensor([row])))
        assert_same(real_part(together, row, n), alone)


@each_precision
@some_examples
@given(sizes, seeds, kinds, st.integers(1, 6))
def test_padding_changes_nothing(
    dtype: torch.dtype, n_atoms: list[int], seed: int, kind: dict[str, bool], extra: int
) -> None:
    case = random_case(n_atoms, seed, dtype, **kind)
    here = estimate_of(random_model(dtype), case)
    there = estimate_of(random_model(dtype), padded(case, extra))
    for row, n in enumerate(n_atoms):
        assert_same(real_part(there, row, n), real_part(here, row, n))
    assert not bool(there.pos[:, max(n_atoms) :].any())


@each_precision
@some_examples
@given(sizes, seeds, kinds)
def test_estimates_are_centred_and_bonds_symmetric(
    dtype: torch.dtype, n_atoms: list[int], seed: int, kind: dict[str, bool]
) -> None:
    case = random_case(n_atoms, seed, dtype, **kind)
    estimate = estimate_of(random_model(dtype), case)
    assert_same(estimate, replace(estimate, pos=POS.project(estimate.pos, case.mask)))
    assert_same(estimate, replace(estimate, bond=estimate.bond.transpose(1, 2)))


@some_examples
@given(sizes, seeds, st.booleans())
def test_levels_per_atom_that_are_equal_are_a_level_per_molecule(
    n_atoms: list[int], seed: int, hinted: bool
) -> None:
    model = random_model()
    case = random_case(n_atoms, seed, torch.float32, hinted=hinted)
    ahead = case.lam + model.scales.element_lead
    of_atoms = case.lam[:, None].expand(-1, case.mask.shape[1])
    here = estimate_of(model, case)
    for lam, lam_element in [
        (case.lam, ahead),
        (of_atoms, None),
        (of_atoms, ahead),
        (case.lam, of_atoms + model.scales.element_lead),
    ]:
        there = estimate_of(model, replace(case, lam=lam, lam_element=lam_element))
        for name in HEADS:
            assert torch.equal(getattr(there, name), getattr(here, name))


def test_a_clean_atom_in_one_molecule_leaves_the_others_as_they_were() -> None:
    model = random_model(torch.float64)
    case = random_case([6, 9], 3, torch.float64, hinted=True)
    mixed = case.lam[:, None].expand(-1, 9).clone()
    mixed[1, 4] = math.inf
    here, there = estimate_of(model, case), estimate_of(model, replace(case, lam=mixed))
    assert_same(real_part(there, 0, 6), real_part(here, 0, 6))
    assert float((there.pos - here.pos)[1].abs().max()) > 1e-3
    assert bool(there.pos.isfinite().all())


@pytest.mark.parametrize("hinted", [False, True])
def test_every_input_matters(hinted: bool) -> None:
    """The laws above would hold for a network that ignores its input."""
    model = random_model(torch.float64)
    case = random_case([6, 9], 11, torch.float64, hinted=hinted)
    here = estimate_of(model, case)
    changed = [
        replace(case, lam=case.lam.clamp(-3, 4) + 0.5),
        replace(case, lam_element=case.lam.clamp(-3, 4) - 0.5),
        replace(case, state={**case.state, "element": case.state["element"] + 0.5}),
        mapped_pos(case, lambda pos: 1.3 * pos),
    ]
    if case.self_cond is not None:
        changed += [
            replace(case, self_cond=None),
            replace(case, self_cond=replace(case.self_cond, pos=1.3 * case.self_cond.pos)),
            replace(case, self_cond=replace(case.self_cond, element=0 * case.self_cond.element)),
            replace(case, self_cond=replace(case.self_cond, bond=0 * case.self_cond.bond)),
        ]
    for other in changed:
        there = estimate_of(model, other)
        for name in ("pos", "element", "charge", "bond"):
            gap = getattr(there, name) - getattr(here, name)
            assert float(gap.abs().max()) > 1e-4, name

"""Classes brought to terms: exact where it can be, lawful everywhere, and what it is for."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.chem.elements import N_BOND_CLASSES, QM9
from molgen.models.valences import allowed_counts
from molgen.nn.valence_bp import STEPS, ValenceBP
from molgen.sampling.consistency import ValenceTable, judge

from ..chem.builders import AROMATIC_ONES, CHARGED, STORE, noisy_beliefs  # noqa: TID252
from ..networks import DTYPES, assert_close, seeds, sizes  # noqa: TID252

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)
ALLOWED = allowed_counts(QM9)
N_ROUNDS = 5
H, C, N = range(3)
NEUTRAL = 1


def beliefs(
    n_atoms: list[int], seed: int, dtype: torch.dtype = torch.float64, size: float = 2.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random logits of elements, charges and bonds, and a mask."""
    generator = torch.Generator().manual_seed(seed)
    batch, n = len(n_atoms), max(n_atoms)

    def normal(*shape: int) -> Tensor:
        return size * torch.randn(shape, generator=generator, dtype=torch.float64)

    mask = torch.arange(n) < torch.tensor(n_atoms)[:, None]
    bond = normal(batch, n, n, N_BOND_CLASSES)
    logits = (normal(batch, n, 5), normal(batch, n, 3), bond + bond.transpose(1, 2))
    element, charge, bond = (part.to(dtype) for part in logits)
    return element, charge, bond, mask


def as_tree(bond: Tensor) -> Tensor:
    """Logits by which only neighbours in a row can be bonded."""
    apart = torch.full_like(bond, -100.0)
    apart[..., 0] = 0
    n = bond.shape[1]
    place = torch.arange(n)
    near = (place[:, None] - place).abs() == 1
    return torch.where(near[..., None], bond, apart)


def by_definition(
    element: Tensor, charge: Tensor, bond: Tensor, n_rounds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Belief propagation written out for one small molecule: every way of the other bonds.

    Damping 0.3 and floor 1e-6 are those that the shipped weights were trained with.
    """

    def floored(values: Tensor) -> Tensor:
        total = values.sum()
        even = torch.full_like(values, 1 / values.numel())
        return (1 - 1e-6) * (values / total if total > 0 else even) + 1e-6 * even

    n = len(element)
    prior = {(i, j): floored(bond[i, j].softmax(-1)) for i in range(n) for j in range(n) if i != j}
    state = [floored(e.softmax(-1)[:, None] * c.softmax(-1)) for e, c in zip(element, charge)]  # noqa: B905

    def likely(atom: int, steps: tuple[int, ...]) -> Tensor:
        """How likely a state is where the bonds of an atom are of these classes, ``[5, 3]``."""
        aromatic, order = (sum(STEPS[k][axis] for k in steps) for axis in (0, 1))
        fits = aromatic < ALLOWED.shape[2] and order < ALLOWED.shape[3]
        return state[atom] * ALLOWED[:, :, aromatic, order] if fits else 0 * state[atom]

    def weight(atom: int, others: list[int], steps: tuple[int, ...]) -> Tensor:
        shares = [heard[other, atom][k] for other, k in zip(others, steps, strict=True)]
        return torch.stack(shares).prod() if shares else torch.ones(()).double()

    message = {pair: torch.full((5,), 0.2).double() for pair in prior}
    heard = dict(prior)  # from the far atom through the bond to this one
    for turn in range(n_rounds):
        fresh = {}
        for i, j in prior:
            others = [k for k in range(n) if k not in {i, j}]
            out = torch.zeros(5).double()
            for steps in product(range(5), repeat=len(others)):
                for own in range(5):
                    out[own] += weight(i, others, steps) * likely(i, (*steps, own)).sum()
            kept = 0.3 if turn else 0.0
            fresh[i, j] = message[i, j] ** kept * floored(out) ** (1 - kept)
        message = {pair: values / values.sum() for pair, values in fresh.items()}
        heard = {(i, j): prior[i, j] * message[i, j] for i, j in prior}
        heard = {pair: values / values.sum() for pair, values in heard.items()}
    atoms = []
    for i in range(n):
        others = [k for k in range(n) if k != i]
        ways = product(range(5), repeat=len(others))
        atoms.append(floored(sum(weight(i, others, way) * likely(i, way) for way in ways)))
    bonds = torch.zeros(n, n, 5).double()
    for (i, j), said in prior.items():
        bonds[i, j] = floored(said * message[i, j] * message[j, i])
    stacked = torch.stack(atoms)
    return stacked.sum(-1), stacked.sum(-2), bonds


def by_enumeration(element: Tensor, charge: Tensor, bond: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of elements and of the bonds in a row, from every way that a row can be."""
    n = len(element)
    elements, bonds = torch.zeros(n, 5).double(), torch.zeros(n - 1, N_BOND_CLASSES).double()
    joint = element.softmax(-1)[:, :, None] * charge.softmax(-1)[:, None, :]
    likely = bond.softmax(-1)
    for orders in product(range(N_BOND_CLASSES), repeat=n - 1):
        weight = torch.ones(()).double()
        for place, order in enumerate(orders):
            weight = weight * likely[place, place + 1, order]
        rooms = []
        for atom in range(n):
            ends = [STEPS[orders[k]] for k in (atom - 1, atom) if 0 <= k < n - 1]
            count = tuple(sum(part) for part in zip(*ends, strict=True))
            fits = count[0] < ALLOWED.shape[2] and count[1] < ALLOWED.shape[3]
            table = ALLOWED[:, :, count[0], count[1]] if fits else torch.zeros(5, 3)
            rooms.append(joint[atom] * table)
        weight = weight * torch.stack([room.sum() for room in rooms]).prod()
        for atom, room in enumerate(rooms):
            if weight > 0:
                elements[atom] += weight * room.sum(dim=1) / room.sum()
        for place, order in enumerate(orders):
            bonds[place, order] += weight
    return elements / elements.sum(-1, keepdim=True), bonds / bonds.sum(-1, keepdim=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), seeds)
def test_on_a_chain_it_is_exact(n: int, seed: int) -> None:
    element, charge, bond, mask = beliefs([n], seed, size=1.0)
    bond = as_tree(bond)
    said = ValenceBP(ALLOWED, 40)(element, charge, bond, mask)
    elements, bonds = by_enumeration(element[0], charge[0], bond[0])
    place = torch.arange(n - 1)
    torch.testing.assert_close(said[0].exp()[0], elements, atol=2e-3, rtol=0)
    torch.testing.assert_close(said[2].exp()[0, place, place + 1], bonds, atol=2e-3, rtol=0)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), seeds)
def test_it_is_belief_propagation_by_definition(n: int, n_rounds: int, seed: int) -> None:
    element, charge, bond, mask = beliefs([n], seed)
    found = ValenceBP(ALLOWED, n_rounds)(element, charge, bond, mask)
    expected = by_definition(element[0], charge[0], bond[0], n_rounds)
    apart = ~torch.eye(n, dtype=torch.bool)
    for one, other in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(one.exp()[0], other)
    torch.testing.assert_close(found[2].exp()[0][apart], expected[2][apart])


@each_precision
@settings(max_examples=15, deadline=None)
@given(sizes, seeds)
def test_the_order_of_atoms_does_not_matter(
    dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    element, charge, bond, mask = beliefs(n_atoms, seed, dtype)
    order = torch.randperm(max(n_atoms), generator=torch.Generator().manual_seed(seed))
    valence_bp = ValenceBP(ALLOWED, N_ROUNDS)
    here = valence_bp(element, charge, bond, mask)
    there = valence_bp(
        element[:, order], charge[:, order], bond[:, order][:, :, order], mask[:, order]
    )
    for one, other in zip(here[:2], there[:2], strict=True):
        assert_close(other.exp(), one[:, order].exp())
    assert_close(there[2].exp(), here[2][:, order][:, :, order].exp())


@each_precision
def test_a_molecule_knows_nothing_of_its_batch(dtype: torch.dtype) -> None:
    element, charge, bond, mask = beliefs([3, 9, 6], 2, dtype)
    valence_bp = ValenceBP(ALLOWED, N_ROUNDS)
    together = valence_bp(element, charge, bond, mask)
    for row, n in enumerate((3, 9, 6)):
        own = slice(row, row + 1)
        alone = valence_bp(element[own, :n], charge[own, :n], bond[own, :n, :n], mask[own, :n])
        assert_close(alone[0].exp(), together[0][own, :n].exp())
        assert_close(alone[2].exp(), together[2][own, :n, :n].exp())


@each_precision
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_contradictions_leave_numbers_and_slopes(dtype: torch.dtype, size: float) -> None:
    """Certain and impossible beliefs at once, as logits of a network that is badly wrong."""
    logits = beliefs([9, 2, 1], 4, dtype, size)
    given = [part.requires_grad_() for part in logits[:3]]
    said = ValenceBP(ALLOWED, N_ROUNDS)(*given, logits[3])
    for part in said:
        assert bool(torch.isfinite(part).all())
        torch.testing.assert_close(part.exp().sum(-1), torch.ones_like(part[..., 0]))
    assert torch.equal(said[2], said[2].transpose(1, 2))
    torch.stack([part[logits[3]].clamp_min(-5).mean() for part in said]).sum().backward()
    for part in given:
        assert part.grad is not None
        assert bool(torch.isfinite(part.grad).all())


def test_what_is_consistent_and_certain_stays() -> None:
    """Real molecules, the charged and the aromatic ones among them."""
    assert CHARGED
    assert AROMATIC_ONES
    for index in [*CHARGED[:10], *AROMATIC_ONES[:10], *range(20)]:
        molecule = STORE[index]
        believed = noisy_beliefs(molecule, 0.0, np.random.default_rng(0))
        logits = [
            torch.from_numpy(part)[None]
            for part in (
                believed.element_log_prob, believed.charge_log_prob, believed.bond_log_prob
            )
        ]  # fmt: skip
        mask = torch.ones(1, molecule.n_atoms, dtype=torch.bool)
        said = ValenceBP(ALLOWED, N_ROUNDS)(*logits, mask)
        pairs = ~torch.eye(molecule.n_atoms, dtype=torch.bool)
        for before, after in zip(logits[:2], said[:2], strict=True):
            assert torch.equal(before.argmax(-1), after.argmax(-1))
        assert torch.equal(logits[2].argmax(-1)[:, pairs], said[2].argmax(-1)[:, pairs])


def test_a_doubtful_bond_goes_where_there_is_room() -> None:
    """Methane whose carbon is held for nitrogen by a hair, with one bond more unlikely than not."""
    element, charge = torch.full((1, 5, 5), -6.0), torch.full((1, 5, 3), -6.0)
    element[0, 1:, H], charge[..., NEUTRAL] = 0, 0
    element[0, 0, C], element[0, 0, N] = -0.8, -0.6
    bond = torch.full((1, 5, 5, N_BOND_CLASSES), -8.0)
    bond[..., 0] = 0
    bond[0, 0, 1:, 1] = bond[0, 1:, 0, 1] = 3.0
    bond[0, 0, 4, 1] = bond[0, 4, 0, 1] = -0.4
    mask = torch.ones(1, 5, dtype=torch.bool)
    table = ValenceTable.of(QM9)

    def sound(logits: tuple[Tensor, ...]) -> bool:
        classes = [part.argmax(-1) for part in logits]
        return bool(judge(table, *classes, mask).sound)

    # Heads alone make a radical of it: NH3 and a hydrogen atom.
    assert not sound((element, charge, bond))
    said = ValenceBP(ALLOWED, N_ROUNDS)(element, charge, bond, mask)
    assert sound(said)
    assert int(said[0][0, 0].argmax()) == C


def test_noisy_real_molecules_become_consistent() -> None:
    """Most of those that heads alone leave broken, and none that they had right are broken much."""
    rng = np.random.default_rng(5)
    table, before, after = ValenceTable.of(QM9), 0, 0
    for index in range(60):
        believed = noisy_beliefs(STORE[index], 2.0, rng)
        logits = tuple(
            torch.from_numpy(part)[None]
            for part in (
                believed.element_log_prob, believed.charge_log_prob, believed.bond_log_prob
            )
        )  # fmt: skip
        mask = torch.ones(1, len(believed.pos), dtype=torch.bool)
        said = ValenceBP(ALLOWED, N_ROUNDS)(*logits, mask)
        before += bool(judge(table, *(part.argmax(-1) for part in logits), mask).sound)
        after += bool(judge(table, *(part.argmax(-1) for part in said), mask).sound)
    assert after > before + 40

"""Charged atoms and charged molecules: verdicts on real drugs, and decoding to a charge."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.chem import joint, repair
from molgen.chem.beliefs import Beliefs
from molgen.chem.choices import choices_of
from molgen.chem.decode import Decoder, decode_map, is_consistent
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.chem.finish import Chunk, Finisher
from molgen.chem.formula import parse_formula
from molgen.chem.kekule import is_kekulisable
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.chem.read import read_records
from molgen.chem.valence import charges_of_valences, is_stable
from molgen.errors import UsageError
from molgen.sampling.consistency import ValenceTable, judge

from .builders import log_softmax, molecule, same_graph

DRUGS = Vocabulary((1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53), (-1, 0, 1))
RECORDS = [
    record.molecule
    for record in read_records(Path(__file__).parents[1] / "fixtures" / "charged.sdf")
]
GLYCINE, ACETATE, METFORMIN, SALT, NITROGLYCERIN, ZIDOVUDINE, AMP = (
    one for one in RECORDS if one is not None
)
WHOLE = (GLYCINE, ACETATE, METFORMIN, NITROGLYCERIN, ZIDOVUDINE, AMP)


def charge_of(one: Molecule) -> int:
    return int(one.formal_charge.sum())


def beliefs_about(truth: Molecule, noise: float = 0.0, seed: int = 0) -> Beliefs:
    """Logits that favour the truth by 6, plus noise."""
    rng = np.random.default_rng(seed)
    hot = (
        np.equal.outer(truth.atomic_numbers, DRUGS.atomic_numbers),
        np.equal.outer(truth.formal_charge, DRUGS.charges),
        np.equal.outer(bond_matrix(truth), np.arange(N_BOND_CLASSES)),
    )
    element, charge, bond = (6.0 * one + rng.normal(scale=noise, size=one.shape) for one in hot)
    bond = (bond + bond.transpose(1, 0, 2)) / 2
    return Beliefs(DRUGS, truth.pos, log_softmax(element), log_softmax(charge), log_softmax(bond))


def chain(n_carbons: int) -> Molecule:
    """A saturated chain with a nitro group at one end: 3 n + 4 atoms."""
    n = n_carbons
    bonds = [(i, i + 1, 1) for i in range(n)] + [(n, n + 1, 2), (n, n + 2, 1)]
    first = n + 3
    for carbon in range(n):
        for _ in range(3 if carbon == 0 else 2):
            bonds.append((carbon, first, 1))
            first += 1
    symbols = ["C"] * n + ["N", "O", "O"] + ["H"] * (2 * n + 1)
    return molecule(" ".join(symbols), bonds, {n: 1, n + 2: -1})


def test_real_charged_molecules_are_valid_with_their_own_charge_and_with_no_other() -> None:
    for one in WHOLE:
        charge = charge_of(one)
        assert is_stable(one)
        assert build_mol(one).is_valid
        assert build_mol(one, charge).is_valid
        assert is_consistent(one, None)
        assert is_consistent(one, charge)
        assert not is_consistent(one, charge + 1)
        assert build_mol(one, charge + 1).reason.startswith("net charge")
    assert [charge_of(one) for one in WHOLE] == [0, -1, 1, 0, 0, 0]
    assert build_mol(ACETATE, 0).reason == "net charge -1"
    assert build_mol(ACETATE, 1).reason == "net charge -1, not 1"
    assert build_mol(SALT).reason == "disconnected: 2 fragments"


@pytest.mark.parametrize("total_charge", [None, -1, 0, 1])
def test_the_verdict_on_tensors_is_that_of_the_chemistry(total_charge: int | None) -> None:
    table = ValenceTable.of(DRUGS, total_charge=total_charge)
    for one in WHOLE:
        classes = [
            torch.tensor([[DRUGS.atomic_numbers.index(z) for z in one.atomic_numbers.tolist()]]),
            torch.tensor([[DRUGS.charges.index(q) for q in one.formal_charge.tolist()]]),
            torch.tensor(bond_matrix(one)[None], dtype=torch.int64),
        ]
        verdict = judge(table, *classes, torch.ones(1, one.n_atoms, dtype=torch.bool))
        assert bool(verdict.sound) == is_consistent(one, total_charge)


@pytest.mark.parametrize("index", range(len(WHOLE)))
def test_noisy_beliefs_are_decoded_to_the_charge_that_is_asked_for(index: int) -> None:
    truth = WHOLE[index]
    charge = charge_of(truth)
    for seed in range(3):
        beliefs = beliefs_about(truth, 1.0, seed)
        for wanted in (charge, charge - 1, None):
            decoded = decode_map(beliefs, wanted)
            assert is_consistent(decoded, wanted)
            assert np.array_equal(decoded.pos, truth.pos)
    assert same_graph(decode_map(beliefs_about(truth), charge), truth)
    assert same_graph(decode_map(beliefs_about(truth), None), truth)


def test_any_charge_is_never_worse_than_a_certain_one() -> None:
    for index, truth in enumerate(WHOLE):
        choices = choices_of(beliefs_about(truth, 1.5, index))
        found = {q: repair.repair(choices, 64, 6000, None, q) for q in (None, -1, 0, 1)}
        costs = {q: one.solution.deficit(choices) for q, one in found.items() if one.solution}
        assert len(costs) == 4
        assert all(costs[None] <= cost + 1e-9 for cost in costs.values())


def test_a_large_molecule_is_mended_and_found_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """154 atoms; the number of nodes is the time, whatever the machine."""
    truth = chain(50)
    beams = []

    def watched(*arguments: object) -> repair.Repair:
        beams.append(arguments[1:3])
        return repair.repair(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(joint, "repair", watched)
    decoded = joint.decode_joint(beliefs_about(truth, 1.8))
    assert decoded is not None
    assert is_consistent(decoded)
    assert np.mean(bond_matrix(decoded) == bond_matrix(truth)) > 0.999
    assert beams[0] == (12, 31862)


def test_what_is_left_out_of_a_search_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few changes at each atom a search finds less, and claims no more than it knows."""
    whole, n_unproven = {}, 0
    problems = [choices_of(beliefs_about(one, 2.5, k)) for k, one in enumerate(WHOLE)]
    for k, choices in enumerate(problems):
        whole[k] = repair.repair(choices, 512, 20000)
    monkeypatch.setattr(repair, "MOST_OPTIONS", 6)
    for k, choices in enumerate(problems):
        few, all_of = repair.repair(choices, 512, 20000), whole[k]
        n_unproven += not few.is_proven
        if few.is_proven and all_of.is_proven and few.solution and all_of.solution:
            best = all_of.solution.deficit(choices)
            assert few.solution.deficit(choices) == pytest.approx(best)
    assert n_unproven


def test_charges_that_valences_ask_for() -> None:
    for one in WHOLE:
        bonds = bond_matrix(one)
        if (bonds == 4).any():
            continue
        found = charges_of_valences(one.atomic_numbers, bonds.sum(axis=1))
        assert np.array_equal(found, one.formal_charge)
    odd = charges_of_valences(np.array([7, 7, 6, 6, 9]), np.array([4, 3, 3, 5, 2]))
    assert odd.tolist() == [1, 0, -1, 0, 0]


@pytest.mark.parametrize(
    ("text", "charge", "n_atoms"),
    [
        ("C6H6NO2-", -1, 15),
        ("NH4+", 1, 5),
        ("[NH4]+", 1, 5),
        ("[NH4+]", 1, 5),
        ("C2O4--", -2, 6),
        ("C2O4-2", -2, 6),
        ("[C2O4]2-", -2, 6),
        ("BrC6H4SiH3", 0, 15),
    ],
)
def test_formulas_with_a_charge(text: str, charge: int, n_atoms: int) -> None:
    formula = parse_formula(text)
    assert (formula.charge, len(formula.atomic_numbers)) == (charge, n_atoms)


@pytest.mark.parametrize(
    "text", ["NH4", "NH3+", "NH4+-", "[NH4", "[NH4+]+", "C²", "H" + "9" * 5000, "C2O4 2-", "C0"]
)
def test_formulas_that_are_none(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_formula(text)
    assert len(str(refused.value)) < 250


def test_any_charge_is_where_the_bonds_lead() -> None:
    """Four hydrogens on a nitrogen that is held for neutral by a hair."""
    ammonium = molecule("N H H H H", [(0, k, 1) for k in range(1, 5)], {0: 1})
    beliefs = beliefs_about(ammonium)
    beliefs.charge_log_prob[0] = np.log([0.1, 0.5, 0.4])
    assert same_graph(decode_map(beliefs, None), ammonium)
    assert same_graph(decode_map(beliefs, 1), ammonium)
    assert charge_of(decode_map(beliefs, 0)) == 0


def chunk_about(truth: Molecule) -> Chunk:
    """A chunk of one settled molecule."""
    vocabulary = beliefs_about(truth).vocabulary
    classes = (
        np.searchsorted(vocabulary.atomic_numbers, truth.atomic_numbers),
        np.searchsorted(vocabulary.charges, truth.formal_charge),
        bond_matrix(truth),
    )
    element, charge, bond = (one.astype(np.uint8)[None] for one in classes)
    sizes = np.array([truth.n_atoms])
    return Chunk(vocabulary, (0,), (0,), sizes, truth.pos[None], element, charge, bond, {})


def test_a_finisher_judges_by_the_charge_of_its_decoder() -> None:
    for total_charge, reason in ((1, ""), (None, ""), (0, "net charge 1")):
        finisher = Finisher(Decoder("argmax", total_charge))
        assert finisher(chunk_about(METFORMIN)).reasons == (reason,)


def by_trying(left: frozenset[int], edges: list[tuple[int, int]]) -> bool:
    """Whether some edges meet every vertex once."""
    if not left:
        return True
    first = min(left)
    partners = [j if i == first else i for i, j in edges if first in {i, j} and {i, j} <= left]
    return any(by_trying(left - {first, other}, edges) for other in partners)


@given(st.integers(3, 8), st.integers(0, 2**32 - 1))
def test_kekule_forms_exist_where_trying_finds_one(n: int, seed: int) -> None:
    """Aromatic CH and C in rings and chains of any shape, three bonds at most."""
    rng = np.random.default_rng(seed)
    degree, edges = np.zeros(n, dtype=int), []
    for i, j in rng.permutation(list(combinations(range(n), 2))).tolist():
        if degree[i] < 3 and degree[j] < 3 and rng.random() < 0.6:
            edges.append((i, j))
            degree[[i, j]] += 1
    spokes = [atom for atom in range(n) if degree[atom] == 2]
    bonds = [(i, j, 4) for i, j in edges] + [(atom, n + k, 1) for k, atom in enumerate(spokes)]
    carbons = molecule(" ".join(["C"] * n + ["H"] * len(spokes)), bonds)
    if (degree >= 2).all():
        assert is_kekulisable(carbons) == by_trying(frozenset(range(n)), edges)


def test_two_odd_rings_have_no_kekule_form_together() -> None:
    ring = [(0, 1, 4), (1, 2, 4), (0, 2, 4)]
    both = [*ring, *((i + 3, j + 3, order) for i, j, order in ring)]
    triangles = molecule(" ".join("CCCCCCHHHHHH"), both + [(i, i + 6, 1) for i in range(6)])
    assert is_stable(triangles)
    assert not is_kekulisable(triangles)


def test_large_rings_are_settled_at_once() -> None:
    for n in (60, 61):
        around = [(i, i + 1, 4) for i in range(n - 1)] + [(0, n - 1, 4)]
        spokes = [(i, n + i, 1) for i in range(n)]
        annulene = molecule(" ".join(["C"] * n + ["H"] * n), around + spokes)
        assert is_consistent(annulene) == (n == 60)

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from molgen.chem.molecule import Molecule
from molgen.data.reference import load_reference
from molgen.metrics.ceiling import load_ceiling
from molgen.metrics.evaluate import evaluate
from molgen.metrics.geometry import radii_of_gyration, ring_sizes
from molgen.metrics.rate import Rate

from .builders import HYDROXYL, NO_ATOMS, NOT_A_NUMBER, TWO_WATERS, WATER, moved, noisy


@pytest.fixture
def mixed(real: list[Molecule]) -> list[Molecule]:
    """Six real molecules, one of them twice, and four broken ones."""
    return [*real[100:105], real[100], TWO_WATERS, HYDROXYL, NO_ATOMS, NOT_A_NUMBER]


def test_denominators_are_all_records(mixed: list[Molecule]) -> None:
    found = evaluate(mixed, load_reference("qm9"), raw=mixed[::-1], n_workers=1)
    over_all = (
        found.connected_valid,
        found.connected_valid_raw,
        found.bond_graph_stable,
        found.bond_graph_stable_raw,
        found.perceived_valid,
        found.perceived_valid_raw,
        found.graphs_agree,
        found.edm_stable,
        found.edm_stable_raw,
        found.edm_valid,
        found.edm_valid_unique,
    )
    assert found.n == 10
    assert {rate.n for rate in over_all} == {10}
    n_atoms = sum(molecule.n_atoms for molecule in mixed)
    assert found.bond_graph_atom_stable.n == found.edm_atom_stable.n == n_atoms
    assert found.rmsd_to_mmff.n + found.rmsd_to_mmff.n_failed == 10


def test_broken_molecules_count_as_invalid(mixed: list[Molecule]) -> None:
    found = evaluate(mixed, raw=mixed, n_workers=1)
    assert found.connected_valid == found.connected_valid_raw == Rate(6, 10)
    assert found.perceived_valid == Rate(6, 10)
    assert found.graphs_agree == Rate(6, 10)
    assert found.rmsd_to_mmff.n == 6
    assert sum(found.invalid_reasons.values()) == 4
    assert sum(found.perception_reasons.values()) == 4
    assert sum(found.relax_reasons.values()) == 4


def test_duplicates_are_not_unique_and_training_molecules_not_novel(mixed: list[Molecule]) -> None:
    reference = load_reference("qm9")
    found = evaluate([*mixed, WATER], reference, relax=False, n_workers=1)
    assert found.unique == Rate(6, 7)
    assert found.novel.n == 6
    assert found.novel.count == 6 - reference.knows("O")


def test_without_a_reference_there_is_no_novelty(real: list[Molecule]) -> None:
    found = evaluate(real[:5], relax=False, n_workers=1)
    assert found.novel is found.atom_count_tv is found.element_tv is None
    assert found.rmsd_to_mmff is None


def test_geometries_have_no_graph_scores_and_keep_the_rest(real: list[Molecule]) -> None:
    bonded = evaluate(real[100:120], load_reference("qm9"), n_workers=1)
    bare = evaluate(real[100:120], load_reference("qm9"), has_bonds=False, n_workers=1)
    for name in ("connected_valid", "bond_graph_atom_stable", "bond_graph_stable", "graphs_agree"):
        assert getattr(bare, name) is None
    for name in ("perceived_valid", "edm_stable", "edm_valid", "element_tv", "atom_count_tv"):
        assert getattr(bare, name) == getattr(bonded, name)
    assert bare.unique.n == bare.perceived_valid.count
    assert bare.rmsd_to_mmff.median == pytest.approx(bonded.rmsd_to_mmff.median, abs=1e-3)


def test_noise_breaks_distances_long_before_perception(real: list[Molecule]) -> None:
    found = evaluate(noisy(real, 0.03), relax=False, n_workers=2)
    assert found.edm_stable.value < 0.65
    assert found.perceived_valid.value > 0.96
    assert found.connected_valid.value == 1.0


def test_scores_do_not_depend_on_frame_or_order(real: list[Molecule]) -> None:
    others = [moved(molecule, seed) for seed, molecule in enumerate(real[90:150])]
    found, again = (
        evaluate(molecules, load_reference("qm9"), relax=False, n_workers=1).to_dict()
        for molecules in (real[90:150], others[::-1])
    )
    assert found.pop("gyration") == pytest.approx(again.pop("gyration"), rel=1e-6)
    assert found == again


def test_rings_and_reach_are_means_over_what_has_atoms(real: list[Molecule]) -> None:
    found = evaluate([*real[100:120], NO_ATOMS], relax=False, n_workers=1)
    sizes = ring_sizes(real[100:120])
    assert found.rings == pytest.approx(sum(sizes.values()) / 20)
    assert found.triangles == pytest.approx(sizes[3] / 20)
    assert found.gyration == pytest.approx(radii_of_gyration(real[100:120]).mean())
    bare = evaluate([*real[100:120], NOT_A_NUMBER], has_bonds=False, relax=False, n_workers=1)
    assert bare.rings is bare.triangles is None
    assert bare.gyration == found.gyration
    nothing = evaluate([NO_ATOMS], relax=False, n_workers=1)
    assert nothing.rings is nothing.triangles is nothing.gyration is None


def test_real_molecules_have_the_means_that_the_package_quotes(real: list[Molecule]) -> None:
    quoted = load_ceiling("qm9")
    assert quoted.kept["rings"] == pytest.approx(1.56, abs=0.01)
    assert quoted.kept["gyration"] == pytest.approx(quoted.whole["gyration"], abs=0.01)
    # The sample is part of the training set: larger or smaller molecules, the same kind.
    assert radii_of_gyration(real).mean() == pytest.approx(quoted.kept["gyration"], rel=0.1)


def test_nothing_is_valid_json(real: list[Molecule]) -> None:
    for molecules in ([], real[:2]):
        found = evaluate(molecules, load_reference("qm9"), n_workers=1)
        plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert plain["n"] == len(molecules)
        assert plain["perceived_valid"]["n"] == len(molecules)


def test_geometry_is_judged_with_the_elements_from_before_decoding_too(
    real: list[Molecule],
) -> None:
    """Decoding named the hydrogens of a molecule that the network had called nitrogen."""
    hydrogens = real[100].atomic_numbers == 1
    misnamed = np.where(hydrogens, 7, real[100].atomic_numbers).astype(np.uint8)
    raw = [replace(real[100], atomic_numbers=misnamed), *real[101:104]]
    found = evaluate(real[100:104], raw=raw, relax=False, n_workers=1)
    alone = evaluate(raw, relax=False, n_workers=1)
    assert found.perceived_valid == found.edm_stable == Rate(4, 4)
    assert found.perceived_valid_raw == alone.perceived_valid
    assert found.edm_stable_raw == alone.edm_stable == Rate(3, 4)


def test_geometry_is_judged_with_the_positions_from_before_relaxing(
    real: list[Molecule],
) -> None:
    raw = [replace(real[100], pos=1.3 * real[100].pos), *real[101:104]]
    found = evaluate(real[100:104], raw=raw, relax=False, n_workers=1)
    assert found.perceived_valid == Rate(4, 4)
    assert found.perceived_valid_raw == found.edm_stable_raw == Rate(3, 4)


def test_raw_must_pair_with_decoded(real: list[Molecule]) -> None:
    with pytest.raises(ValueError, match="1 raw molecules for 2"):
        evaluate(real[:2], raw=real[:1])


def test_progress_names_the_stages() -> None:
    seen: list[tuple[str, int, int]] = []
    evaluate([WATER, WATER], n_workers=1, progress=lambda *event: seen.append(event))
    assert seen == [(stage, i, 2) for stage in ("perceiving", "relaxing") for i in (1, 2)]

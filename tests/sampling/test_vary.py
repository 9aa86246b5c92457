"""Variations of given molecules: noise, its coupling, and what does not depend on the batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from molgen.checkpoint import LoadedModel, load_model
from molgen.chem.mol import molecule_of
from molgen.errors import UsageError
from molgen.sampling.editing.originals import Original, originals_of, read_originals
from molgen.sampling.editing.requests import VaryRequest
from molgen.sampling.editing.vary import STRONGEST, Variations, noise_level, vary_plan
from molgen.sampling.run import Sample, Tally
from molgen.tasks.refine import clean_batch, coupled_noise, noised

WATER = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
METHANE = np.array(
    [
        [0, 0, 0],
        [0.63, 0.63, 0.63],
        [-0.63, -0.63, 0.63],
        [-0.63, 0.63, -0.63],
        [0.63, -0.63, -0.63],
    ]
)


@pytest.fixture(scope="module")
def loaded(tiny_weights: Path) -> LoadedModel:
    return load_model(tiny_weights, "cpu")


def mol_of(smiles: str, pos: np.ndarray) -> Chem.Mol:
    """A molecule with all hydrogens at the given places."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.asarray(pos, dtype=np.float64))
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return mol


@pytest.fixture(scope="module")
def originals(loaded: LoadedModel) -> tuple[Original, ...]:
    return originals_of(loaded.info, [mol_of("O", WATER + 7), mol_of("C", METHANE)])


def samples(run: Variations, first: int = 0) -> list[Sample]:
    return list(run.stream(Tally(), first=first))


def test_strength_is_noise_from_none_worth_mentioning_to_that_of_sampling(
    loaded: LoadedModel,
) -> None:
    assert noise_level(1.0) == pytest.approx(STRONGEST)
    levels = [vary_plan(loaded.info, strength, 6).grid.lam[0] for strength in (0.1, 0.5, 1.0)]
    assert levels == sorted(levels, reverse=True)
    for strength in (0.01, 0.5, 1.0):
        for steps in (1, 2, 8):
            assert vary_plan(loaded.info, strength, steps).nfe == steps


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_changes_nothing(
    loaded: LoadedModel, originals: tuple[Original, ...], batch_size: int
) -> None:
    request = VaryRequest(n=4, steps=2, seed=3)
    reference = samples(Variations(loaded, request, originals))
    others = samples(Variations(loaded, replace(request, batch_size=batch_size), originals))
    assert [one.index for one in others] == list(range(8))
    for one, other in zip(reference, others, strict=True):
        assert np.abs(one.molecule.pos - other.molecule.pos).max() < 1e-3


def test_more_variations_keep_the_first(
    loaded: LoadedModel, originals: tuple[Original, ...]
) -> None:
    few = samples(Variations(loaded, VaryRequest(n=2, steps=2), originals))
    many = samples(Variations(loaded, VaryRequest(n=5, steps=2), originals))
    for one, other in zip(few, [many[i] for i in (0, 1, 5, 6)], strict=True):
        assert np.abs(one.molecule.pos - other.molecule.pos).max() < 1e-3


def test_a_run_can_start_anywhere(loaded: LoadedModel, originals: tuple[Original, ...]) -> None:
    run = Variations(loaded, VaryRequest(n=3, steps=2), originals)
    late = samples(run, first=4)
    assert [one.index for one in late] == [4, 5]
    assert np.abs(late[0].molecule.pos - samples(run)[4].molecule.pos).max() < 1e-3


def test_molecules_stay_where_they_were_given(
    loaded: LoadedModel, originals: tuple[Original, ...]
) -> None:
    for one in samples(Variations(loaded, VaryRequest(n=2, steps=2), originals)):
        given = originals[one.index // 2].molecule
        assert one.molecule.n_atoms == given.n_atoms
        assert np.allclose(one.molecule.pos.mean(axis=0), given.pos.mean(axis=0), atol=1e-3)


def test_seeds_and_variations_differ(loaded: LoadedModel, originals: tuple[Original, ...]) -> None:
    first, second = samples(Variations(loaded, VaryRequest(n=2, steps=2), originals[:1]))
    [other] = samples(Variations(loaded, VaryRequest(n=1, steps=2, seed=1), originals[:1]))
    assert np.abs(first.molecule.pos - second.molecule.pos).max() > 0.01
    assert np.abs(first.molecule.pos - other.molecule.pos).max() > 0.01


def test_noise_is_that_of_the_process_and_nearer_than_before(
    loaded: LoadedModel, originals: tuple[Original, ...]
) -> None:
    batch = clean_batch(loaded.model, loaded.info, [one.molecule for one in originals])
    draws = np.random.default_rng(0)
    raw = [draws.standard_normal((n, 3 + loaded.info.vocabulary.n_elements)) for n in batch.sizes]
    noise = coupled_noise(batch, raw)
    for row, (values, n) in enumerate(zip(raw, batch.sizes, strict=True)):
        pos, clean = noise["pos"][row, :n].numpy(), batch.state["pos"][row, :n].numpy()
        plain = values[:, :3] - values[:, :3].mean(axis=0)
        assert np.abs(pos.mean(axis=0)).max() < 1e-5
        assert np.linalg.norm(pos) == pytest.approx(np.linalg.norm(plain), rel=1e-5)
        assert np.square(pos - clean).sum() <= np.square(plain - clean).sum() + 1e-5
        element = np.sort(noise["element"][row, :n].numpy(), axis=0)
        assert np.allclose(element, np.sort(values[:, 3:], axis=0), atol=1e-6)
        assert not noise["pos"][row, n:].any()
    near = noised(loaded.model, batch.state, noise, 12.0)
    far = noised(loaded.model, batch.state, noise, -12.0)
    for name, clean_state in batch.state.items():
        assert torch.allclose(near[name], clean_state, atol=1e-4)
        assert torch.allclose(far[name], noise[name], atol=1e-4)


def test_tags_name_the_source_and_the_likeness(
    loaded: LoadedModel, originals: tuple[Original, ...]
) -> None:
    run = Variations(loaded, VaryRequest(n=2, steps=1, strength=0.25), originals)
    for one in samples(run):
        tags = run.tags(one)
        assert tags["molgen_source"] == f"mols, record {one.index // 2 + 1}"
        assert tags["molgen_strength"] == 0.25
        assert ("molgen_similarity" in tags) == (not one.reason)


@pytest.mark.parametrize(
    ("mol", "words"),
    [
        (Chem.MolFromSmiles("CO"), "no conformer"),
        (mol_of("C", METHANE * np.nan), "no number"),
        (Chem.RemoveHs(mol_of("C", METHANE)), "lacks 4 hydrogens"),
        (mol_of("S", WATER), "holds S, which tiny does not know"),
    ],
)
def test_unfit_molecules_are_named(loaded: LoadedModel, mol: Chem.Mol, words: str) -> None:
    good = mol_of("O", WATER)
    with pytest.raises(UsageError, match=words) as caught:
        originals_of(loaded.info, [good, mol])
    assert "mols, record 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_hydrogen_among_others_is_noticed(loaded: LoadedModel) -> None:
    mol = Chem.RWMol(mol_of("C", METHANE))
    mol.RemoveAtom(4)
    mol.GetAtomWithIdx(0).SetNoImplicit(False)
    with pytest.raises(UsageError, match="lacks 1 hydrogen"):
        originals_of(loaded.info, [mol])


def test_too_large_and_empty_lists_are_named(loaded: LoadedModel) -> None:
    pos = np.arange(13 * 3, dtype=float).reshape(13, 3)
    with pytest.raises(UsageError, match="13 atoms; tiny makes 1 to 12"):
        originals_of(loaded.info, [mol_of("CCCN", pos)])
    with pytest.raises(UsageError, match="mols holds no molecules"):
        originals_of(loaded.info, [])


def test_real_molecules_pass(loaded: LoadedModel, sample_sdf: Path, tmp_path: Path) -> None:
    text = sample_sdf.read_text(encoding="utf-8").split("$$$$\n")[:3]
    path = tmp_path / "three.sdf"
    path.write_text("$$$$\n".join([*text, ""]), encoding="utf-8")
    info = replace(loaded.info, n_atoms=(0,) * 30)
    found = read_originals(info, path)
    assert len(found) == 3
    for one in found:
        assert one.mol is not None
        assert np.array_equal(molecule_of(one.mol).pos, one.molecule.pos)

"""Molecules are finished the same way in this process and in others, and come in order."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem

from molgen.checkpoint import LoadedModel
from molgen.chem.decode import DECODERS, Decoder, decode_argmax
from molgen.chem.mol import build_mol
from molgen.chem.molecule import from_geometry
from molgen.chem.naming import name_of
from molgen.chem.relaxation import LABEL, Relaxation
from molgen.chem.render import FORMATS
from molgen.config import parse_config
from molgen.data.distances import shipped_distances
from molgen.errors import UsageError
from molgen.models.info import ModelInfo
from molgen.sampling.editing.originals import Original
from molgen.sampling.editing.requests import VaryRequest
from molgen.sampling.editing.vary import Variations
from molgen.sampling.finishing import CHUNK, WORTH_A_PROCESS, Sample, usual_workers
from molgen.sampling.plan import default_plan
from molgen.sampling.request import Request
from molgen.sampling.run import Run, Tally
from molgen.sampling.sampler import draw, in_order
from molgen.tasks.formula import FORMULA
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.scaffold import SCAFFOLD

from ..networks import random_model, refining_model  # noqa: TID252

INFO = ModelInfo("random", parse_config({}), (0, 0, 0, 4, 0, 1, 2, 9, 6, 3, 0, 5, 1))
PLAN = default_plan(INFO, 2)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return LoadedModel(random_model().eval(), INFO)


def run_of(loaded: LoadedModel, n: int, **options: object) -> Run:
    return Run(loaded, Request(n=n, steps=2, seed=5, **options), PLAN)  # type: ignore[arg-type]


def assert_same(one: Sample, other: Sample) -> None:
    assert (one.index, one.reason, one.smiles) == (other.index, other.reason, other.smiles)
    assert one.record == other.record
    for a, b in ((one.raw, other.raw), (one.molecule, other.molecule)):
        for name in ("atomic_numbers", "pos", "formal_charge", "bonds"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert Chem.MolToMolBlock(one.mol) == Chem.MolToMolBlock(other.mol)


@pytest.mark.parametrize("decode", DECODERS)
def test_samples_are_what_the_beliefs_stand_for(loaded: LoadedModel, decode: str) -> None:
    n = 12
    samples = list(run_of(loaded, n, decode=decode, batch_size=5).stream(Tally()))
    drawn = list(draw(loaded, range(n), plan=PLAN, seed=5, batch_size=5))
    assert [one.index for one in samples] == list(range(n))
    for sample, one in zip(samples, drawn, strict=True):
        molecule = Decoder(decode, 0, shipped_distances("qm9"))(one.beliefs)
        built = build_mol(molecule, 0)
        assert np.array_equal(sample.molecule.bonds, molecule.bonds)
        assert np.array_equal(sample.molecule.pos, molecule.pos)
        assert np.array_equal(sample.raw.bonds, decode_argmax(one.beliefs).bonds)
        assert sample.reason == built.reason
        assert sample.smiles == ("" if built.reason else name_of(built.mol).smiles)
        assert sample.record is None


def test_other_processes_make_the_same_molecules(loaded: LoadedModel) -> None:
    form = FORMATS[".sdf"]
    n = 2 * CHUNK + 9
    run = run_of(loaded, n, batch_size=CHUNK, decode="argmax")
    alone, shared = (
        list(replace(run, workers=workers, form=form).stream(Tally())) for workers in (1, 2)
    )
    assert [one.index for one in shared] == list(range(n))
    for one, other in zip(alone, shared, strict=True):
        assert_same(one, other)
        assert one.record


def test_other_processes_relax_the_same_molecules(loaded: LoadedModel) -> None:
    run = replace(run_of(loaded, 24, batch_size=8, relax=True), form=FORMATS[".sdf"])
    alone, shared = (list(replace(run, workers=workers).stream(Tally())) for workers in (1, 2))
    for one, other in zip(alone, shared, strict=True):
        assert_same(one, other)
        assert one.relaxed == other.relaxed
        assert one.record == FORMATS[".sdf"].render(one.mol, run.title(one.index), run.tags(one))
    assert LABEL in {one.relaxed for one in alone}


def test_what_is_decoded_anew_gets_positions_of_its_own(loaded: LoadedModel) -> None:
    config = parse_config(
        {"model": {"step_size_cond": True, "smacof_iterations": 8, "refine_layers": 2}}
    )
    refining = LoadedModel(refining_model(), replace(INFO, config=config))
    run = run_of(refining, 40, batch_size=8)
    alone, shared = (list(replace(run, workers=workers).stream(Tally())) for workers in (1, 2))
    for one, other in zip(alone, shared, strict=True):
        assert_same(one, other)
    moved = [bool((one.molecule.pos != one.raw.pos).any()) for one in alone]
    changed = [not np.array_equal(one.molecule.bonds, one.raw.bonds) for one in alone]
    assert any(changed)
    assert all(there for there, other in zip(moved, changed, strict=True) if other)
    asis = list(run_of(refining, 8, batch_size=8, decode="argmax").stream(Tally()))
    assert not any((one.molecule.pos != one.raw.pos).any() for one in asis)
    assert run_of(loaded, 8).fit is None


def test_a_prior_of_the_elements_repairs_what_is_not_given() -> None:
    prior = (0.0, 0.0, -30.0, 0.0, 0.0)
    loaded = LoadedModel(random_model().eval(), replace(INFO, element_prior=prior))
    plain = LoadedModel(loaded.model, INFO)
    leaning, asis = (
        list(run_of(one, 40, batch_size=8).stream(Tally(keep=True))) for one in (loaded, plain)
    )
    nitrogen = [
        sum(int((one.molecule.atomic_numbers == 7).sum()) for one in samples)
        for samples in (leaning, asis)
    ]
    assert nitrogen[0] < nitrogen[1]
    for one, other in zip(leaning, asis, strict=True):
        assert np.array_equal(one.raw.atomic_numbers, other.raw.atomic_numbers)
    methane = Conditioning(FORMULA, (GivenAtoms(np.array([1, 0, 0, 0, 0])),), "methane")
    assert run_of(loaded, 8).finisher.element_prior == prior
    assert replace(run_of(loaded, 8), given=methane).finisher.element_prior == ()


def test_a_run_may_end_before_its_processes_do(loaded: LoadedModel) -> None:
    run = replace(run_of(loaded, 400, batch_size=8, decode="argmax"), workers=2)
    with closing(run.stream(Tally())) as stream:
        assert [next(stream).index for _ in range(3)] == [0, 1, 2]
    assert multiprocessing.active_children() == []


def test_a_record_is_what_a_writer_would_render(loaded: LoadedModel) -> None:
    form = FORMATS[".sdf"]
    run = replace(run_of(loaded, 6), form=form)
    for sample in run.stream(Tally()):
        assert sample.record == form.render(sample.mol, run.title(sample.index), run.tags(sample))


def test_processes_do_not_change_what_a_run_is_called(loaded: LoadedModel) -> None:
    run = run_of(loaded, 6)
    assert replace(run, workers=3, form=FORMATS[".xyz"]).fingerprint == run.fingerprint


def test_runs_are_told_apart_by_options_and_input(loaded: LoadedModel) -> None:
    water = from_geometry(np.array([8, 1, 1]), np.arange(9.0).reshape(3, 3))
    bonded = replace(water, bonds=np.array([[0, 1, 1], [0, 2, 1]], dtype=np.int16))
    runs = [
        run_of(loaded, 6),
        run_of(loaded, 6, decode="argmax", n_atoms=(7, 9)),
        run_of(loaded, 6, relax=True),
        Variations(loaded, VaryRequest(), (Original("water", water),)),
        Variations(loaded, VaryRequest(), (Original("water", bonded),)),
    ]
    assert len({run.fingerprint for run in runs}) == len(runs)
    assert run_of(loaded, 9).fingerprint == runs[0].fingerprint


def test_what_is_given_in_place_is_not_relaxed(loaded: LoadedModel) -> None:
    element = np.array([1, 0])
    placed = Conditioning(
        SCAFFOLD, (GivenAtoms(element, np.array([[0.0, 0, 0], [1.09, 0, 0]])),), "scaffold"
    )
    named = Conditioning(FORMULA, (GivenAtoms(element),), "CH")
    assert run_of(loaded, 6).relaxing is None
    run = run_of(loaded, 6, relax=True)
    assert run.relaxing == replace(run, given=named).relaxing == Relaxation((0,))
    assert replace(run, given=placed).relaxing == Relaxation((2,))


def test_no_processes_are_no_way_to_run(loaded: LoadedModel) -> None:
    with pytest.raises(UsageError, match="workers is 0"):
        replace(run_of(loaded, 6), workers=0)


def test_few_molecules_are_not_worth_a_process() -> None:
    assert usual_workers(10, on_gpu=True) == 1
    assert usual_workers(10**6, on_gpu=False) == 1
    assert 1 <= usual_workers(3 * WORTH_A_PROCESS, on_gpu=True) <= 3


def test_order_needs_every_place() -> None:
    assert list(in_order([(2, "c"), (0, "a"), (3, "d"), (1, "b"), (5, "f")])) == list("abcd")

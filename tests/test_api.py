"""The package from Python, with a tiny untrained model."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

import molgen
from molgen.chem.relaxation import LABEL
from molgen.errors import UsageError
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.request import Request


@pytest.fixture(scope="module")
def generator(tiny_weights: Path) -> molgen.Generator:
    """The tiny model, loaded."""
    return molgen.load(tiny_weights, device="cpu")


def test_sample_gives_molecules_with_one_conformer(generator: molgen.Generator) -> None:
    mols = generator.sample(6, steps=2, seed=1)
    assert len(mols) == 6
    for index, mol in enumerate(mols):
        assert isinstance(mol, Chem.Mol)
        assert mol.GetNumConformers() == 1
        assert np.isfinite(mol.GetConformer().GetPositions()).all()
        assert mol.GetProp("_Name") == f"tiny-s1-k2-{index}"
        assert mol.GetProp("molgen_index") == str(index)
        assert (mol.GetProp("molgen_valid") == "true") == (not mol.GetProp("molgen_reason"))


def test_nothing_is_printed(generator: molgen.Generator, capfd: pytest.CaptureFixture[str]) -> None:
    generator.sample(2, steps=1)
    assert capfd.readouterr() == ("", "")
    generator.sample(2, steps=1, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "sampling" in err


def test_stream_is_lazy_and_equals_sample(generator: molgen.Generator) -> None:
    stream = generator.stream(10**9, steps=1, batch_size=4)
    first = [mol.GetConformer().GetPositions() for mol in islice(stream, 3)]
    again = [mol.GetConformer().GetPositions() for mol in generator.sample(3, steps=1)]
    for one, other in zip(first, again, strict=True):
        assert np.allclose(one, other, atol=1e-3)


def test_sizes_and_valid_only(generator: molgen.Generator) -> None:
    mols = generator.sample(5, steps=2, n_atoms=(7, 8), valid_only=True)
    assert {mol.GetNumAtoms() for mol in mols} <= {7, 8}
    assert {mol.GetProp("molgen_reason") for mol in mols} == {""}


def test_relaxed_molecules_say_so(generator: molgen.Generator) -> None:
    plain, relaxed = (generator.sample(6, steps=2, relax=relax) for relax in (False, True))
    assert not any(mol.HasProp("molgen_relaxed") for mol in plain)
    moved = 0
    for one, other in zip(plain, relaxed, strict=True):
        assert one.GetProp("_Name") == other.GetProp("_Name")
        assert [atom.GetSymbol() for atom in one.GetAtoms()] == [
            atom.GetSymbol() for atom in other.GetAtoms()
        ]
        is_relaxed = other.GetProp("molgen_relaxed") == LABEL
        pos = [mol.GetConformer().GetPositions() for mol in (one, other)]
        assert is_relaxed == (not np.array_equal(*pos))
        moved += is_relaxed
    assert moved
    stream = generator.stream(6, steps=2, relax=True)
    assert [mol.GetProp("molgen_relaxed") for mol in stream] == [
        mol.GetProp("molgen_relaxed") for mol in relaxed
    ]


def test_integers_make_nearly_the_same_molecules(generator: molgen.Generator) -> None:
    def positions(**options: Any) -> list[np.ndarray]:
        mols = generator.sample(6, steps=2, **options)
        return [mol.GetConformer().GetPositions() for mol in mols]

    usual, integers = positions(), positions(int8=True)
    for one, other in zip(usual, integers, strict=True):
        assert one.shape == other.shape
        assert not np.array_equal(one, other)
        assert np.abs(one - other).max() < 0.3
    for one, other in zip(integers, positions(int8=True, batch_size=2), strict=True):
        assert np.allclose(one, other, atol=1e-3)


def test_wrong_options_fail_at_once(generator: molgen.Generator) -> None:
    with pytest.raises(UsageError, match="n is 0"):
        generator.sample(0)
    with pytest.raises(UsageError, match="euler"):
        generator.stream(1, plan=PlanOptions(solver="eulr"))
    with pytest.raises(UsageError, match="no-such-model"):
        molgen.load("no-such-model")


def test_samples_go_to_ase(generator: molgen.Generator) -> None:
    mols = generator.sample(2, steps=1)
    for mol, atoms in zip(mols, molgen.to_ase(mols), strict=True):
        assert np.allclose(atoms.positions, mol.GetConformer().GetPositions())
        assert atoms.info["molgen_model"] == "tiny"


def test_evaluate_takes_molecules_and_files(generator: molgen.Generator, tmp_path: Path) -> None:
    mols = generator.sample(4, steps=2, valid_only=True)
    path = tmp_path / "m.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            writer.write(mol)
    for scores in (molgen.evaluate(mols, None), molgen.evaluate(path, None)):
        assert scores.n == 4
        assert scores.connected_valid is not None
        assert scores.connected_valid.count == 4


def test_what_was_found_for_free_molecules_is_left_out_where_something_is_known() -> None:
    few = molgen.load("qm9-few", device="cpu")
    free, given = (few.run(Request(n=1, steps=4, formula=one)).plan for one in (None, "C6H6"))
    assert free.input_scale
    assert free.logit_bias
    assert given == free.plain()

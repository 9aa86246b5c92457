"""Runs of conformers: completed after a kill at any moment, byte by byte the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from rdkit import Chem

from molgen.chem.conformers.files import Inputs
from molgen.chem.conformers.query import Refused, query
from molgen.config import validated
from molgen.config.conformers import ConformerConfig
from molgen.errors import UsageError
from molgen.sampling.conformers import stream as sampling
from molgen.sampling.conformers.request import PRESETS, ConformerRequest, with_preset
from molgen.sampling.conformers.run import ConformerRun
from molgen.sampling.conformers.stream import chunk_size, stream_conformers
from molgen.sampling.destination import destination
from molgen.sampling.status_table import Start
from molgen.tasks.conformer_weights import ConformerInfo, LoadedConformerModel
from molgen.tasks.conformers import build_conformer_model

DIMS = {"scalar": 16, "vector": 4, "pair": 8, "pair_hidden": 8, "n_heads": 2, "n_frames": 2}
RECIPE = {
    "domain": "conformers",
    "data": {"sources": [{"store": "none"}]},
    "model": {"n_layers": 1, "n_radial": 8, "dims": {**DIMS, "mlp": 16, "noise": 16}},
}
LINES = ("CCO a", "nope b", "CCN c", "CC=O d", "[Na+].[Cl-] e", "CCF f", "C g")


@pytest.fixture(scope="module")
def loaded() -> LoadedConformerModel:
    config = validated(ConformerConfig, RECIPE, "test")
    torch.manual_seed(0)
    model = build_conformer_model(config.model).eval()
    return LoadedConformerModel(model, ConformerInfo("tiny", config))


@pytest.fixture
def run(
    loaded: LoadedConformerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ConformerRun:
    monkeypatch.setattr(sampling, "CHUNK", 3)
    path = tmp_path / "in.smi"
    path.write_text("\n".join(LINES) + "\n")
    inputs = Inputs(str(path))
    request = ConformerRequest(n=2, steps=1, redraws=0)
    target = destination(str(tmp_path / "out.sdf"))
    return ConformerRun(loaded, request, inputs, inputs.survey()[1], "", target)


def written(run: ConformerRun, start: Start | None = None) -> tuple[bytes, bytes]:
    made = run.write(start or Start(), lambda _: None)
    assert made.rows == len(LINES)
    assert made.molecules == 5
    return run.target.path.read_bytes(), run.table.path.read_bytes()


def killed(run: ConformerRun, records: bytes, table: bytes) -> None:
    """What a run leaves that ended here."""
    run.target.path.unlink(missing_ok=True)
    run.table.path.unlink(missing_ok=True)
    run.target.partial.write_bytes(records)
    run.table.partial.write_bytes(table)


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz"])
def test_a_killed_run_is_completed_byte_by_byte(run: ConformerRun, suffix: str) -> None:
    path = run.target.path.with_name(f"out{suffix}")
    run = replace(run, target=destination(str(path)))
    records, table = written(run)
    for share in (0.0, 0.01, 0.3, 0.55, 0.99, 1.0):
        for other in (0.0, 0.4, 1.0):
            killed(run, records[: int(share * len(records))], table[: int(other * len(table))])
            start = run.table.start()
            assert start is not None
            assert written(run, start) == (records, table)
    assert run.table.start() is None


def test_a_damaged_record_is_made_again(run: ConformerRun) -> None:
    records, table = written(run)
    place = records.index(b"CCN")
    killed(run, records[:place] + b"X" + records[place + 1 :], table)
    assert written(run, run.table.start()) == (records, table)


def test_a_run_killed_between_its_two_names_is_complete(run: ConformerRun) -> None:
    records, table = written(run)
    run.target.path.rename(run.target.partial)
    assert written(run, run.table.start()) == (records, table)


def test_what_is_of_another_run_is_left_alone(run: ConformerRun) -> None:
    written(run)
    other = replace(run, request=replace(run.request, seed=1))
    with pytest.raises(UsageError, match="another run"):
        other.table.start()
    changed = replace(run, digest="0")
    with pytest.raises(UsageError, match="another run"):
        changed.table.start()
    assert replace(run, request=replace(run.request, workers=2)).table.start() is None


def test_results_come_as_they_are_asked_for(loaded: LoadedConformerModel) -> None:
    read = 0

    def forever() -> Iterator[str]:
        nonlocal read
        for read in count(1):  # noqa: B007 - the number read so far
            yield "CCO"

    results = stream_conformers(loaded.model, forever(), ConformerRequest(n=1, steps=1))
    assert next(results).mol is not None
    assert read <= 2 * sampling.CHUNK


def test_a_pool_keeps_the_lowest_that_are_apart(loaded: LoadedConformerModel) -> None:
    request = ConformerRequest(n=3, steps=1, pool=4, minimise="mmff94s", redraws=0)
    (result,) = stream_conformers(loaded.model, ["CCCCO"], request)
    (everything,) = stream_conformers(
        loaded.model, ["CCCCO"], replace(request, n=12, pool=1, rms=0.0)
    )
    assert result.mol is not None
    assert everything.mol is not None
    lowest = [one.GetConformer(0).GetDoubleProp("energy") for one in (result.mol, everything.mol)]
    assert lowest[0] == pytest.approx(lowest[1], abs=1e-3)
    assert result.mol.GetNumConformers() <= 3


def test_properties_order_and_isotopes_survive(loaded: LoadedConformerModel) -> None:
    params = Chem.SmilesParserParams()
    params.removeHs = False
    given = Chem.MolFromSmiles("[2H]OC([H])C", params)
    given.SetProp("code", "x1")
    given.GetAtomWithIdx(1).SetProp("label", "O1")
    (result,) = stream_conformers(loaded.model, [given], ConformerRequest(n=1, steps=1))
    assert result.mol is not None
    atoms = list(result.mol.GetAtoms())[: given.GetNumAtoms()]
    assert [(a.GetSymbol(), a.GetIsotope()) for a in atoms] == [
        (a.GetSymbol(), a.GetIsotope()) for a in given.GetAtoms()
    ]
    assert result.mol.GetProp("code") == "x1"
    assert atoms[1].GetProp("label") == "O1"


def test_molecules_are_drawn_together_until_there_are_two_thousand_conformers() -> None:
    sizes = [chunk_size(ConformerRequest(n=n)) for n in (20, 312, 1_000, 100_000)]
    assert sizes == [64, 6, 2, 1]


def test_conformers_of_a_pool_are_three_tenths_apart() -> None:
    assert ConformerRequest(pool=2).finishing.rms == 0.3
    assert ConformerRequest().finishing.rms == 0
    assert ConformerRequest(pool=2, rms=0.0).finishing.rms == 0


def test_only_what_the_network_could_not_hold_is_left_to_an_embedding() -> None:
    for n, can_embed in ((201, True), (1_000, True), (1_001, False)):
        refused = query("C" * n)
        assert isinstance(refused, Refused)
        assert (refused.query is not None) == can_embed


@pytest.mark.parametrize("name", list(PRESETS))
def test_options_that_are_said_win_over_a_preset(name: str) -> None:
    pytest.importorskip("tblite")
    chosen = with_preset(ConformerRequest(n=7), name, {"n"})
    assert chosen.n == 7
    assert chosen.steps == PRESETS[name]["steps"]
    assert with_preset(ConformerRequest(), name, ()).n == PRESETS[name]["n"]
    with pytest.raises(UsageError, match="unknown preset"):
        with_preset(ConformerRequest(), "rapidd", ())

"""Weights files: a round trip loses nothing, damage is told in one line."""

from __future__ import annotations

import json
import random
import stat
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from molgen import checkpoint
from molgen.checkpoint import available_models, find_model, load_model, read_info, save_model
from molgen.config import parse_config
from molgen.device import pick_device
from molgen.errors import CheckpointError, MolgenError, UsageError
from molgen.models.info import ModelInfo, SamplingPreset

from .networks import SIZES, WIDTH, random_model

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def info() -> ModelInfo:
    """What a file would say of `random_model`, with nothing left at its default."""
    dims = {name: getattr(WIDTH, name) for name in WIDTH.__dataclass_fields__}
    model = {"n_layers": SIZES.n_layers, "n_radial": SIZES.n_radial, "dims": dims}
    return ModelInfo(
        name="random",
        config=parse_config({"model": {**model, "pos_scale": 1.4}, "train": {"seed": 3}}),
        n_atoms=(0,) * 10 + (3, 0, 5),
        presets={
            1: SamplingPreset("ddim", (20.0,), input_scale=(1.2,)),
            4: SamplingPreset("dpm++2m", (20.0, 3.0, 0.5, 0.1)),
        },
        training={"steps": 12, "hardware": "abacus"},
    )


@pytest.fixture
def saved(tmp_path: Path, info: ModelInfo) -> Path:
    path = tmp_path / "random.safetensors"
    save_model(path, random_model(), info)
    return path


def one_line(error: MolgenError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def test_round_trip(saved: Path, info: ModelInfo) -> None:
    loaded = load_model(saved, "cpu")
    assert loaded.info == info
    assert loaded.name == "random"
    assert loaded.path == saved
    assert not loaded.model.training
    assert loaded.model.scales == random_model().scales
    weights = random_model().state_dict()
    assert loaded.model.state_dict().keys() == weights.keys()
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_info_survives_its_json_form(info: ModelInfo) -> None:
    text = json.dumps(info.to_dict())
    assert ModelInfo.from_dict(json.loads(text), "here") == info
    assert info.trained(seconds=2).training == {**info.training, "seconds": 2}


def test_saving_leaves_nothing_else_behind_and_replaces(saved: Path, info: ModelInfo) -> None:
    save_model(saved, random_model(), replace(info, name="again"))
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert read_info(saved).name == "again"


def test_a_truncated_file(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    header_ends = 8 + struct.unpack("<Q", whole[:8])[0]
    cut = tmp_path / "cut.safetensors"
    lengths = (0, 1, 7, 8, 9, header_ends - 1, header_ends, header_ends + 1, len(whole) - 1)
    for n_bytes in lengths:
        cut.write_bytes(whole[:n_bytes])
        for read in (read_info, load_model):
            with pytest.raises(CheckpointError) as caught:
                read(cut)
            assert "cut.safetensors" in one_line(caught.value)


@settings(max_examples=30)
@given(st.binary(max_size=64))
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.safetensors"
    path.write_bytes(content)
    for read in (read_info, load_model):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        assert "noise.safetensors" in one_line(caught.value)


def test_a_damaged_byte_in_the_header_is_no_traceback(saved: Path, tmp_path: Path) -> None:
    whole = bytearray(saved.read_bytes())
    header_ends = 8 + struct.unpack("<Q", whole[:8])[0]
    damaged, dice = tmp_path / "damaged.safetensors", random.Random(0)  # noqa: S311
    for place in [*range(8), *dice.sample(range(8, header_ends), 60)]:
        content = bytearray(whole)
        content[place] ^= 1 << dice.randrange(8)
        damaged.write_bytes(content)
        try:
            load_model(damaged, "cpu")
        except MolgenError as error:
            one_line(error)


def test_headers_that_are_not_ours(tmp_path: Path, info: ModelInfo) -> None:
    def with_metadata(metadata: dict[str, str] | None) -> Path:
        path = tmp_path / "foreign.safetensors"
        save_file({"x": torch.zeros(3)}, path, metadata=metadata)
        return path

    tree = info.to_dict()
    del tree["presets"]
    for metadata in (
        None,
        {"format": "pt"},
        {"molgen": "not json"},
        {"molgen": "[]"},
        {"molgen": json.dumps({"format": 1})},
        {"molgen": json.dumps(tree)},
    ):
        path = with_metadata(metadata)
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        assert "foreign.safetensors" in one_line(caught.value)
    path = with_metadata({"molgen": json.dumps({**info.to_dict(), "format": 99})})
    with pytest.raises(CheckpointError, match="format 99, this version reads 1"):
        read_info(path)


def test_weights_of_another_recipe(saved: Path, info: ModelInfo) -> None:
    weights = load_file(saved)
    for changed in (
        {name: value for name, value in weights.items() if "head_vector" not in name},
        {**weights, "extra": torch.zeros(1)},
        {**weights, "network.size.bias": torch.zeros(WIDTH.noise + 1)},
    ):
        save_file(changed, saved, metadata={"molgen": json.dumps(info.to_dict())})
        with pytest.raises(CheckpointError, match="does not fit its own recipe"):
            load_model(saved)


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "no.safetensors", "no.safetensors", "runs/no"):
        with pytest.raises(CheckpointError, match="no weights file") as caught:
            load_model(path)
        assert "molgen models" in one_line(caught.value)
    with pytest.raises(CheckpointError, match="cannot read"):
        read_info(tmp_path)


def test_shipped_models_go_by_name(
    saved: Path, monkeypatch: pytest.MonkeyPatch, info: ModelInfo
) -> None:
    monkeypatch.setattr(checkpoint, "WEIGHTS", saved.parent)
    assert find_model("random") == saved
    assert available_models() == [info]
    with pytest.raises(UsageError, match='unknown model "randon"') as caught:
        find_model("randon")
    assert 'Did you mean "random"?' in one_line(caught.value)


def test_reading_a_header_needs_no_torch(saved: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from molgen.checkpoint import read_info
print(read_info(Path({str(saved)!r})).name, "torch" in sys.modules, "rdkit" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["random", "False", "False"]


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="unknown device 'gpuu'"):
        pick_device("gpuu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no GPU"):
        pick_device("cuda")


def test_others_may_read_the_file(saved: Path) -> None:
    assert saved.stat().st_mode & stat.S_IROTH

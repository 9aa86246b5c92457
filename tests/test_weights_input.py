"""Weights are input: whatever a file says, the answer is a model or one line, soon."""

from __future__ import annotations

import copy
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from molgen.checkpoint import load_model
from molgen.config.conformers import ConformerConfig
from molgen.errors import CheckpointError
from molgen.tasks.conformer_weights import ConformerInfo, load_conformer_model
from molgen.tasks.conformers import build_conformer_model
from molgen.tensor_file import digest, read_tensor_file, strict_json
from molgen.weights_file import save_network

Change = Callable[[dict[str, Any]], Any]


def raw(path: Path, header: bytes, body: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + body)
    return path


def refused(path: Path, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_model(path, "cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.fixture(scope="module")
def parts(tiny_weights: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tree = json.loads(read_tensor_file(tiny_weights).metadata["molgen"])
    return load_file(tiny_weights), tree


def into(*path: str | int, value: Any) -> Change:
    def change(tree: dict[str, Any]) -> None:
        place: Any = tree
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


PRESET = {"solver": "ddim", "sigma": [20.0]}


@pytest.mark.parametrize(
    "change",
    [
        into("domain", value=["molecules"]),
        into("name", value=7),
        into("name", value="x" * 10_000),
        into("config", value=[]),
        into("training", value={"steps": [1]}),
        into("unknown", value=1),
        into("n_atoms", value=[0, "many"]),
        into("n_atoms", value=[0, -1]),
        into("n_atoms", value=[0, True]),
        into("n_atoms", value=[1] * 1_000_000),
        into("n_atoms", value=[]),
        into("presets", value={"10000000": PRESET}),
        into("presets", value={"four": PRESET}),
        into("presets", value={"1": {**PRESET, "sigma": []}}),
        into("presets", value={"1": {**PRESET, "sigma": ["wide"]}}),
        into("presets", value={"1": {**PRESET, "logit_bias": {"bond": "all"}}}),
        into("mmse", value={"lam": 3}),
        into("element_prior", value=[1e400]),
        *(
            into("config", "model", name, value=value)
            for name in (
                "n_layers",
                "n_radial",
                "smacof_iterations",
                "valence_bp_rounds",
                "refine_layers",
            )
            for value in (10**9, -1, "many", True)
        ),
        into("config", "model", "dims", "scalar", value=10**9),
        into("config", "lam_max", value=1e30),
    ],
)
def test_a_field_out_of_its_bounds(
    parts: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path, change: Change
) -> None:
    tensors, tree = parts[0], copy.deepcopy(parts[1])
    change(tree)
    path = tmp_path / "odd.safetensors"
    save_file(tensors, path, metadata={"molgen": json.dumps(tree)})
    refused(path, "odd")


def test_sizes_are_compared_before_they_are_built(
    parts: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path
) -> None:
    """Two matrices per layer of 8192 × 32768 numbers: hundreds of gigabytes."""
    tree = copy.deepcopy(parts[1])
    tree["config"]["model"]["n_layers"] = 200
    tree["config"]["model"]["dims"] |= {"scalar": 8192, "mlp": 32768, "n_heads": 1}
    save_file(parts[0], tmp_path / "odd.safetensors", metadata={"molgen": json.dumps(tree)})
    refused(tmp_path / "odd.safetensors", "does not fit its own recipe")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(
    parts: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path, value: float
) -> None:
    tensors = {name: tensor.clone() for name, tensor in parts[0].items()}
    name = sorted(tensors)[3]
    tensors[name].view(-1)[-1] = value
    path = tmp_path / "odd.safetensors"
    save_file(tensors, path, metadata={"molgen": json.dumps(parts[1])})
    refused(path, f"{name} has numbers that are not finite")


def test_numbers_of_another_type(
    parts: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path
) -> None:
    tensors = {name: tensor.to(torch.int32) for name, tensor in parts[0].items()}
    path = tmp_path / "odd.safetensors"
    save_file(tensors, path, metadata={"molgen": json.dumps(parts[1])})
    refused(path, "has type I32")


def entry(**changed: Any) -> bytes:
    spec = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changed}
    return json.dumps({"x": spec}).encode()


@pytest.mark.parametrize(
    "header",
    [
        entry(data_offsets=["0", "8"]),
        entry(data_offsets=[0]),
        entry(data_offsets=[0, 4]),
        entry(data_offsets=[8, 0]),
        entry(data_offsets=[-8, 0]),
        entry(data_offsets=[0, True]),
        entry(shape=[10**9, 10**9]),
        entry(shape=["2"]),
        entry(shape=2),
        entry(dtype="F128"),
        entry(dtype=["F32"]),
        b'{"x": 1}',
        b'{"__metadata__": {"molgen": 1}}',
        b'{"x": NaN}',
        b'{"x": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"__metadata__": {}, "__metadata__": {}}',
        b"\xff\xfe",
    ],
)
def test_a_header_that_is_not_of_the_format(tmp_path: Path, header: bytes) -> None:
    refused(raw(tmp_path / "odd.safetensors", header, bytes(8)), "is not a safetensors file")


def test_a_length_that_is_not_the_files(tmp_path: Path) -> None:
    refused(raw(tmp_path / "long.safetensors", entry(), bytes(9)), "longer than its header says")
    refused(raw(tmp_path / "short.safetensors", entry(), bytes(7)), "truncated")
    (tmp_path / "huge.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    refused(tmp_path / "huge.safetensors", "is not a safetensors file")


def test_nesting_within_the_models_own_header(tmp_path: Path) -> None:
    for text in ('{"format": 1, "config": ' + "[" * 5000, '{"format": 1, "format": 1}'):
        header = json.dumps({"__metadata__": {"molgen": text}}).encode()
        refused(raw(tmp_path / "odd.safetensors", header), "holds no molgen model")


def test_a_pipe_is_no_weights_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="no regular file"):
        read_tensor_file(tmp_path / "pipe.safetensors")


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    path = raw(tmp_path / "x.safetensors", entry(), bytes(8))
    first = digest(path)
    assert digest(path) == first
    assert len(first) == 32
    raw(path, entry(), bytes(7) + b"\x01")
    os.utime(path, ns=(1, 1))
    assert digest(path) != first


def test_depth_is_counted_from_the_outside() -> None:
    assert strict_json("[" * 16 + "]" * 16)
    with pytest.raises(ValueError, match="nested"):
        strict_json("[" * 18 + "]" * 18)


def test_weights_of_conformers_are_checked_alike(tmp_path: Path) -> None:
    config = ConformerConfig(
        domain="conformers", data={"sources": [{"store": "none"}]}, model={"n_layers": 1}
    )
    path = tmp_path / "odd.safetensors"
    save_network(path, build_conformer_model(config.model), ConformerInfo("odd", config))
    assert load_conformer_model(path, "cpu").info.config == config
    tensors, tree = load_file(path), json.loads(read_tensor_file(path).metadata["molgen"])
    for change in (into("config", "model", "n_layers", value=10**9), into("name", value=7)):
        odd = copy.deepcopy(tree)
        change(odd)
        save_file(tensors, path, metadata={"molgen": json.dumps(odd)})
        with pytest.raises(CheckpointError, match="damaged header"):
            load_conformer_model(path, "cpu")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, path, metadata={"molgen": json.dumps(tree)})
    with pytest.raises(CheckpointError, match="not finite"):
        load_conformer_model(path, "cpu")

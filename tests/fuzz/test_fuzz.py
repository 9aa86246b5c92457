"""Generated inputs for every reader of the command line: ``pytest -m fuzz``."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file

from molgen.cli import run
from molgen.tensor_file import read_tensor_file

from .conftest import Obeys
from .mutations import HOSTILE, dice_of, examples, mutated_bytes, mutated_tree

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.fuzz


def sampling(weights: Path, out: Path) -> list[str]:
    fixed = ["--n", "1", "--steps", "1", "--device", "cpu", "--no-metrics", "--quiet", "--force"]
    return ["sample", "--model", str(weights), "--out", str(out), *fixed]


def test_headers_of_models(obeys: Obeys, tiny_weights: Path, tmp_path: Path) -> None:
    dice = dice_of(0)
    tensors = load_file(tiny_weights)
    tree = json.loads(read_tensor_file(tiny_weights).metadata["molgen"])
    path = tmp_path / "odd.safetensors"
    for number in examples(300):
        save_file(tensors, path, metadata={"molgen": json.dumps(mutated_tree(tree, dice))})
        obeys(sampling(path, tmp_path / "o.sdf"), f"tree {number}")


def test_bytes_of_weights(obeys: Obeys, tiny_weights: Path, tmp_path: Path) -> None:
    dice = dice_of(100)
    content = tiny_weights.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    path = tmp_path / "odd.safetensors"
    for number in examples(300):
        path.write_bytes(mutated_bytes(content, dice, end))
        obeys(sampling(path, tmp_path / "o.sdf"), f"bytes {number}")


RECIPES = ("tiny", "qm9-few", "cifar10", "conformers")


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(obeys: Obeys, tmp_path: Path, recipe: str) -> None:
    """Read as ``train`` reads them; no device of this name, so that none is run."""
    dice = dice_of(recipe)
    content = (ROOT / "configs" / f"{recipe}.yaml").read_bytes()
    tree = yaml.safe_load(content)
    path = tmp_path / "odd.yaml"
    for number in examples(100):
        if number % 2:
            path.write_bytes(mutated_bytes(content, dice))
        else:
            path.write_text(yaml.safe_dump(mutated_tree(tree, dice)))
        out = tmp_path / f"run{number}"
        obeys(["train", str(path), "--out", str(out), "--device", "none"], f"{recipe} {number}")


def test_overrides(obeys: Obeys, tmp_path: Path) -> None:
    dice = dice_of(7)
    names = ("model.n_layers", "optim.lr", "times", "train.max_time", "a.b.c", "", "model")
    for number in examples(60):
        value = mutated_bytes(str(dice.choice(HOSTILE)).encode(), dice).decode(errors="replace")
        given = f"{dice.choice(names)}={value[:3000]}"
        out = tmp_path / f"run{number}"
        obeys(["train", "tiny", "--out", str(out), "--device", "none", "--set", given], given[:80])


@pytest.mark.parametrize("suffix", [".sdf", ".xyz", ".smi"])
def test_partial_files(obeys: Obeys, tiny_weights: Path, tmp_path: Path, suffix: str) -> None:
    """What a killed run leaves behind, damaged."""
    dice = dice_of(suffix)
    whole = tmp_path / f"whole{suffix}"
    options = ["--steps", "1", "--device", "cpu", "--no-metrics", "--quiet", "--n", "3"]
    command = ["sample", "--model", str(tiny_weights), *options, "--out"]
    assert run([*command, str(whole)]) == 0
    content = whole.read_bytes()
    for number in examples(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        out = folder / f"o{suffix}"
        Path(f"{out}.partial").write_bytes(mutated_bytes(content, dice))
        obeys([*command, str(out), "--resume"], f"partial {suffix} {number}")
        shutil.rmtree(folder)


OPTIONS = (
    "--steps", "--seed", "--n-atoms", "--batch-size", "--decode", "--formula", "--like",
    "--scaffold", "--guidance", "--guidance-interval", "--avoid", "--schedule", "--solver",
    "--eta", "--kappa", "--tv", "--grid", "--rho", "--shift", "--device", "--model", "--json",
    "--workers",
)  # fmt: skip


def test_options(obeys: Obeys, tiny_weights: Path, tmp_path: Path) -> None:
    """Hostile values; numbers of molecules stay small, since any is a wish that can be granted."""
    dice = dice_of(11)
    values = [str(value)[:3000] for value in HOSTILE] + ["C6H6", "5-9", "9-5", "/dev/null", "-"]
    values = [value for value in values if value not in ("10000", "1000000")]  # may be meant
    for number in examples(120):
        given = [part for _ in range(2) for part in (dice.choice(OPTIONS), dice.choice(values))]
        command = sampling(tiny_weights, tmp_path / "o.sdf")
        obeys([*command, *given], f"options {number}")


@pytest.mark.parametrize("suffix", [".sdf", ".xyz", ".smi"])
def test_files_of_molecules(obeys: Obeys, tiny_weights: Path, tmp_path: Path, suffix: str) -> None:
    dice = dice_of(f"read {suffix}")
    whole, odd = tmp_path / f"whole{suffix}", tmp_path / f"odd{suffix}"
    assert run([*sampling(tiny_weights, whole), "--n", "3"]) == 0
    content = whole.read_bytes()
    for number in examples(8):
        odd.write_bytes(mutated_bytes(content, dice))
        obeys(["evaluate", str(odd)], f"evaluate {suffix} {number}")
        fixed = ["--n", "1", "--steps", "1", "--device", "cpu", "--quiet", "--force"]
        command = ["vary", str(odd), "--model", str(tiny_weights), *fixed]
        obeys([*command, "--out", str(tmp_path / "o.sdf")], f"vary {suffix} {number}")

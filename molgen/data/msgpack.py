"""MessagePack (the specification of 2013): numbers, text, bytes, lists and maps, as they come."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from molgen.errors import DataError

DEPTH: Final = 32
"""Levels of nesting at most."""

_CONSTANTS: Final[Mapping[int, bool | None]] = MappingProxyType(
    {0xC0: None, 0xC2: False, 0xC3: True}
)
_NUMBERS: Final[Mapping[int, str]] = MappingProxyType(
    {
        **dict(zip(range(0xCA, 0xD0), (">f", ">d", ">B", ">H", ">I", ">Q"), strict=True)),
        **dict(zip(range(0xD0, 0xD4), (">b", ">h", ">i", ">q"), strict=True)),
    }
)


def read_msgpack(file: BinaryIO) -> Iterator[Any]:
    """Every object of a stream, one after another.

    Args:
        file: Open for reading, buffered.

    Raises:
        DataError: It is cut short, or holds what the format does not know.
    """
    while first := file.read(1):
        yield _value(file, first[0], 0)


def _value(file: BinaryIO, tag: int, depth: int) -> Any:
    if depth > DEPTH:
        raise DataError("a MessagePack file is nested too deeply", "Fetch it again")
    if tag in _NUMBERS:
        return struct.unpack(_NUMBERS[tag], _bytes(file, struct.calcsize(_NUMBERS[tag])))[0]
    if tag <= 0x7F or tag >= 0xE0:
        return tag if tag <= 0x7F else tag - 0x100
    if tag in _CONSTANTS:
        return _CONSTANTS[tag]
    for first, last, size, make in _SIZED:
        if first <= tag <= last:
            n = tag - first if size is None else struct.unpack(size, _bytes(file, _WIDTH[size]))[0]
            return make(file, n, depth)
    raise DataError(f"a MessagePack file has an unknown type {tag:#x}", "Fetch it again")


def _list(file: BinaryIO, n: int, depth: int) -> list[Any]:
    return [_next(file, depth) for _ in range(n)]


def _map(file: BinaryIO, n: int, depth: int) -> dict[Any, Any]:
    found = {}
    for _ in range(n):
        key = _next(file, depth)
        if not isinstance(key, (str, int, bytes)):
            raise DataError("a MessagePack map has a key that is no text", "Fetch it again")
        found[key] = _next(file, depth)
    return found


def _text(file: BinaryIO, n: int, _: int) -> str:
    return _bytes(file, n).decode(errors="replace")


def _binary(file: BinaryIO, n: int, _: int) -> bytes:
    return _bytes(file, n)


def _next(file: BinaryIO, depth: int) -> Any:
    return _value(file, _bytes(file, 1)[0], depth + 1)


def _bytes(file: BinaryIO, n: int) -> bytes:
    found = file.read(n)
    if len(found) < n:
        raise DataError("a MessagePack file is cut short", "Fetch it again")
    return found


_WIDTH: Final = {">B": 1, ">H": 2, ">I": 4}
_SIZED: Final[tuple[tuple[int, int, str | None, Callable[[BinaryIO, int, int], Any]], ...]] = (
    (0x80, 0x8F, None, _map),
    (0x90, 0x9F, None, _list),
    (0xA0, 0xBF, None, _text),
    *((0xC4 + k, 0xC4 + k, size, _binary) for k, size in enumerate(_WIDTH)),
    *((0xD9 + k, 0xD9 + k, size, _text) for k, size in enumerate(_WIDTH)),
    *((0xDC + k, 0xDC + k, size, _list) for k, size in enumerate((">H", ">I"))),
    *((0xDE + k, 0xDE + k, size, _map) for k, size in enumerate((">H", ">I"))),
)
"""First and last tag, form of the length (None: in the tag), and what reads it."""

"""One random generator per molecule, so that no result depends on how molecules are batched."""

from __future__ import annotations

import hashlib

import numpy as np

from molgen.errors import UsageError

_WORD = 2**64


def generator(seed: int, index: int, stream: str = "") -> np.random.Generator:
    """The generator of one molecule for one purpose.

    Counter-based (Philox4x64-10; Salmon et al., SC 2011): the stream is a pure function of its
    three arguments, so molecule ``index`` is the same whatever is drawn before or beside it.

    Args:
        seed: Seed of the run, 0 <= seed < 2**64.
        index: Number of the molecule in the run, 0 <= index < 2**64.
        stream: Purpose, such as ``"noise"`` or ``"size"``; different purposes are independent.

    Returns:
        A generator that starts at the beginning of its stream.

    Raises:
        UsageError: If ``seed`` or ``index`` is out of range.

    Example:
        >>> draw = generator(0, 7, "noise").standard_normal(3)
        >>> bool((draw == generator(0, 7, "noise").standard_normal(3)).all())
        True
    """
    for name, value in (("seed", seed), ("index", index)):
        if not 0 <= value < _WORD:
            raise UsageError(f"{name} is {value}", f"Use an integer from 0 to {_WORD - 1}")
    purpose = hashlib.blake2b(stream.encode(), digest_size=16).digest()
    words = np.frombuffer(purpose, dtype="<u8")
    # The key separates runs and molecules; the counter's high half separates purposes, which
    # leaves 2**128 blocks per stream before two of them could meet.
    counter = np.array([0, 0, words[0], words[1]], dtype=np.uint64)
    key = np.array([seed, index], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))

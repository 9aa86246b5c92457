"""Inputs made worse: of trees, of texts, of bytes. A function of the generator alone."""

from __future__ import annotations

import copy
import os
from random import Random
from typing import Any, Final

HOSTILE: Final[tuple[Any, ...]] = (
    *(None, True, False, -1, 0, 1, 2, 7, 10**4, 10**6, 10**9, 2**63, 10**400, -(2**64)),
    *(0.5, -0.0, 1e-300, 1e300, float("nan"), float("inf")),
    *("", "x", "9" * 5000, "²", "\0", "é" * 300, "nan", "../../etc/passwd", "a\nb"),
    *([], {}, [[]], [None], [1] * 5000, {"a": {"b": {"c": 1}}}, {"kind": "logistic"}),
)
"""Values that no field expects, or that one must bound."""


def dice_of(seed: int | str) -> Random:
    """Choices that are the same in every run."""
    return Random(seed)  # noqa: S311 - nothing is kept secret by them


def examples(usual: int) -> range:
    """Numbers of the inputs of one kind; ``MOLGEN_FUZZ_EXAMPLES`` says how many instead."""
    return range(int(os.environ.get("MOLGEN_FUZZ_EXAMPLES", usual)))


def mutated_tree(tree: Any, dice: Random) -> Any:
    """A copy in which one to three values are replaced, dropped, added or doubled."""
    changed = copy.deepcopy(tree)
    for _ in range(dice.randint(1, 3)):
        places = list(_places(changed))
        if not places:
            return dice.choice(HOSTILE)
        holder, key = dice.choice(places)
        kind = dice.random()
        if kind < 0.75:
            holder[key] = copy.deepcopy(dice.choice(HOSTILE))
        elif kind < 0.85:
            del holder[key]
        elif isinstance(holder, dict):
            holder[dice.choice(("x", "", "kind", "é"))] = holder[key]
        else:
            holder.append(holder[key])
    return changed


def mutated_bytes(content: bytes, dice: Random, end: int | None = None) -> bytes:
    """A copy with a few bytes changed, taken out, put in, cut off or doubled before ``end``."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        limit = min(len(changed), end or len(changed))
        place = dice.randrange(max(1, limit))
        kind = dice.randrange(6)
        if kind == 0 and changed:
            changed[min(place, len(changed) - 1)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del changed[place : place + dice.randint(1, 40)]
        elif kind == 2:
            changed[place:place] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 20)))
        elif kind == 3:
            changed[place:place] = dice.choice(TOKENS)
        elif kind == 4:
            del changed[place:]
        else:
            changed[place:place] = changed[place : place + dice.randint(1, 200)]
    return bytes(changed)


TOKENS: Final = (
    b"\n", b"\0", b"[" * 99, b"{", b"}", b"&a [*a, *a]", b"999999999999", b"-1", b"nan", b"1e400",
    b"!!int x", b"2001-99-99", b": ", b"- ", b"$$$$\n", b"M  END\n", b"\xff\xfe", b"9" * 5000,
    b"true", b"? ", b"<<: ", b"\t", "²".encode(),
)  # fmt: skip
"""Texts that mean something to a reader."""


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """All holders and keys of a tree."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in list(pairs) if isinstance(tree, dict | list) else ():
        found += [(tree, key), *(_places(value) if isinstance(value, dict | list) else ())]
    return found

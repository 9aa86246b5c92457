"""The nearest known name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None when nothing is close.

    Upper and lower case, ``-`` and ``_`` count as equal.

    Example:
        >>> nearest("dpm-solver", ["euler", "dpm_solver", "ddim"])
        'dpm_solver'
    """
    by_key = {_key(candidate): candidate for candidate in known}
    matches = difflib.get_close_matches(_key(name), by_key, n=1, cutoff=0.5)
    return by_key[matches[0]] if matches else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """The hint that follows "unknown name": the nearest one, then all of them.

    Example:
        >>> suggestion("eulr", ["euler", "heun"])
        'Did you mean "euler"? Known: euler, heun'
    """
    names = list(known)
    closest = nearest(name, names)
    question = f'Did you mean "{closest}"? ' if closest else ""
    return f"{question}Known: {', '.join(names) or 'none'}"


def unknown(kind: str, name: str, known: Iterable[str]) -> tuple[str, str]:
    """The message and hint for a name that does not exist.

    Args:
        kind: What the name stands for, such as ``"model"``.
        name: What the user typed.
        known: The names that exist.

    Returns:
        ``(message, hint)``, ready for a :class:`~molgen.errors.MolgenError`.

    Example:
        >>> unknown("solver", "eulr", ["euler", "heun"])[0]
        'unknown solver "eulr"'
    """
    return f'unknown {kind} "{name}"', suggestion(name, known)


def _key(name: str) -> str:
    return name.lower().replace("-", "_")

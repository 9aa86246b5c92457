"""Classes that lean: what is added to the log-probabilities of a model's estimates.

An estimate is a mean over what the data may be, and a sampler of few steps hardens it too early:
what is half an element or half a bond becomes one too often, in the state, in what the next call
hears, in the end. So estimates may lean to the other side, by as much as brings the shares of the
classes to where those of the data are. What is certain stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from molgen.errors import UsageError


@dataclass(frozen=True)
class Lean:
    """Numbers to add to log-probabilities, one per class.

    Attributes:
        added: The numbers by the name of what is classified, in the order of the names; without
            any, nothing leans.

    Raises:
        UsageError: One is not finite.
    """

    added: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __post_init__(self) -> None:
        """Reject what has no logarithm."""
        if not all(math.isfinite(one) for _, numbers in self.added for one in numbers):
            raise UsageError("lean is added to logarithms", "Give finite numbers; 0 is none")

    @classmethod
    def of(cls, numbers: Mapping[str, Sequence[float]]) -> Lean:
        """From a mapping; what leans nowhere is left out.

        Example:
            >>> Lean.of({"element": (0.0, -1.0), "bond": (0.0, 0.0)}).added
            (('element', (0.0, -1.0)),)
        """
        rows = sorted((name, tuple(map(float, one))) for name, one in numbers.items())
        return cls(tuple((name, one) for name, one in rows if any(one)))

    def __bool__(self) -> bool:
        """Whether anything leans."""
        return bool(self.added)

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-ready form."""
        return {name: list(numbers) for name, numbers in self.added}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any] | None) -> Lean:
        """From the JSON form; None is no lean."""
        return cls.of(tree or {})

    def on(self, name: str) -> tuple[float, ...]:
        """What is added to classes of that name; empty where nothing is."""
        return dict(self.added).get(name, ())


NO_LEAN = Lean()
"""Classes as they are."""

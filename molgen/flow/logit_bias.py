"""Numbers that are added to the class logits of every estimate of a sampler.

An estimate is a mean over what the data may be, and a sampler of few steps hardens it too early:
what is half an element or half a bond becomes one too often. A bias per class brings the shares
of the classes to those of the data (logit adjustment, Menon et al. 2021, arXiv 2007.07314). What
is certain stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from molgen.errors import UsageError


@dataclass(frozen=True)
class LogitBias:
    """Numbers to add to log-probabilities, one per class.

    Attributes:
        added: The numbers by the name of what is classified, sorted by it; empty is no bias.

    Raises:
        UsageError: One is not finite.
    """

    added: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __post_init__(self) -> None:
        if not all(math.isfinite(one) for _, numbers in self.added for one in numbers):
            raise UsageError(
                "a logit bias is added to logarithms", "Give finite numbers; 0 is none"
            )

    @classmethod
    def of(cls, numbers: Mapping[str, Sequence[float]] | None) -> LogitBias:
        """From a mapping; what is all zero is left out, and None is no bias.

        Example:
            >>> LogitBias.of({"element": (0.0, -1.0), "bond": (0.0, 0.0)}).added
            (('element', (0.0, -1.0)),)
        """
        rows = sorted((name, tuple(map(float, one))) for name, one in (numbers or {}).items())
        return cls(tuple((name, one) for name, one in rows if any(one)))

    def __bool__(self) -> bool:
        return bool(self.added)

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-ready form."""
        return {name: list(numbers) for name, numbers in self.added}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any] | None) -> LogitBias:
        """From the JSON form."""
        return cls.of(tree)

    def on(self, name: str) -> tuple[float, ...]:
        """What is added to classes of that name; empty where nothing is."""
        return dict(self.added).get(name, ())


NO_LOGIT_BIAS = LogitBias()
"""Classes as they are."""

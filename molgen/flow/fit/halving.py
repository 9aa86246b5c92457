"""Few samples for many candidates, many samples for few."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

C = TypeVar("C")


def successive_halving(
    candidates: Sequence[C],
    score: Callable[[C, int], float],
    *,
    n_rounds: int = 3,
    n_last: int = 3,
) -> list[C]:
    """Rank candidates in rounds (Jamieson and Talwalkar 2016, arXiv 1502.07943).

    Args:
        candidates: What to choose from, at least one.
        score: How bad a candidate is, judged with the care of a round, counted from 0: later
            rounds should use more samples. A score that is not a number loses.
        n_rounds: Number of rounds; each keeps an equal share of the one before.
        n_last: Candidates of the last round.

    Returns:
        The candidates of the last round, the best first; ties keep their order.
    """
    field = list(candidates)
    n_last = min(n_last, len(field))
    shrink = (n_last / len(field)) ** (1 / max(n_rounds - 1, 1))
    for index in range(n_rounds):
        keep = max(n_last, math.ceil(len(candidates) * shrink ** (index + 1)))
        scores = [_rank(score(one, index)) for one in field]
        ranked = sorted(range(len(field)), key=scores.__getitem__)
        field = [field[place] for place in ranked[:keep]]
    return field[:n_last]


def _rank(score: float) -> float:
    return math.inf if math.isnan(score) else score

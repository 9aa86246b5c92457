"""Numbers that never travel without their denominator."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True)
class Rate:
    """A count out of n.

    Attributes:
        count: How many passed.
        n: Out of how many.
    """

    count: int
    n: int

    @property
    def value(self) -> float:
        """The fraction; NaN when n = 0."""
        return self.count / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the underlying probability (Wilson, J. Am. Stat. Assoc. 1927)."""
        if not self.n:
            return math.nan, math.nan
        z2 = Z_95**2
        centre = (self.count + z2 / 2) / (self.n + z2)
        spread = self.count * (self.n - self.count) / self.n + z2 / 4
        half = Z_95 / (self.n + z2) * math.sqrt(spread)
        return max(0.0, centre - half), min(1.0, centre + half)

    def to_dict(self) -> dict[str, float]:
        """Plain numbers: count, n, value, low, high; a rate out of nothing has no value."""
        if not self.n:
            return {"count": self.count, "n": self.n}
        low, high = self.interval
        return {"count": self.count, "n": self.n, "value": self.value, "low": low, "high": high}


def rate_of(outcomes: Iterable[bool]) -> Rate:
    """The rate of true outcomes.

    Example:
        >>> rate_of([True, True, False, True])
        Rate(count=3, n=4)
    """
    values = [bool(outcome) for outcome in outcomes]
    return Rate(count=sum(values), n=len(values))


@dataclass(frozen=True)
class Spread:
    """Median and mean of a quantity, and for how many records it could not be had.

    Attributes:
        median: Of the n values; None when there are none.
        mean: Of the n values; None when there are none.
        n: Number of values.
        n_failed: Number of records without a value.
    """

    median: float | None
    mean: float | None
    n: int
    n_failed: int

    def to_dict(self) -> dict[str, float | None]:
        """Plain numbers under the attributes' names."""
        return {
            "median": self.median,
            "mean": self.mean,
            "n": self.n,
            "n_failed": self.n_failed,
        }


def spread_of(values: Iterable[float | None]) -> Spread:
    """Median and mean of the values that are there; None and NaN count as failed.

    Example:
        >>> spread_of([1.0, None, 4.0, 1.0])
        Spread(median=1.0, mean=2.0, n=3, n_failed=1)
    """
    everything = list(values)
    found = [float(value) for value in everything if value is not None and math.isfinite(value)]
    return Spread(
        median=median(found) if found else None,
        mean=fmean(found) if found else None,
        n=len(found),
        n_failed=len(everything) - len(found),
    )

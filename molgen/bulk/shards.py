"""Ranges of a long run: which there are, and what their files are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from molgen.errors import UsageError

MAX_SHARDS: Final = 1_000_000

_PLACE: Final = re.compile(r"([0-9]{1,7})/([0-9]{1,7})")


@dataclass(frozen=True, order=True)
class Shard:
    """Rows of a run.

    Attributes:
        first: Number of the first row, counted from 0.
        last: One more than that of the last.
        digits: Of row numbers in file names, so that their order is that of the rows.
    """

    first: int
    last: int
    digits: int = 1

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.last - self.first

    def file_name(self, suffix: str) -> str:
        """Name of its file: first and last row.

        Example:
            >>> Shard(0, 500, 4).file_name(".sdf.gz")
            'part-0000-0499.sdf.gz'
        """
        low, high = (f"{row:0{self.digits}d}" for row in (self.first, self.last - 1))
        return f"part-{low}-{high}{suffix}"


def cut(n_rows: int, n_shards: int) -> tuple[Shard, ...]:
    """A run in shards whose sizes differ by one at most.

    Raises:
        UsageError: There are more shards than rows, or too many.

    Example:
        >>> [(one.first, one.last) for one in cut(7, 3)]
        [(0, 2), (2, 4), (4, 7)]
    """
    most = min(n_rows, MAX_SHARDS)
    if not 1 <= n_shards <= most:
        raise UsageError(f"{n_shards} shards of {n_rows} rows", f"Use --shards 1 to {most}")
    ends = [n_rows * k // n_shards for k in range(n_shards + 1)]
    digits = len(str(n_rows - 1))
    return tuple(Shard(a, b, digits) for a, b in pairwise(ends))


def parse_place(text: str) -> tuple[int, int]:
    """Read ``"3/100"`` as the third of a hundred shards.

    Raises:
        UsageError: It is no such place.

    Example:
        >>> parse_place("3/100")
        (3, 100)
    """
    match = _PLACE.fullmatch(text.strip())
    place, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= place <= count:
        raise UsageError(f'shard is "{text[:40]}"', 'Type a place from 1 on, such as "3/100"')
    return place, count

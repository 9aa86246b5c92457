"""What the parameters of a schedule have to satisfy."""

from __future__ import annotations

import math

from molgen.errors import UsageError


def require_positive(kind: str, **numbers: float) -> None:
    """Reject parameters that are not finite numbers above 0.

    Args:
        kind: Name of the schedule, for the message.
        **numbers: Parameters by name.

    Raises:
        UsageError: One of them is out of range.
    """
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise UsageError(f"{kind} schedule with {name}={number:g}", f"Give {name} above 0")


def require_increasing(kind: str, **numbers: float) -> None:
    """Reject positive parameters that are not listed from small to large.

    Args:
        kind: Name of the schedule, for the message.
        **numbers: Two parameters by name.

    Raises:
        UsageError: One is not above 0, or they are not in increasing order.
    """
    require_positive(kind, **numbers)
    (low, least), (high, most) = numbers.items()
    if not least < most:
        raise UsageError(
            f"{kind} schedule with {low}={least:g}, {high}={most:g}", f"Make {low} below {high}"
        )

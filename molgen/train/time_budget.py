"""How far a run is, by steps and by time, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from molgen.config import OptimConfig
from molgen.errors import ConfigError


def seconds_of(text: str | None) -> float | None:
    """Seconds of ``HH:MM:SS`` (or ``MM:SS``); None stays None.

    Raises:
        ConfigError: The text is not a duration.
    """
    if text is None:
        return None
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"max_time {text!r} is not HH:MM:SS", "write e.g. 00:09:30")
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    if seconds == 0:
        raise ConfigError(f"max_time {text!r} is no time at all", "write HH:MM:SS, e.g. 00:09:30")
    return float(seconds)


def learning_rate_factor(step: int, progress: float, config: OptimConfig) -> float:
    """Fraction of the peak rate: linear warm-up, plateau, cosine to zero at ``progress`` 1."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    late = max(0.0, progress - config.decay_from) / (1 - config.decay_from)
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, late)))


@dataclass
class TimeBudget:
    """Progress of a run whose end is a number of steps or of seconds, whichever comes first.

    Attributes:
        max_steps: Steps of the run.
        max_seconds: Time box, or None.
        before: Seconds spent before this process, in runs that it resumes.
        told: What the first of several processes says of the seconds; None where there is one.
    """

    max_steps: int
    max_seconds: float | None
    before: float = 0.0
    started: float = field(default_factory=time.monotonic)
    told: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.own_seconds if self.told is None else self.told

    @property
    def own_seconds(self) -> float:
        """The same by the clock of this process."""
        return self.before + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Fraction of the run that is over, 0 to 1."""
        by_time = self.seconds / self.max_seconds if self.max_seconds else 0.0
        return min(1.0, max(step / self.max_steps, by_time))

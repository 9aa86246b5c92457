"""Measure plans on an image model."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.presets.record import Measured
from molgen.flow.plan import Plan
from molgen.images.checkpoint import LoadedImages
from molgen.images.frechet import FrechetDistance
from molgen.images.sampler import draw
from molgen.images.store import ImageStore

N_GROUPS = 20
"""Groups of the jackknife: its standard error is itself known to about 1 / sqrt(2 * 20)."""


@dataclass(frozen=True)
class Gain:
    """Two plans on the same noise.

    Attributes:
        new: Distance of the one.
        old: Distance of the other.
        error: Standard error of their difference.
    """

    new: float
    old: float
    error: float

    @property
    def wins(self) -> bool:
        """Whether the one comes nearer by more than chance."""
        return self.old - self.new > self.error


def open_distance(store: ImageStore, size: int, n: int) -> FrechetDistance:
    """Distance to the first ``n`` training images, whose features are kept beside them."""
    images = store.tensor("train", size)[:n]
    key = hashlib.blake2b(images.numpy().tobytes(), digest_size=8).hexdigest()
    path = store.folder / f"features-{key}.pt"
    if path.exists():
        return FrechetDistance(torch.load(path, weights_only=True))
    features = FrechetDistance(images[:2]).features(images)
    torch.save(features, path)
    return FrechetDistance(features)


def jackknife(values: Tensor) -> float:
    """Standard error of a statistic from its values with one group left out each, ``[G]``.

    Delete-a-group jackknife (Efron and Tibshirani 1993, An Introduction to the Bootstrap, 11.5).
    """
    n = len(values)
    return math.sqrt((n - 1) / n * float((values - values.mean()).square().sum()))


@dataclass(frozen=True)
class ImageBench:
    """Where plans are measured.

    Attributes:
        loaded: The model.
        distance: Distance to real images.
        measured: Earlier measurements.
    """

    loaded: LoadedImages
    distance: FrechetDistance
    measured: Measured

    def loss(self, plan: Plan, n: int, seed: int) -> float:
        """Distance of the first ``n`` images of a seed, computed in bfloat16: for searches."""
        key = ["bf16", bare(plan), n, seed]
        return float(self.measured.get(key, lambda: self._loss(plan, n, seed)))

    def _loss(self, plan: Plan, n: int, seed: int) -> float:
        device = next(self.loaded.model.parameters()).device.type
        with torch.autocast(device, torch.bfloat16):
            features = self.features(plan, n, seed)
        return self.distance.of(features.float())

    def gain(self, new: Plan, old: Plan, n: int, seed: int) -> Gain:
        """How much nearer ``new`` comes than ``old`` on the same noise, in full precision.

        Both plans lose the same images in a group of the jackknife, so what their images have in
        common does not count as error.
        """

        def make() -> list[float]:
            pair = [self.features(plan, n, seed) for plan in (new, old)]
            group = torch.arange(n) % N_GROUPS
            left = [
                self.distance.of(pair[1][group != index])
                - self.distance.of(pair[0][group != index])
                for index in range(N_GROUPS)
            ]
            error = jackknife(torch.tensor(left, dtype=torch.float64))
            return [*(self.distance.of(features) for features in pair), error]

        return Gain(*self.measured.get(["gain", bare(new), bare(old), n, seed], make))

    def features(self, plan: Plan, n: int, seed: int) -> Tensor:
        """What the comparing network sees in the first ``n`` images of a seed."""
        images = draw(self.loaded, range(n), plan, seed=seed)
        return self.distance.features(images)


def bare(plan: Plan) -> dict[str, Any]:
    """What a plan is, without where it comes from."""
    return replace(plan, origin="").to_dict()

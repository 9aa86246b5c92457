"""Fréchet distance between sets of images, on EfficientNet-Lite0 features.

The distance of Heusel et al. 2017 (arXiv 1706.08500) between Gaussians fitted to features, with
another network than theirs: its numbers compare with each other, never with published FIDs. It is
biased by the number of images, so only values of equal n compare.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from molgen.errors import UsageError
from molgen.images.features import EfficientNetLite0

NAME = "Fréchet distance on EfficientNet-Lite0 features"

_BATCH = 50


class FrechetDistance:
    """Distance of sets of images to one reference set.

    Args:
        reference: uint8 images ``[N, 3, S, S]``, or what `features` made of them, ``[N, F]``.
        features: Network from uint8 images to ``[B, num_features]``; EfficientNet-Lite0 when None.

    Raises:
        UsageError: Fewer than two images.
    """

    def __init__(self, reference: Tensor, features: nn.Module | None = None) -> None:
        self._network = features or EfficientNetLite0()
        given = _Given(int(self._network.num_features))  # type: ignore[arg-type]
        self._metric = FrechetInceptionDistance(given, reset_real_features=False)
        self._add(reference if reference.ndim == 2 else self.features(reference), real=True)

    def __call__(self, images: Tensor | Iterable[Tensor]) -> float:
        """Distance of uint8 images ``[N, 3, S, S]``, or of batches of them, to the reference.

        Raises:
            UsageError: Fewer than two images.
        """
        return self.of(self.features(images))

    def features(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """What the network sees in images, ``[N, F]``; several sets can be compared by it."""
        batches = images.split(_BATCH) if isinstance(images, Tensor) else images
        return torch.cat([self._network(batch) for batch in batches])

    def of(self, features: Tensor) -> float:
        """Distance of images by their features ``[N, F]``.

        Raises:
            UsageError: Fewer than two images.
        """
        self._metric.reset()
        self._add(features, real=False)
        return float(self._metric.compute())

    def _add(self, features: Tensor, *, real: bool) -> None:
        if len(features) < 2:
            raise UsageError(f"{len(features)} images have no covariance", "Give at least 2")
        self._metric.update(features, real=real)


class _Given(nn.Module):
    """Features that are there already, in place of the network that the metric asks for."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features

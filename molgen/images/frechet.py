"""Fréchet distance between sets of images, on EfficientNet-Lite0 features.

The distance of Heusel et al. 2017 (arXiv 1706.08500) between Gaussians fitted to features, with
another network than theirs: its numbers compare with each other, never with published FIDs. It is
biased by the number of images, so only values of equal n compare.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from molgen.errors import UsageError
from molgen.images.features import EfficientNetLite0

NAME = "Fréchet distance on EfficientNet-Lite0 features"

_BATCH = 50


class FrechetDistance:
    """Distance of sets of images to one reference set.

    Args:
        reference: uint8 images ``[N, 3, S, S]``.
        features: Network from uint8 images to ``[B, num_features]``; EfficientNet-Lite0 when None.

    Raises:
        UsageError: Fewer than two images.
    """

    def __init__(self, reference: Tensor, features: nn.Module | None = None) -> None:
        network = features or EfficientNetLite0()
        self._metric = FrechetInceptionDistance(network, reset_real_features=False)
        self._add(_batches(reference), real=True)

    def __call__(self, images: Tensor | Iterable[Tensor]) -> float:
        """Distance of uint8 images ``[N, 3, S, S]``, or of batches of them, to the reference.

        Raises:
            UsageError: Fewer than two images.
        """
        self._metric.reset()
        self._add(_batches(images) if isinstance(images, Tensor) else images, real=False)
        return float(self._metric.compute())

    def _add(self, batches: Iterable[Tensor], *, real: bool) -> None:
        n = 0
        for batch in batches:
            self._metric.update(batch, real=real)
            n += len(batch)
        if n < 2:
            raise UsageError(f"{n} images have no covariance", "Give at least 2")


def _batches(images: Tensor) -> Iterable[Tensor]:
    return images.split(_BATCH)

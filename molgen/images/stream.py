"""Training batches of images: the whole split on one device, in an order that can resume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import DataError


def to_unit(images: Tensor, center: float, scale: float) -> Tensor:
    """8-bit images in the network's unit: ``(value / 127.5 - 1 - center) / scale``, float32."""
    return (images.to(torch.float32) / 127.5 - (1.0 + center)) / scale


def to_bytes(images: Tensor, center: float, scale: float) -> Tensor:
    """The inverse of `to_unit`, rounded and clipped to uint8."""
    return ((images * scale + center + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass
class ImageStream:
    """Endless batches; every epoch is a shuffle that follows from the seed and its number.

    Attributes:
        images: uint8, ``[N, C, S, S]``, where training happens.
        batch_size: Images per batch; what does not fill one is left out until the next shuffle.
        seed: Seed of the order.
        step: Batches already consumed; set it before iterating to resume.
    """

    images: Tensor
    batch_size: int
    seed: int
    step: int = 0

    def __post_init__(self) -> None:
        """Reject a batch that the data cannot fill."""
        if self.batch_size > len(self.images):
            raise DataError(
                f"a batch of {self.batch_size} is more than the {len(self.images)} images",
                f"Set train.batch_size to {len(self.images)} or less",
            )

    def __iter__(self) -> Iterator[Tensor]:
        """Batches ``[B, C, S, S]`` uint8 from ``step`` on."""
        per_epoch = len(self.images) // self.batch_size
        epoch, start = divmod(self.step, per_epoch)
        while True:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.images), generator=generator)
            for index in range(start, per_epoch):
                rows = order[index * self.batch_size : (index + 1) * self.batch_size]
                yield self.images[rows.to(self.images.device)]
            epoch, start = epoch + 1, 0

"""Batches without data: sizes as the training data have them, and noise to start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molgen.data.loader import DEVICE_MULTIPLE

GROUP = 16
"""Batches whose sizes are drawn together, sorted and cut, so that padding stays small."""


@dataclass(frozen=True)
class SizeBatch:
    """Molecules of which only the size is known.

    Attributes:
        mask: Atoms, ``[B, N]`` bool; they come first in each row.
    """

    mask: Tensor


@dataclass
class SizeStream:
    """Endless batches of sizes from any step on; batch i depends on the seed and on i alone.

    Attributes:
        n_atoms: Molecules of the training data per number of atoms, from 0 on.
        batch_size: Molecules per batch.
        seed: Seed of the sizes.
        device: Where the masks live.
        step: Batches already consumed by training; set it before iterating to resume.
    """

    n_atoms: tuple[int, ...]
    batch_size: int
    seed: int
    device: torch.device
    step: int = 0

    def __iter__(self) -> Iterator[SizeBatch]:
        """The batches."""
        group, start = divmod(self.step, GROUP)
        while True:
            batches = self._group(group)[start:]
            # One copy per group: a device that gets its sizes batch by batch waits each time.
            there = torch.from_numpy(np.stack(batches)).to(self.device)
            for sizes, here in zip(there, batches, strict=True):
                rows = torch.arange(self.width(int(here.max())), device=self.device)
                yield SizeBatch(rows < sizes[:, None])
            group, start = group + 1, 0

    def width(self, n: int) -> int:
        """Rows of a batch whose largest molecule has ``n`` atoms; few different ones on a GPU."""
        multiple = 1 if self.device.type == "cpu" else DEVICE_MULTIPLE
        return min(-(-n // multiple) * multiple, len(self.n_atoms) - 1)

    def _group(self, number: int) -> list[np.ndarray]:
        """Sizes of the batches of one group, ``[B]`` each, in random order."""
        generator = np.random.default_rng((self.seed, number))
        share = np.array(self.n_atoms, dtype=np.float64) / sum(self.n_atoms)
        sizes = np.sort(generator.choice(len(share), size=GROUP * self.batch_size, p=share))
        order = generator.permutation(GROUP)
        return [sizes[i * self.batch_size : (i + 1) * self.batch_size] for i in order]

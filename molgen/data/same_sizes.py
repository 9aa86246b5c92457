"""Random molecules of given sizes, drawn where the data live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.data.loader import Batch, DeviceData
from molgen.errors import DataError


@dataclass(frozen=True)
class SameSizes:
    """Molecules by their size.

    Attributes:
        data: The molecules.
        order: Their indices, sorted by size, ``[M]``, on the device of the data.
        first: Where each size begins in that order, from no atoms on, ``[N + 1]``.
        count: How many there are of each size, ``[N + 1]``.
    """

    data: DeviceData
    order: Tensor
    first: Tensor
    count: Tensor

    @classmethod
    def of(cls, data: DeviceData, wanted: Sequence[int]) -> SameSizes:
        """Sort molecules by size.

        Args:
            data: The molecules.
            wanted: How often each size will be asked for, from no atoms on; 0 is never.

        Raises:
            DataError: There is no molecule of a size that will be asked for.
        """
        count = torch.bincount(data.n_atoms, minlength=len(wanted))
        missing = [size for size, often in enumerate(wanted) if often and not count[size]]
        if missing:
            sizes = ", ".join(map(str, missing))
            raise DataError(
                f"the store has no molecules of {sizes} atoms, which the teacher makes",
                "Prepare the store that the teacher was trained on",
            )
        place = data.pos.device
        return cls(
            data=data,
            order=data.n_atoms.argsort(stable=True).to(place),
            first=(count.cumsum(0) - count).to(place),
            count=count.to(place),
        )

    def draw(self, mask: Tensor, generator: torch.Generator) -> Batch:
        """A molecule of the size of every row of a mask ``[B, N]``, all of a size as probable.

        Args:
            mask: Real atoms, on the device of the data.
            generator: Source of randomness; where it lives there too, nothing waits for the host.
        """
        sizes = mask.sum(dim=1)
        share = torch.rand(len(sizes), generator=generator, device=generator.device)
        within = (share.to(mask.device) * self.count[sizes]).long()
        # Rounding may make a share of almost one a whole.
        within = within.minimum(self.count[sizes] - 1)
        return self.data.padded(self.order[self.first[sizes] + within], mask.shape[1])

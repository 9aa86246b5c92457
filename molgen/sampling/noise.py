"""Random numbers of many molecules, each the ones that its own generator gives.

Making a generator costs several times what a molecule takes from it, most of it entropy that
nobody uses; here one object is set to the beginning of each molecule's stream in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.rng import generator


class Streams:
    """Generators of many molecules for one purpose.

    Args:
        seed: Seed of the run.
        purpose: As for :func:`molgen.rng.generator`.
    """

    def __init__(self, seed: int, purpose: str) -> None:
        self.seed, self.purpose = seed, purpose
        bits = generator(seed, 0, purpose).bit_generator
        self._state = bits.state
        self._key = self._state["state"]["key"]
        self._bits = bits
        self._generator = np.random.Generator(bits)

    def at(self, index: int) -> np.random.Generator:
        """The generator of one molecule, at its beginning; good until the next call.

        Raises:
            UsageError: The number is out of range.
        """
        try:
            self._key[1] = index
        except OverflowError:
            return generator(self.seed, index, self.purpose)  # knows how to say so
        self._bits.state = self._state
        return self._generator


def draw_sizes(
    probability: NDArray[np.float64], seed: int, indices: Sequence[int]
) -> NDArray[np.int64]:
    """Numbers of atoms, each what its generator's ``choice`` gives.

    Args:
        probability: Of every size, from 0 on.
        seed: Seed of the run.
        indices: Numbers of the molecules.
    """
    streams = Streams(seed, "size")
    uniform = np.array([streams.at(index).random() for index in indices])
    distribution = probability.cumsum()
    distribution /= distribution[-1]
    return distribution.searchsorted(uniform, side="right")


def normal_noise(
    streams: Streams, batch: Sequence[int], sizes: NDArray[np.integer], shape: tuple[int, int]
) -> Tensor:
    """Standard normal noise, ``[B, N, F]`` float32 on the CPU, zero in the padding.

    Args:
        streams: Of the purpose.
        batch: Numbers of the molecules.
        sizes: Their numbers of atoms.
        shape: Atoms with padding and features, ``(N, F)``.
    """
    noise = np.zeros((len(batch), *shape), dtype=np.float32)
    for row, (index, n) in enumerate(zip(batch, sizes.tolist(), strict=True)):
        noise[row, :n] = streams.at(index).standard_normal((n, shape[1]))
    return torch.from_numpy(noise)

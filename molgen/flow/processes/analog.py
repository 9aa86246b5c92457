"""Classes as vectors of a Gaussian process: scaled one-hot rows and analog bits.

The network's softmax gives the expected vector, which is the clean data that solvers need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import Gaussian


@dataclass(frozen=True)
class Analog(Gaussian, ABC):
    """A Gaussian process over the code vectors of ``K`` classes.

    Attributes:
        zero_com: Off: the mean class of a molecule is information.
        scale: Size of the code vectors.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Reject codes that all classes share."""
        if not self.scale > 0:
            raise UsageError(f"class codes of scale {self.scale:g}", "Give a scale above 0")

    @abstractmethod
    def encode(self, probability: Tensor) -> Tensor:
        """Expected code vector ``[..., F]`` of probabilities or one-hot rows ``[..., K]``."""

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Class with the nearest code vector, int64 ``[...]``, for vectors ``[..., F]``."""

    def clean_from_logits(self, logits: Tensor) -> Tensor:
        """Expected code vector ``[..., F]`` under a classifier's logits ``[..., K]``."""
        return self.encode(logits.softmax(dim=-1))


@dataclass(frozen=True)
class ScaledOneHot(Analog):
    """Centred one-hot vectors, ``(p - 1 / K) scale`` (after Hoogeboom et al. 2022, 2203.17003)."""

    def encode(self, probability: Tensor) -> Tensor:
        """``(p - 1 / K) scale``."""
        return (probability - 1 / probability.shape[-1]) * self.scale

    def decode(self, x: Tensor) -> Tensor:
        """The largest component."""
        return x.argmax(dim=-1)


@dataclass(frozen=True)
class AnalogBits(Analog):
    """Binary digits of the class as ``scale`` and ``-scale`` (Chen et al. 2022, 2208.04202).

    Attributes:
        n_classes: Classes of the data, at least 2.
    """

    n_classes: int = 2

    def __post_init__(self) -> None:
        """Reject classes without digits."""
        super().__post_init__()
        if self.n_classes < 2:
            raise UsageError(f"bits of {self.n_classes} classes", "Give 2 classes or more")

    @property
    def n_bits(self) -> int:
        """Length of a code vector."""
        return (self.n_classes - 1).bit_length()

    def codes(self, like: Tensor) -> Tensor:
        """Code vectors of all classes, ``[K, n_bits]``, dtype and device of ``like``."""
        classes = torch.arange(self.n_classes)[:, None]
        bits = classes >> torch.arange(self.n_bits - 1, -1, -1) & 1
        return ((2 * bits - 1) * self.scale).to(like)

    def encode(self, probability: Tensor) -> Tensor:
        """Expected digits."""
        return probability @ self.codes(probability)

    def decode(self, x: Tensor) -> Tensor:
        """The class whose digits fit best; all code vectors have one length."""
        return (x @ self.codes(x).T).argmax(dim=-1)

"""From the network's last estimate to beliefs about single molecules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.chem.beliefs import Beliefs
from molgen.chem.elements import Vocabulary
from molgen.models.info import ModelInfo
from molgen.nn.network import Estimate
from molgen.sampling.consistency import ValenceTable, judge


@dataclass(frozen=True)
class Readout:
    """A batch as the network left it, on its device; `fetch` brings it to the host.

    Attributes:
        pos: Positions in Å, ``[B, N, 3]``.
        element_log_prob: ``[B, N, K]``, float32.
        charge_log_prob: ``[B, N, C]``, float32.
        bond_log_prob: ``[B, N, N, 5]``, float32.
        element: Most probable class, ``[B, N]`` uint8.
        charge: Most probable class, ``[B, N]`` uint8.
        bond: Most probable class, ``[B, N, N]`` uint8.
        settled: Whether these classes are a consistent molecule for certain, ``[B]`` bool.
    """

    pos: Tensor
    element_log_prob: Tensor
    charge_log_prob: Tensor
    bond_log_prob: Tensor
    element: Tensor
    charge: Tensor
    bond: Tensor
    settled: Tensor


@dataclass(frozen=True)
class HostReadout:
    """A `Readout` in NumPy arrays."""

    pos: NDArray[np.float32]
    element_log_prob: NDArray[np.float32]
    charge_log_prob: NDArray[np.float32]
    bond_log_prob: NDArray[np.float32]
    element: NDArray[np.uint8]
    charge: NDArray[np.uint8]
    bond: NDArray[np.uint8]
    settled: NDArray[np.bool_]

    def beliefs(self, vocabulary: Vocabulary, row: int, n: int) -> Beliefs:
        """Beliefs about one molecule of ``n`` atoms."""
        return Beliefs(
            vocabulary=vocabulary,
            pos=self.pos[row, :n],
            element_log_prob=self.element_log_prob[row, :n],
            charge_log_prob=self.charge_log_prob[row, :n],
            bond_log_prob=self.bond_log_prob[row, :n, :n],
        )


class Fetched:
    """A `Readout` on its way to the host; the device may go on meanwhile.

    Args:
        readout: What to bring. On a GPU its tensors may be overwritten by work that is queued
            later on the same stream.
    """

    def __init__(self, readout: Readout) -> None:
        self._tensors = {f.name: getattr(readout, f.name) for f in fields(Readout)}
        self._event: torch.cuda.Event | None = None
        if readout.pos.is_cuda:
            self._tensors = {name: _pinned(tensor) for name, tensor in self._tensors.items()}
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(readout.pos.device))

    def wait(self) -> HostReadout:
        """The arrays, as soon as they are there."""
        if self._event is not None:
            self._event.synchronize()
        arrays: dict[str, Any] = {
            name: tensor.cpu().numpy() for name, tensor in self._tensors.items()
        }
        return HostReadout(**arrays)


def read_out(table: ValenceTable, estimate: Estimate, pos: Tensor, mask: Tensor) -> Readout:
    """Probabilities, most probable classes and what these are worth, without leaving the device.

    Args:
        table: Of the model's vocabulary, on the device.
        estimate: Of the network, whose logits count.
        pos: Positions in Å, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool.
    """
    element_log_prob, charge_log_prob, bond_log_prob = _log_probs(estimate)
    element, charge = element_log_prob.argmax(dim=-1), charge_log_prob.argmax(dim=-1)
    bond = bond_log_prob.argmax(dim=-1)
    return Readout(
        pos=pos,
        element_log_prob=element_log_prob,
        charge_log_prob=charge_log_prob,
        bond_log_prob=bond_log_prob,
        element=element.to(torch.uint8),
        charge=charge.to(torch.uint8),
        bond=bond.to(torch.uint8),
        settled=judge(table, element, charge, bond, mask).settled,
    )


def beliefs_of(
    info: ModelInfo, estimate: Estimate, pos: np.ndarray, sizes: Sequence[int] | np.ndarray
) -> list[Beliefs]:
    """Beliefs of every molecule, without padding.

    Args:
        info: Its vocabulary.
        estimate: Of the network, whose logits count.
        pos: Positions in Å, ``[B, N, 3]``.
        sizes: Numbers of atoms, ``[B]``.
    """
    element, charge, bond = (log_prob.cpu().numpy() for log_prob in _log_probs(estimate))
    return [
        Beliefs(
            vocabulary=info.vocabulary,
            pos=pos[row, :n],
            element_log_prob=element[row, :n],
            charge_log_prob=charge[row, :n],
            bond_log_prob=bond[row, :n, :n],
        )
        for row, n in enumerate(sizes)
    ]


def _log_probs(estimate: Estimate) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities of elements, charges and bonds, float32."""
    element, charge, bond = (
        logits.float().log_softmax(dim=-1)
        for logits in (estimate.element, estimate.charge, estimate.bond)
    )
    return element, charge, bond


def _pinned(tensor: Tensor) -> Tensor:
    """A copy in page-locked host memory that the device writes by itself."""
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)

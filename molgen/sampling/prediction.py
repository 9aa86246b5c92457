"""What the network says of a batch: on its device, on the way to the host, and there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.chem.beliefs import Beliefs
from molgen.chem.elements import Vocabulary
from molgen.nn.network import Estimate
from molgen.sampling.batching import Rows
from molgen.sampling.consistency import ValenceTable, judge


class Readout(NamedTuple):
    """A batch as the network left it, on its device.

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
class Prediction(Rows):
    """The same on the host, with the numbers of its molecules; other rows are padding."""

    pos: NDArray[np.float32]
    element_log_prob: NDArray[np.float32]
    charge_log_prob: NDArray[np.float32]
    bond_log_prob: NDArray[np.float32]
    element: NDArray[np.uint8]
    charge: NDArray[np.uint8]
    bond: NDArray[np.uint8]
    settled: NDArray[np.bool_]

    def beliefs(self, vocabulary: Vocabulary, row: int) -> Beliefs:
        """Positions and log-probabilities of one molecule, without padding."""
        n = int(self.sizes[row])
        return Beliefs(
            vocabulary=vocabulary,
            pos=self.pos[row, :n],
            element_log_prob=self.element_log_prob[row, :n],
            charge_log_prob=self.charge_log_prob[row, :n],
            bond_log_prob=self.bond_log_prob[row, :n, :n],
        )


def fetch(readout: Readout, rows: Rows) -> Callable[[], Prediction]:
    """Start to bring a batch to the host; the device may go on meanwhile.

    Args:
        readout: What to bring. On a GPU its tensors may be overwritten by work that is queued
            later on the same stream.
        rows: Numbers and sizes of its molecules.

    Returns:
        A function that waits for the arrays.
    """
    tensors, event = readout, None
    if readout.pos.is_cuda:
        tensors = Readout(*map(_pinned, readout))
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(readout.pos.device))

    def wait() -> Prediction:
        if event is not None:
            event.synchronize()
        arrays = (tensor.cpu().numpy() for tensor in tensors)
        return Prediction(rows.places, rows.indices, rows.sizes, *arrays)

    return wait


def read_out(table: ValenceTable, estimate: Estimate, pos: Tensor, mask: Tensor) -> Readout:
    """Probabilities, most probable classes and what these are worth, without leaving the device.

    Args:
        table: Of the model's vocabulary, on the device.
        estimate: Of the network, whose logits count.
        pos: Positions in Å, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool.
    """
    heads = (estimate.element, estimate.charge, estimate.bond)
    log_probs = [logits.float().log_softmax(dim=-1) for logits in heads]
    classes = [log_prob.argmax(dim=-1) for log_prob in log_probs]
    element, charge, bond = classes
    settled = judge(table, element, charge, bond, mask).settled
    return Readout._make([pos, *log_probs, *(one.to(torch.uint8) for one in classes), settled])


def _pinned(tensor: Tensor) -> Tensor:
    """A copy in page-locked host memory that the device writes by itself."""
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)

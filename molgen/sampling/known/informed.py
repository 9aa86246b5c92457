"""What a solver calls when something is known: the network, told of it and corrected by it.

What the network predicts for known rows is replaced by the known values in the prediction that
the solver steps with. A composition says how many atoms of each element there are, not which row
is which, and the noise of a row says something about the atom that belongs there. So known
elements must not be put on any row: after every network call they go to the rows that make the
network's beliefs most probable as a whole (the assignment problem), and before the first call
every row has the mean composition.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.flow.state import State, append_dims
from molgen.models.denovo import SelfConditioned
from molgen.nn.network import Estimate
from molgen.sampling.known.roads import NOISED, Road
from molgen.sampling.known.rows import KnownRows, log_one_hot


class WithKnown:
    """What a solver calls when something is known: `SelfConditioned` under `KnownRows`.

    Args:
        network: The network with its memory.
        rows: What is known.
        road: How the network is told.
    """

    def __init__(self, network: SelfConditioned, rows: KnownRows, road: Road = NOISED) -> None:
        self.network, self.road = network, road
        self.rows = rows if rows.composition is not None else road.pair(rows)
        self.atoms: Tensor | None = None

    def __call__(self, x: State, lam: Tensor) -> State:
        """Expected clean state at half log-SNR ``lam`` (scalar), exact where it is known."""
        if isinstance(x, Tensor):
            raise TypeError("a molecule's state has the modalities 'pos' and 'element'")
        x0 = self.road.ask(self.network, self.rows, x, lam)
        self._assign()
        x0 = self.rows.prediction(x0)
        self.network.last = self.road.recall(self.rows, self.network.estimate, x0["pos"])
        return dict(x0)

    def outcome(self, pos: Tensor) -> tuple[Tensor, Estimate]:
        """Final positions ``[B, N, 3]`` and the last estimate, atoms in the order of the parts."""
        estimate = self.rows.settle(self.network.estimate, pos)
        if self.atoms is None:
            return pos, estimate
        rows = self.atoms.argsort(dim=1)
        bond = _take(estimate.bond, rows)
        return _take(pos, rows), replace(
            estimate,
            pos=_take(estimate.pos, rows),
            element=_take(estimate.element, rows),
            charge=_take(estimate.charge, rows),
            bond=_take(bond.transpose(1, 2), rows).transpose(1, 2),
        )

    def _assign(self) -> None:
        """Put the atoms of a composition where the network's beliefs are most probable."""
        composition = self.rows.composition
        if composition is None:
            return
        beliefs = self.network.estimate.element
        log_prob = beliefs.double().log_softmax(dim=-1).cpu().numpy()
        atoms = np.tile(np.arange(composition.shape[1]), (len(composition), 1))
        for row, classes in enumerate(composition):
            n = int((classes >= 0).sum())
            atoms[row, :n] = best_places(log_prob[row, :n], classes[:n])
        placed = np.take_along_axis(composition, atoms, axis=1)
        self.atoms = torch.from_numpy(atoms).to(beliefs.device)
        _, log_element = log_one_hot(placed, beliefs.shape[-1], beliefs.device)
        clean = self.network.model.clean_elements(log_element.exp())
        clean = clean * self.rows.has_element[..., None]
        self.rows = replace(
            self.rows, element=log_element, clean={**self.rows.clean, "element": clean}
        )


def best_places(log_prob: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The atom for each row that makes the beliefs most probable; equal atoms in row order.

    Args:
        log_prob: Beliefs of the rows, ``[n, K]``.
        classes: Element class of each atom, ``[n]``.
    """
    chosen = scipy.optimize.linear_sum_assignment(log_prob[:, classes], maximize=True)[1]
    atoms = np.empty_like(chosen)
    # Atoms of one element cost the same everywhere: rounding must not decide between them.
    atoms[classes[chosen].argsort(kind="stable")] = classes.argsort(kind="stable")
    return atoms


def _take(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of each molecule in another order; ``values`` is ``[B, N, ...]``."""
    return values.take_along_dim(append_dims(rows, values), dim=1)

"""The network, told what is given and corrected by it: what a solver calls.

What the network predicts for given rows is replaced by the given values in the prediction that
the solver steps with. There are two ways to tell it.

`SharedLevel`. A network that was trained with one noise level for all atoms of a molecule sees
given values noised to that level, ``a x0 + b eps``, always with the same ``eps``: the straight path
that a perfect prediction of those rows would have walked. Training pairs noise with data by optimal
transport (`molgen.flow.coupling`), so the noise of a row says which atom belongs there; given
positions get the noise that transport would give them. With ``eps`` centred over all atoms,
centring the state gives the network what it was trained on, whatever the unknown centre c of the
molecule is: ``x = a x0 + b eps`` in the solver's frame is ``a (x0 - c) + b eps`` in the network's
frame plus ``a c``.

`PerAtom`. A network that was trained to complete molecules (`molgen.flow.asynchronous.Completion`)
sees given rows as they are, at ``CLEAN_LEVEL``, in the solver's frame about their mean.

Rotations need no care: the network is equivariant and reads the orientation off the given rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.flow.asynchronous import CLEAN_LEVEL
from molgen.flow.coupling import AtomOT
from molgen.flow.process import center
from molgen.flow.schedule import unit_tv
from molgen.flow.state import State, append_dims, expand_like, level
from molgen.modality import Modality
from molgen.models.denovo import SelfConditioned
from molgen.nn.network import Estimate
from molgen.tasks.rows import GivenRows, log_one_hot
from molgen.tasks.task import Task

POS, ELEMENT = Modality.POS, Modality.ELEMENT

Molecules = dict[str, Tensor]
"""State of both modalities that a solver follows, ``[B, N, F]`` each."""


class Telling(Protocol):
    """How a network is told what is given; without state, so one object serves every run."""

    def pair(self, rows: GivenRows) -> GivenRows:
        """The rows with their noise relabelled to suit given positions."""

    def ask(
        self, network: SelfConditioned, rows: GivenRows, x: Molecules, lam: Tensor
    ) -> Molecules:
        """What the network predicts for the solver's state ``x`` at half log-SNR ``lam``."""

    def remembered(self, rows: GivenRows, estimate: Estimate, pos: Tensor) -> Estimate:
        """What the next call is conditioned on.

        Args:
            rows: What is given.
            estimate: Of the network.
            pos: Predicted positions in the solver's frame, ``[B, N, 3]``.
        """


class SharedLevel:
    """Given rows are noised to the level that all atoms share."""

    def pair(self, rows: GivenRows) -> GivenRows:
        """Noise relabelled and turned onto given positions; the others, at 0, do not weigh."""
        return _paired(rows, AtomOT(), rows.mask)

    def ask(
        self, network: SelfConditioned, rows: GivenRows, x: Molecules, lam: Tensor
    ) -> Molecules:
        """The prediction from the state with its given rows noised."""
        return cast("Molecules", network(self.view(rows, x, lam), lam))

    def remembered(self, rows: GivenRows, estimate: Estimate, pos: Tensor) -> Estimate:
        """The estimate with what is given in it, centred as the network expects."""
        return rows.put_into(estimate, pos)

    def view(self, rows: GivenRows, x: Molecules, lam: Tensor) -> Molecules:
        """What the network sees of the solver's state ``x`` at half log-SNR ``lam`` (scalar)."""
        seen = {}
        for name, lead in rows.leads.items():
            clean = rows.clean[name]
            a, b = unit_tv(level(lead, float(lam)))
            noisy = expand_like(a, clean) * clean + expand_like(b, clean) * rows.noise[name]
            seen[name] = torch.where(rows.has[name][..., None], noisy, x[name])
        return {**seen, POS.value: center(seen[POS], rows.mask)}


class PerAtom:
    """Given rows are clean, and the network is told so."""

    def pair(self, rows: GivenRows) -> GivenRows:
        """Noise of given rows relabelled among these; only `SharedLevel` ever reads it.

        That of the other rows must not depend on what is given, as it did not in training.
        """
        return _paired(rows, AtomOT(rotate=False), rows.has[POS])

    def ask(
        self, network: SelfConditioned, rows: GivenRows, x: Molecules, lam: Tensor
    ) -> Molecules:
        """The prediction from the state as it is, with levels per atom."""
        pos, element = (
            level(rows.leads[name], float(lam))
            .to(rows.mask.device)
            .expand(rows.mask.shape)
            .masked_fill(rows.has[name], CLEAN_LEVEL)
            for name in (POS, ELEMENT)
        )
        return cast("Molecules", network(x, pos, element))

    def remembered(self, rows: GivenRows, estimate: Estimate, pos: Tensor) -> Estimate:  # noqa: ARG002
        """The estimate as it is: training feeds it back untouched."""
        return estimate


SHARED_LEVEL, PER_ATOM = SharedLevel(), PerAtom()


class Conditioned:
    """What a solver calls when something is given: `SelfConditioned` under `GivenRows`.

    A composition says how many atoms of each element there are, not which row is which. So after
    every call its elements go to the rows that make the predicted classes most probable as a whole
    (the assignment problem); before the first call every row has the mean composition.

    Args:
        network: The network with its memory.
        rows: What is given.
        task: Says how the network is told.
    """

    def __init__(self, network: SelfConditioned, rows: GivenRows, task: Task) -> None:
        self.network = network
        self.telling: Telling = PER_ATOM if task.per_atom else SHARED_LEVEL
        self.rows = rows if rows.composition is not None else self.telling.pair(rows)
        self.atoms: Tensor | None = None

    def __call__(self, x: State, lam: Tensor) -> State:
        """Expected clean state at half log-SNR ``lam`` (scalar), exact where it is given."""
        x0 = self.telling.ask(self.network, self.rows, cast("Molecules", x), lam)
        self._assign()
        x0 = self.rows.prediction(x0)
        self.network.last = self.telling.remembered(self.rows, self.network.estimate, x0[POS])
        return dict(x0)

    def outcome(self, pos: Tensor) -> tuple[Tensor, Estimate]:
        """Final positions ``[B, N, 3]`` and the last estimate, atoms in the order of the parts."""
        estimate = self.rows.put_into(self.network.estimate, pos)
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
        """Put the atoms of a composition where the predicted classes are most probable."""
        composition = self.rows.composition
        if composition is None:
            return
        logits = self.network.estimate.element
        log_prob = logits.double().log_softmax(dim=-1).cpu().numpy()
        atoms = np.tile(np.arange(composition.shape[1]), (len(composition), 1))
        for row, classes in enumerate(composition):
            n = int((classes >= 0).sum())
            atoms[row, :n] = best_places(log_prob[row, :n], classes[:n])
        placed = np.take_along_axis(composition, atoms, axis=1)
        self.atoms = torch.from_numpy(atoms).to(logits.device)
        has, log_element = log_one_hot(placed, logits.shape[-1], logits.device)
        clean = self.network.model.clean_elements(log_element.exp()) * has[..., None]
        self.rows = replace(
            self.rows,
            log_prob={**self.rows.log_prob, ELEMENT: log_element},
            clean={**self.rows.clean, ELEMENT.value: clean},
        )


class Unconditioned:
    """The same molecule without what is given: what guidance compares with.

    It sees given rows noised as if they were any others, and its own earlier estimates of them.
    Only its output is put where the given atoms are, so that the two predictions can be compared.

    Args:
        network: The network with a memory of its own.
        rows: What is given.
    """

    def __init__(self, network: SelfConditioned, rows: GivenRows) -> None:
        self.network, self.rows = network, rows

    def __call__(self, x: State, lam: Tensor) -> State:
        """Expected clean state at half log-SNR ``lam`` (scalar), exact where it is given."""
        x0 = SHARED_LEVEL.ask(self.network, self.rows, cast("Molecules", x), lam)
        return dict(self.rows.prediction(x0))


def best_places(log_prob: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The atom for each row that makes the classes most probable; equal atoms in row order.

    Args:
        log_prob: Log-probabilities of the rows, ``[n, K]``.
        classes: Element class of each atom, ``[n]``.
    """
    chosen = scipy.optimize.linear_sum_assignment(log_prob[:, classes], maximize=True)[1]
    atoms = np.empty_like(chosen)
    # Atoms of one element cost the same everywhere: rounding must not decide between them.
    atoms[classes[chosen].argsort(kind="stable")] = classes.argsort(kind="stable")
    return atoms


def _paired(rows: GivenRows, coupling: AtomOT, among: Tensor) -> GivenRows:
    """The rows with their noise coupled to given positions among some of them."""
    pairing = coupling.pair(rows.clean[POS], rows.noise[POS], among)
    noise = {POS.value: pairing.noise, ELEMENT.value: pairing.follow(rows.noise[ELEMENT])}
    return replace(rows, noise=noise)


def _take(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of each molecule in another order; ``values`` is ``[B, N, ...]``."""
    return values.take_along_dim(append_dims(rows, values), dim=1)

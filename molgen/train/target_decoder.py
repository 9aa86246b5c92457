"""Targets that are decided: the teacher's molecule after decoding and relaxing, not its doubts.

A student that copies the probabilities of a teacher copies its contradictions: atoms whose most
probable bonds break a valence. The decoder settles them jointly, so a student of decided targets
learns graphs that hold together. It copies the teacher's geometry likewise, and a force field that
knows the decoded graph mends bonds and angles before the student sees them: so the student can
become better than its teacher, where the teacher is weak. A student's own last estimates can be
treated alike: their sound neighbours are nearer than its teacher's. All of it is host work, a few
milliseconds for a molecule.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import Decoder
from molgen.chem.decode_relax import DecodeRelax
from molgen.chem.distances import DistanceStatistics
from molgen.chem.elements import AROMATIC, N_BOND_CLASSES, Vocabulary
from molgen.chem.molecule import Molecule
from molgen.chem.pool import processes, told_if_killed
from molgen.chem.workers import without_main
from molgen.config import DistilConfig
from molgen.train.class_balance import ClassBalance
from molgen.train.distil_loss import Target

FLOOR = 1e-9
"""Smallest probability whose logarithm is taken."""

PARTS = 4
"""Pieces of a batch per process."""


class TargetDecoder:
    """Decides targets, in other processes if there are any.

    Args:
        decode_relax: How beliefs become molecules.
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of position.
        n_workers: Processes beside this one; 0 for none. They start with the first batch.
    """

    def __init__(
        self,
        decode_relax: DecodeRelax,
        vocabulary: Vocabulary,
        pos_scale: float,
        n_workers: int = 0,
    ) -> None:
        self.decode_relax, self.vocabulary, self.pos_scale = decode_relax, vocabulary, pos_scale
        self.n_workers = n_workers
        self._processes = ExitStack()
        self._executor: Executor | None = None

    def __call__(
        self, target: Target, mask: Tensor, class_balance: ClassBalance | None = None
    ) -> Target:
        """The target with the classes and positions of the molecule that it decodes to.

        Where the teacher sees an aromatic bond, a decoded single or double one is only one of its
        Kekulé forms: there the probabilities stay.

        Args:
            target: Positions and probabilities of a teacher.
            mask: Real atoms, ``[B, N]``.
            class_balance: Leans against a drift of the elements, and counts them; None does not.
        """
        molecules = self._settle(self._beliefs(target, mask, class_balance))
        pos = target.pos.cpu().numpy().copy()
        classes = [np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int64)]
        orders = np.zeros(target.bond.shape[:3], np.int64)
        for row, molecule in enumerate(molecules):
            n = molecule.n_atoms
            if self.decode_relax.relax:
                pos[row, :n] = molecule.pos / self.pos_scale
            for out, values in zip(classes, _classes(molecule, self.vocabulary), strict=True):
                out[row, :n] = values
            begin, end, order = molecule.bonds.T
            orders[row, begin, end] = orders[row, end, begin] = order
        if class_balance is not None:
            class_balance.add(classes[0][mask.cpu().numpy()])
        decoded = torch.from_numpy(orders).to(mask.device)
        aromatic = (target.bond.argmax(dim=-1) == AROMATIC) & (decoded > 0)
        settled = functional.one_hot(decoded, N_BOND_CLASSES).to(target.bond)
        return Target(
            pos=torch.from_numpy(pos).to(target.pos),
            element=_one_hot(classes[0], target.element),
            charge=_one_hot(classes[1], target.charge),
            bond=torch.where(aromatic[..., None], target.bond, settled),
        )

    def close(self) -> None:
        """End the other processes."""
        self._processes.close()
        self._executor = None

    def _beliefs(
        self, target: Target, mask: Tensor, class_balance: ClassBalance | None = None
    ) -> list[Beliefs]:
        element, charge, bond = (
            values.clamp_min(FLOOR).log().cpu().numpy()
            for values in (target.element, target.charge, target.bond)
        )
        if class_balance is not None:
            element = element + class_balance.log_prior.astype(element.dtype)
        pos = (target.pos * self.pos_scale).float().cpu().numpy()
        return [
            Beliefs(
                vocabulary=self.vocabulary,
                pos=pos[row, :n],
                element_log_prob=element[row, :n],
                charge_log_prob=charge[row, :n],
                bond_log_prob=bond[row, :n, :n],
            )
            for row, n in enumerate(mask.sum(dim=1).tolist())
        ]

    def _settle(self, beliefs: list[Beliefs]) -> list[Molecule]:
        if not self.n_workers:
            return self.decode_relax(beliefs)
        if self._executor is None:
            self._executor = self._processes.enter_context(processes(self.n_workers))
        # Several parts per process, since molecules that contradict themselves take long.
        size = -(-len(beliefs) // (PARTS * self.n_workers))
        parts = [beliefs[start : start + size] for start in range(0, len(beliefs), size)]
        with without_main(), told_if_killed():
            return [one for part in self._executor.map(self.decode_relax, parts) for one in part]


def target_decoder_of(
    part: DistilConfig,
    vocabulary: Vocabulary,
    pos_scale: float,
    distances: DistanceStatistics | None = None,
) -> TargetDecoder | None:
    """What decides targets by a recipe; None where the teacher's probabilities stay.

    Args:
        part: Of the recipe.
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of position.
        distances: Of the training molecules, for the decoder that weighs them.
    """
    if part.decoder is None:
        return None
    decoder = Decoder(part.decoder, distances=distances)
    decode_relax = DecodeRelax(decoder, part.relax, part.restraint)
    return TargetDecoder(decode_relax, vocabulary, pos_scale, part.workers)


def shares_of(elements: Mapping[int, int], vocabulary: Vocabulary) -> np.ndarray:
    """Shares of a model's elements, in its order, from numbers of atoms by atomic number."""
    counts = np.array([elements.get(number, 0) for number in vocabulary.atomic_numbers])
    return counts / counts.sum()


def _classes(molecule: Molecule, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Element and charge class of every atom."""
    elements = {number: place for place, number in enumerate(vocabulary.atomic_numbers)}
    charges = {charge: place for place, charge in enumerate(vocabulary.charges)}
    return (
        np.array([elements[int(number)] for number in molecule.atomic_numbers]),
        np.array([charges[int(charge)] for charge in molecule.formal_charge]),
    )


def _one_hot(classes: np.ndarray, like: Tensor) -> Tensor:
    places = torch.from_numpy(classes).to(like.device)
    return functional.one_hot(places, like.shape[-1]).to(like)

"""Sampling when something is known: a composition, or atoms that stay where they are.

A solver never moves known rows: their level is infinite (`molgen.flow.state.Lead`). The network,
though, was trained with one noise level for all atoms of a molecule. It therefore sees the known
values noised to the level that it expects, ``a x0 + b eps``, always with the same ``eps``: the
straight path that a perfect prediction of those rows would have walked. What it predicts for
known rows is replaced by the known values, in the prediction that the solver steps with and in
the hint that the next call gets.

The noise of a row says something about the atom that belongs there, because training pairs noise
with data by optimal transport (`molgen.flow.coupling`): hydrogens, for instance, come from noise
far out. So known atoms must not be put on any row. A composition says how many atoms of each
element there are, not which row is which; after every network call its atoms go to the rows that
make the network's beliefs most probable as a whole (the assignment problem), and before the first
call every row has the mean composition. Known positions get the noise that the transport of
training would give them.

Known positions fix an origin. The solver's state lives in a frame whose origin is the mean of the
known atoms of each molecule, where the whole molecule has some centre of mass c that nobody knows
in advance: ``x = a x0 + b eps`` there is ``a (x0 - c) + b eps`` in the network's frame plus
``a c``. With ``eps`` centred over all atoms, centring x removes ``a c`` whatever c is, so the
network always sees what it was trained on. Its prediction comes back centred and is moved so that
its known atoms have the mean of the known positions. Rotations need no such care: the network is
equivariant and reads the orientation off the known rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from molgen.flow.coupling import AtomOT
from molgen.flow.process import center
from molgen.flow.schedule import unit_tv
from molgen.flow.state import Offsets, State, append_dims, expand_like, level
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.nn.network import Estimate


@dataclass(frozen=True)
class Part:
    """What is known of one molecule: its first k atoms.

    Attributes:
        element: Element classes of the model's vocabulary, ``[k]``.
        pos: Positions in Å, ``[k, 3]``; None when only the elements are known.
        charge: Charge classes, ``[k]``; None when they are not known.
    """

    element: NDArray[np.int64]
    pos: NDArray[np.float64] | None = None
    charge: NDArray[np.int64] | None = None

    @property
    def n_atoms(self) -> int:
        """Number of known atoms."""
        return len(self.element)

    @property
    def origin(self) -> NDArray[np.float64]:
        """Mean of the known positions in Å, ``[3]``; zero when there are none."""
        return np.zeros(3) if self.pos is None else self.pos.mean(axis=0)


@dataclass(frozen=True)
class Known:
    """What is known of the molecules of a run: molecule i takes part i, round and round.

    Attributes:
        parts: At least one.
        is_whole: Whether a part is all atoms of its molecule, and so decides the size.
        label: Where it comes from, for messages.
    """

    parts: tuple[Part, ...]
    is_whole: bool
    label: str

    def of(self, index: int) -> Part:
        """What is known of one molecule."""
        return self.parts[index % len(self.parts)]

    @property
    def most_atoms(self) -> int:
        """Atoms of the largest part."""
        return max(part.n_atoms for part in self.parts)

    @property
    def digest(self) -> str:
        """Sixteen hex digits, equal for equal knowledge."""
        state = hashlib.blake2b(f"{self.is_whole}".encode(), digest_size=8)
        for part in self.parts:
            for values in (part.element, part.pos, part.charge):
                state.update(b"-" if values is None else values.tobytes() + b";")
        return state.hexdigest()


@dataclass(frozen=True)
class KnownRows:
    """The known rows of a padded batch, in the units of the model.

    Attributes:
        mask: Real atoms, ``[B, N]``.
        has_element: Rows whose element is known, ``[B, N]``.
        has_pos: Rows whose position is known, ``[B, N]``.
        has_charge: Rows whose charge is known, ``[B, N]``.
        element: Log-probabilities of the elements, 0 and minus infinity, ``[B, N, K]``.
        charge: Log-probabilities of the charges, alike, ``[B, N, Q]``.
        clean: Clean state of both modalities; positions about the mean of the known ones.
        noise: Projected noise of both modalities: start of the unknown rows, noise of the others.
        leads: Lead of each modality of the model in half log-SNR.
        composition: Element class of every atom, ``[B, N]``, -1 for padding, when the elements
            are known and their rows are not; else None.
    """

    mask: Tensor
    has_element: Tensor
    has_pos: Tensor
    has_charge: Tensor
    element: Tensor
    charge: Tensor
    clean: dict[str, Tensor]
    noise: dict[str, Tensor]
    leads: dict[str, float]
    composition: NDArray[np.int64] | None

    @property
    def offsets(self) -> Offsets:
        """Leads for the solver: infinite where something is known."""
        pos, element = self.leads["pos"], self.leads["element"]
        if self.composition is not None:
            return {"pos": pos, "element": torch.inf}
        return {"pos": _lead(self.has_pos, pos), "element": _lead(self.has_element, element)}

    @property
    def start(self) -> dict[str, Tensor]:
        """State of the solver before its first step."""
        return self._known(self.noise)

    def noised(self, x: dict[str, Tensor], lam: Tensor) -> dict[str, Tensor]:
        """What the network sees of the solver's state ``x`` at half log-SNR ``lam`` (scalar)."""
        view = {}
        for name, (has, clean) in self._rows.items():
            a, b = unit_tv(level(self.leads[name], float(lam)))
            noisy = expand_like(a, clean) * clean + expand_like(b, clean) * self.noise[name]
            view[name] = torch.where(has[..., None], noisy, x[name])
        return {**view, "pos": center(view["pos"], self.mask)}

    def prediction(self, x0: dict[str, Tensor]) -> dict[str, Tensor]:
        """The network's prediction in the solver's frame, known rows replaced."""
        has = self.has_pos[..., None]
        n_known = has.sum(dim=1, keepdim=True).clamp_min(1)
        apart = torch.where(has, self.clean["pos"] - x0["pos"], 0.0).sum(dim=1, keepdim=True)
        moved = (x0["pos"] + apart / n_known) * self.mask[..., None]
        return self._known({**x0, "pos": moved})

    def settle(self, estimate: Estimate, pos: Tensor) -> Estimate:
        """The estimate with what is known in place of what was estimated.

        Args:
            estimate: Of the network.
            pos: Predicted positions in the solver's frame, ``[B, N, 3]``.
        """
        element = self.element.to(estimate.element.dtype)
        charge = self.charge.to(estimate.charge.dtype)
        return replace(
            estimate,
            pos=center(pos, self.mask),
            element=torch.where(self.has_element[..., None], element, estimate.element),
            charge=torch.where(self.has_charge[..., None], charge, estimate.charge),
        )

    @property
    def _rows(self) -> dict[str, tuple[Tensor, Tensor]]:
        return {
            "pos": (self.has_pos, self.clean["pos"]),
            "element": (self.has_element, self.clean["element"]),
        }

    def _known(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.where(has[..., None], clean, state[name])
            for name, (has, clean) in self._rows.items()
        }


def known_rows(
    parts: Sequence[Part], model: DeNovo, mask: Tensor, noise: dict[str, Tensor]
) -> KnownRows:
    """Lay out what is known as a padded batch.

    Args:
        parts: Of each molecule, ``[B]``.
        model: The model.
        mask: Real atoms, ``[B, N]``.
        noise: Projected noise of the batch.
    """
    shape = tuple(mask.shape)
    pos = np.zeros((*shape, 3), dtype=np.float32)
    element, charge = np.full(shape, -1), np.full(shape, -1)
    has_pos = np.zeros(shape, dtype=bool)
    for row, part in enumerate(parts):
        element[row, : part.n_atoms] = part.element
        if part.charge is not None:
            charge[row, : part.n_atoms] = part.charge
        if part.pos is not None:
            pos[row, : part.n_atoms] = (part.pos - part.origin) / model.scales.pos
            has_pos[row, : part.n_atoms] = True
    sizes, device = model.network.sizes, mask.device
    has_element, log_element = _log_one_hot(element, sizes.n_elements, device)
    has_charge, log_charge = _log_one_hot(charge, sizes.n_charges, device)
    is_composition = not has_pos.any() and torch.equal(has_element, mask)
    clean_pos = torch.from_numpy(pos).to(device)
    probability = log_element.exp()
    if is_composition:
        probability = _mean(probability, mask)
    return KnownRows(
        mask=mask,
        has_element=has_element,
        has_pos=torch.from_numpy(has_pos).to(device),
        has_charge=has_charge,
        element=log_element,
        charge=log_charge,
        clean={
            "pos": clean_pos,
            "element": model.clean_elements(probability) * has_element[..., None],
        },
        noise=noise if is_composition else _coupled(clean_pos, noise, mask),
        leads=model.offsets,
        composition=element if is_composition else None,
    )


class WithKnown:
    """What a solver calls when something is known: `SelfConditioned` under `KnownRows`.

    Args:
        denoise: The network with its memory.
        rows: What is known.
    """

    def __init__(self, denoise: SelfConditioned, rows: KnownRows) -> None:
        self.denoise, self.rows = denoise, rows
        self.atoms: Tensor | None = None

    def __call__(self, x: State, lam: Tensor) -> State:
        """Expected clean state at half log-SNR ``lam`` (scalar), exact where it is known."""
        if isinstance(x, Tensor):
            raise TypeError("a molecule's state has the modalities 'pos' and 'element'")
        x0 = cast("dict[str, Tensor]", self.denoise(self.rows.noised(x, lam), lam))
        self._assign()
        x0 = self.rows.prediction(x0)
        self.denoise.last = self.rows.settle(self.denoise.estimate, x0["pos"])
        return dict(x0)

    def outcome(self, pos: Tensor) -> tuple[Tensor, Estimate]:
        """Final positions ``[B, N, 3]`` and the last estimate, atoms in the order of the parts."""
        estimate = self.denoise.estimate
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
        beliefs = self.denoise.estimate.element
        log_prob = beliefs.double().log_softmax(dim=-1).cpu().numpy()
        atoms = np.tile(np.arange(composition.shape[1]), (len(composition), 1))
        for row, classes in enumerate(composition):
            n = int((classes >= 0).sum())
            atoms[row, :n] = _best_places(log_prob[row, :n], classes[:n])
        placed = np.take_along_axis(composition, atoms, axis=1)
        self.atoms = torch.from_numpy(atoms).to(beliefs.device)
        _, log_element = _log_one_hot(placed, beliefs.shape[-1], beliefs.device)
        clean = self.denoise.model.clean_elements(log_element.exp())
        clean = clean * self.rows.has_element[..., None]
        self.rows = replace(
            self.rows, element=log_element, clean={**self.rows.clean, "element": clean}
        )


def _lead(is_known: Tensor, lead: float) -> Tensor:
    """Lead per row, float64."""
    return torch.full(
        is_known.shape, lead, dtype=torch.float64, device=is_known.device
    ).masked_fill(is_known, torch.inf)


def _log_one_hot(
    classes: NDArray[np.int64], n_classes: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Where a class is known, and 0 for it and minus infinity for the others."""
    is_class = torch.from_numpy(classes[..., None] == np.arange(n_classes)).to(device)
    log_prob = torch.zeros(is_class.shape, device=device).masked_fill(~is_class, -torch.inf)
    return is_class.any(dim=-1), log_prob


def _best_places(log_prob: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The atom for each row that makes the beliefs most probable; equal atoms in row order.

    Args:
        log_prob: Beliefs of the rows, ``[n, K]``.
        classes: Element class of each atom, ``[n]``.
    """
    chosen = linear_sum_assignment(log_prob[:, classes], maximize=True)[1]
    atoms = np.empty_like(chosen)
    # Atoms of one element cost the same everywhere: rounding must not decide between them.
    atoms[classes[chosen].argsort(kind="stable")] = classes.argsort(kind="stable")
    return atoms


def _mean(probability: Tensor, mask: Tensor) -> Tensor:
    """Mean over the atoms of each molecule, at every row."""
    n_atoms = mask.sum(dim=1)[:, None, None]
    return (probability.sum(dim=1, keepdim=True) / n_atoms).expand_as(probability)


def _coupled(pos: Tensor, noise: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
    """Noise relabelled and turned onto known positions; unknown ones, at 0, do not weigh."""
    pairing = AtomOT().pair(pos, noise["pos"], mask)
    return {"pos": pairing.noise, "element": pairing.follow(noise["element"])}


def _take(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of each molecule in another order; ``values`` is ``[B, N, ...]``."""
    return values.take_along_dim(append_dims(rows, values), dim=1)

"""What is given of the molecules of a batch, laid out as rows of padded tensors.

A solver never moves given rows: their level is infinite (`molgen.flow.state.Lead`). Given
positions fix an origin, and the solver's state lives in a frame about it: the mean of the given
atoms of each molecule. There ``x = a x0 + b eps`` holds with x0 about that origin, wherever the
centre of the whole molecule may come to lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.flow.process import center
from molgen.flow.state import Offsets
from molgen.modality import Modality
from molgen.models.denovo import DeNovo
from molgen.nn.network import Estimate
from molgen.tasks.given import GivenAtoms

POS, ELEMENT, CHARGE = Modality.POS, Modality.ELEMENT, Modality.CHARGE


@dataclass(frozen=True)
class GivenRows:
    """The given rows of a padded batch, in the units of the model.

    Attributes:
        mask: Real atoms, ``[B, N]``.
        has: Rows where positions, elements and charges are given, ``[B, N]`` each.
        log_prob: Log-probabilities of given elements ``[B, N, K]`` and charges ``[B, N, Q]``, 0
            and minus infinity.
        clean: Clean state of both modalities; positions about the mean of the given ones.
        noise: Noise of both modalities: start of the other rows, noise of the given ones.
        leads: Lead of each modality of the model in half log-SNR.
        composition: Element class of every atom, ``[B, N]``, -1 for padding, when the elements
            are given and their rows are not; else None.
    """

    mask: Tensor
    has: Mapping[str, Tensor]
    log_prob: Mapping[str, Tensor]
    clean: dict[str, Tensor]
    noise: dict[str, Tensor]
    leads: dict[str, float]
    composition: NDArray[np.int64] | None

    @property
    def offsets(self) -> Offsets:
        """Leads for the solver: infinite where something is given."""
        if self.composition is not None:
            return {**self.leads, ELEMENT.value: torch.inf}
        return {name: _lead(self.has[name], lead) for name, lead in self.leads.items()}

    @property
    def start(self) -> dict[str, Tensor]:
        """State of the solver before its first step."""
        return self._given(self.noise)

    def prediction(self, x0: dict[str, Tensor]) -> dict[str, Tensor]:
        """The network's prediction in the solver's frame, given rows replaced."""
        has = self.has[POS][..., None]
        n_given = has.sum(dim=1, keepdim=True).clamp_min(1)
        apart = torch.where(has, self.clean[POS] - x0[POS], 0.0).sum(dim=1, keepdim=True)
        moved = (x0[POS] + apart / n_given) * self.mask[..., None]
        return self._given({**x0, POS.value: moved})

    def put_into(self, estimate: Estimate, pos: Tensor) -> Estimate:
        """The estimate with what is given in place of what was estimated.

        Args:
            estimate: Of the network.
            pos: Predicted positions in the solver's frame, ``[B, N, 3]``.
        """
        element, charge = (
            torch.where(self.has[name][..., None], self.log_prob[name].to(logits.dtype), logits)
            for name, logits in ((ELEMENT, estimate.element), (CHARGE, estimate.charge))
        )
        return replace(estimate, pos=center(pos, self.mask), element=element, charge=charge)

    def _given(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.where(self.has[name][..., None], self.clean[name], state[name])
            for name in self.leads
        }


def given_rows(
    atoms: Sequence[GivenAtoms], model: DeNovo, mask: Tensor, noise: dict[str, Tensor]
) -> GivenRows:
    """Lay out what is given as a padded batch.

    Args:
        atoms: Of each molecule, ``[B]``.
        model: The model.
        mask: Real atoms, ``[B, N]``.
        noise: Noise of the batch.
    """
    shape, device, sizes = tuple(mask.shape), mask.device, model.network.sizes
    pos = np.zeros((*shape, 3), dtype=np.float32)
    element, charge = np.full(shape, -1), np.full(shape, -1)
    has_pos = np.zeros(shape, dtype=bool)
    for row, one in enumerate(atoms):
        element[row, : one.n_atoms] = one.element
        if one.charge is not None:
            charge[row, : one.n_atoms] = one.charge
        if one.pos is not None:
            pos[row, : one.n_atoms] = (one.pos - one.origin) / model.scales.pos
            has_pos[row, : one.n_atoms] = True
    has_element, log_element = log_one_hot(element, sizes.n_elements, device)
    has_charge, log_charge = log_one_hot(charge, sizes.n_charges, device)
    is_composition = not has_pos.any() and torch.equal(has_element, mask)
    probability = log_element.exp()
    if is_composition:
        probability = _mean(probability, mask)
    clean_element = model.clean_elements(probability) * has_element[..., None]
    return GivenRows(
        mask=mask,
        has={POS: torch.from_numpy(has_pos).to(device), ELEMENT: has_element, CHARGE: has_charge},
        log_prob={ELEMENT: log_element, CHARGE: log_charge},
        clean={POS: torch.from_numpy(pos).to(device), ELEMENT: clean_element},
        noise=noise,
        leads=model.offsets,
        composition=element if is_composition else None,
    )


def log_one_hot(
    classes: NDArray[np.int64], n_classes: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Where a class is given, and 0 for it and minus infinity for the others."""
    is_class = torch.from_numpy(classes[..., None] == np.arange(n_classes)).to(device)
    log_prob = torch.zeros(is_class.shape, device=device).masked_fill(~is_class, -torch.inf)
    return is_class.any(dim=-1), log_prob


def _lead(is_given: Tensor, lead: float) -> Tensor:
    """Lead per row, float64."""
    return torch.full(
        is_given.shape, lead, dtype=torch.float64, device=is_given.device
    ).masked_fill(is_given, torch.inf)


def _mean(probability: Tensor, mask: Tensor) -> Tensor:
    """Mean over the atoms of each molecule, at every row."""
    n_atoms = mask.sum(dim=1)[:, None, None]
    return (probability.sum(dim=1, keepdim=True) / n_atoms).expand_as(probability)

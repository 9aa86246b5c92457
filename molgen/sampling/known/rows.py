"""What is known of the molecules of a batch, laid out as rows of padded tensors.

A solver never moves known rows: their level is infinite (`molgen.flow.state.Lead`). Known
positions fix an origin, and the solver's state lives in a frame about it: the mean of the known
atoms of each molecule. There ``x = a x0 + b eps`` holds with x0 about that origin, wherever the
centre of the whole molecule may come to lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.flow.process import center
from molgen.flow.state import Offsets
from molgen.models.denovo import DeNovo
from molgen.nn.network import Estimate
from molgen.sampling.known.parts import Part


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
        noise: Noise of both modalities: start of the unknown rows, noise of the others.
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
    def has(self) -> dict[str, Tensor]:
        """Rows where each modality is known, ``[B, N]``."""
        return {"pos": self.has_pos, "element": self.has_element}

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

    def _known(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.where(has[..., None], self.clean[name], state[name])
            for name, has in self.has.items()
        }


def known_rows(
    parts: Sequence[Part], model: DeNovo, mask: Tensor, noise: dict[str, Tensor]
) -> KnownRows:
    """Lay out what is known as a padded batch.

    Args:
        parts: Of each molecule, ``[B]``.
        model: The model.
        mask: Real atoms, ``[B, N]``.
        noise: Noise of the batch.
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
    has_element, log_element = log_one_hot(element, sizes.n_elements, device)
    has_charge, log_charge = log_one_hot(charge, sizes.n_charges, device)
    is_composition = not has_pos.any() and torch.equal(has_element, mask)
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
            "pos": torch.from_numpy(pos).to(device),
            "element": model.clean_elements(probability) * has_element[..., None],
        },
        noise=noise,
        leads=model.offsets,
        composition=element if is_composition else None,
    )


def log_one_hot(
    classes: NDArray[np.int64], n_classes: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Where a class is known, and 0 for it and minus infinity for the others."""
    is_class = torch.from_numpy(classes[..., None] == np.arange(n_classes)).to(device)
    log_prob = torch.zeros(is_class.shape, device=device).masked_fill(~is_class, -torch.inf)
    return is_class.any(dim=-1), log_prob


def _lead(is_known: Tensor, lead: float) -> Tensor:
    """Lead per row, float64."""
    return torch.full(
        is_known.shape, lead, dtype=torch.float64, device=is_known.device
    ).masked_fill(is_known, torch.inf)


def _mean(probability: Tensor, mask: Tensor) -> Tensor:
    """Mean over the atoms of each molecule, at every row."""
    n_atoms = mask.sum(dim=1)[:, None, None]
    return (probability.sum(dim=1, keepdim=True) / n_atoms).expand_as(probability)

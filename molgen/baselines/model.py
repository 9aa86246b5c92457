"""A baseline: a network, what it reads of a noisy molecule, and what its output means.

Coordinates and scaled one-hot elements are one state that is diffused at one level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.baselines.egnn import EGNN
from molgen.data.loader import Batch
from molgen.flow.parameterisation import Parameterisation
from molgen.flow.process import Gaussian, ScaledOneHot
from molgen.flow.schedule import Schedule
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import State, expand_like
from molgen.nn.network import EquivariantTransformer, SelfCond

PROCESSES = {"pos": Gaussian(zero_com=True), "element": Gaussian()}
"""Corruption of each modality, in the order in which noise is drawn for them."""


class OwnFrame(nn.Module):
    """An EGNN that reads the state as its path has it, and the path's time beside the elements.

    Args:
        network: Reads one feature more than there are elements.
        schedule: The path.
    """

    def __init__(self, network: EGNN, schedule: Schedule) -> None:
        super().__init__()
        self.network, self.schedule = network, schedule

    def forward(self, state: dict[str, Tensor], lam: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Raw output for both modalities; arguments as in `Baseline`."""
        time = self.schedule.t_of_lam(lam)
        tau = expand_like(self.schedule.log_tau(time).exp(), state["pos"])
        pos, element = tau * state["pos"], tau * state["element"]
        told = expand_like(time, element).expand(*mask.shape, 1)
        moved, features = self.network(pos, torch.cat([element, told], dim=-1), mask)
        return {"pos": moved, "element": features}


class UnitFrame(nn.Module):
    """This package's network, which reads unit total variance; it gets no self_cond.

    Args:
        network: With one class of bonds and no charges: nothing is asked of these heads.
    """

    def __init__(self, network: EquivariantTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: dict[str, Tensor], lam: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Raw output for both modalities; arguments as in `Baseline`."""
        pos, element = state["pos"], state["element"]
        nothing = torch.zeros((), dtype=pos.dtype, device=pos.device)
        pairs = (*mask.shape, mask.shape[1], self.network.sizes.n_bonds)
        self_cond = SelfCond(
            nothing.expand_as(pos), nothing.expand_as(element), nothing.expand(pairs)
        )
        level = lam.to(pos)
        estimate = self.network(pos, element, level, level, self_cond, mask)
        return {"pos": estimate.pos, "element": estimate.element}


@dataclass(frozen=True)
class Units:
    """Units of the diffused state.

    Attributes:
        pos: Å per unit of position.
        element: Height of the one-hot vectors.
        n_elements: Element classes.
    """

    pos: float
    element: float
    n_elements: int

    @property
    def widths(self) -> dict[str, int]:
        """Numbers per atom of every modality."""
        return {"pos": 3, "element": self.n_elements}


class Baseline(nn.Module):
    """A network with the meaning of its inputs and outputs.

    Args:
        field: Reads state, level and mask, as `OwnFrame` and `UnitFrame` do.
        prediction: What it puts out.
        schedule: Path from data to noise.
        units: Units of the diffused state.
    """

    def __init__(
        self, field: nn.Module, prediction: Parameterisation, schedule: Schedule, units: Units
    ) -> None:
        super().__init__()
        self.field, self.prediction, self.schedule = field, prediction, schedule
        self.units = units

    def forward(self, state: dict[str, Tensor], lam: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """What the network predicts for each modality, centred and without padding.

        Args:
            state: ``pos`` ``[B, N, 3]`` and ``element`` ``[B, N, K]``, noisy, divided by the
                schedule's tau.
            lam: Half log-SNR, ``[B]``.
            mask: Real atoms, ``[B, N]``.
        """
        raw = self.field(state, lam, mask)
        return {name: PROCESSES[name].project(out, mask) for name, out in raw.items()}

    def clean(self, batch: Batch) -> dict[str, Tensor]:
        """The molecules of a batch as the state is at no noise."""
        one_hot = functional.one_hot(batch.element, self.units.n_elements).to(batch.pos)
        element = ScaledOneHot(scale=self.units.element).encode(one_hot)
        state = {"pos": batch.pos / self.units.pos, "element": element}
        return {name: PROCESSES[name].project(x, batch.mask) for name, x in state.items()}

    def prior(self, noise: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Noise of both modalities from standard normal numbers ``[B, N, 3 + K]``."""
        parts = noise.split(list(self.units.widths.values()), dim=-1)
        named = zip(self.units.widths, parts, strict=True)
        return {name: PROCESSES[name].prior(part, mask) for name, part in named}

    def denoiser(self, mask: Tensor) -> Denoiser:
        """What solvers call: state and level in, clean state out."""

        def denoise(x: State, lam: Tensor) -> State:
            if isinstance(x, Tensor):
                raise TypeError("a molecule's state has the modalities 'pos' and 'element'")
            out = self(x, lam.to(mask.device).expand(len(mask)), mask)
            return {name: self.prediction.x0(out[name].to(x[name]), x[name], lam) for name in x}

        return denoise

"""Conformers: elements, charges, bonds and stereo are given, positions are noised.

The path is straight, from harmonic noise of the graph at ``t = 1`` to the conformer at ``t = 0``;
noise is turned onto the conformer. The network says the velocity, hence the conformer. A second
network, the refiner, moves a conformer towards the minimum of a force field next to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.chem.graph_classes import ATOM_CLASSES, PAIR_CLASSES
from molgen.config.conformers import ConformerConfig, ConformerLossConfig, ConformerModelConfig
from molgen.data.conformer_batches import ConformerBatch, GraphBatch
from molgen.flow.harmonic import centred, harmonic_noise, turned_onto
from molgen.nn.block import NetworkDims
from molgen.nn.graph import GraphClasses, GraphInput
from molgen.nn.network import EquivariantTransformer, NetworkSpec, SelfCond
from molgen.nn.stereo import StereoCentres

TERMS = ("pos", "distance")

LAM_RANGE = (-4.0, 5.0)
MAX_ATOMS = 60
"""Scales the feature of size."""

_EDGE = 1e-3
"""Levels are told apart this far from both ends of the path."""

REFINE_T = 0.2
"""Level that the refiner is told: it scales what the network says, and is close to how far
conformers of the sampler are from minima."""

FARTHEST = 8.0
"""Å; the minimisations that the refiner learns from move no atom farther in 999 of 1,000. Where it
does, it is lost, and each further call would multiply the error."""

MAX_REFINE = 5
"""Calls of the refiner at most: it has come to rest."""

Keep = Callable[[Tensor], Tensor]
"""What is done to estimates, ``[B, N, 3]``, such as to put a core back."""


def as_it_is(estimate: Tensor) -> Tensor:
    """The estimate."""
    return estimate


@dataclass(frozen=True)
class Noised:
    """Conformers somewhere on their paths.

    Attributes:
        state: ``(1 - t) x + t z``, Å, ``[B, N, 3]``.
        t: Share of noise, ``[B]``.
    """

    state: Tensor
    t: Tensor


class ConformerModel(nn.Module):
    """The network with its units; positions in and out are in Å.

    Args:
        network: Predicts a vector per atom.
        pos_scale: Å per unit of the network's coordinates.
        prior_scale: Å; see `harmonic_noise`.
        refiner: Predicts a vector per atom towards the next minimum; None where there is none.
    """

    def __init__(
        self,
        network: EquivariantTransformer,
        pos_scale: float,
        prior_scale: float,
        refiner: EquivariantTransformer | None = None,
    ) -> None:
        super().__init__()
        self.network, self.pos_scale, self.prior_scale = network, pos_scale, prior_scale
        self.refiner = refiner

    def forward(
        self,
        noised: Noised,
        graph: GraphBatch,
        self_cond: Tensor | None = None,
        t_end: Tensor | None = None,
    ) -> Tensor:
        """The conformer at the end of the path, Å, ``[B, N, 3]``, centred.

        Args:
            noised: Where the path is.
            graph: The molecules.
            self_cond: An earlier answer; None where there is none.
            t_end: Where the step ends that the call is for, ``[B]``, or None.
        """
        return self._moved(self.network, noised, graph, self_cond, t_end)

    def refined(self, pos: Tensor, graph: GraphBatch) -> Tensor:
        """Conformers after one call of the refiner, Å, ``[B, N, 3]``, centred.

        Args:
            pos: Conformers, Å, ``[B, N, 3]``, centred.
            graph: The molecules.

        Raises:
            RuntimeError: The model has no refiner.
        """
        if self.refiner is None:
            raise RuntimeError("the model has no refiner")
        at = Noised(pos, pos.new_full((len(pos),), REFINE_T))
        return self._moved(self.refiner, at, graph, None, None)

    @torch.no_grad()
    def refine(self, pos: Tensor, graph: GraphBatch, calls: int, keep: Keep = as_it_is) -> Tensor:
        """Conformers closer to their minima, Å, ``[B, N, 3]``, centred.

        Args:
            pos: Conformers, Å, ``[B, N, 3]``, centred.
            graph: The molecules.
            calls: Calls of the refiner; one that moves an atom by more than `FARTHEST` is taken
                back.
            keep: Applied to what every call says.
        """
        for _ in range(calls):
            moved = keep(self.refined(pos, graph))
            farthest = (moved - pos).square().sum(dim=-1).amax(dim=1)
            pos = torch.where((farthest <= FARTHEST**2)[:, None, None], moved, pos)
        return pos

    def _moved(
        self,
        network: EquivariantTransformer,
        noised: Noised,
        graph: GraphBatch,
        self_cond: Tensor | None,
        t_end: Tensor | None,
    ) -> Tensor:
        mask, t = graph.mask, noised.t
        scaled = noised.state / self.pos_scale
        earlier = torch.zeros_like(scaled) if self_cond is None else self_cond / self.pos_scale
        none, no_pair = scaled[..., :0], scaled[:, :, None, :0].expand(-1, -1, mask.shape[1], -1)
        lam = half_log_snr(t)
        said = network(
            scaled,
            none,
            lam,
            lam,
            SelfCond(earlier, none, no_pair),
            mask,
            None if t_end is None else half_log_snr(t_end),
            graph_input(graph),
        ).pos
        return centred(noised.state + t[:, None, None] * self.pos_scale * said, mask)

    def prior(self, normal: Tensor, graph: GraphBatch) -> Tensor:
        """Where paths start, Å, from standard normal numbers ``[B, N, 3]``."""
        return harmonic_noise(normal, graph.adjacency, graph.mask, self.prior_scale)

    def noised(self, batch: ConformerBatch, t: Tensor, normal: Tensor) -> Noised:
        """Conformers noised to ``t``, ``[B]``, with noise that is turned onto them."""
        noise = turned_onto(self.prior(normal, batch.graph), batch.pos)
        share = t[:, None, None]
        return Noised((1 - share) * batch.pos + share * noise, t)

    @torch.no_grad()
    def sample(self, start: Tensor, graph: GraphBatch, steps: int, keep: Keep = as_it_is) -> Tensor:
        """Follow the path to its end in equal steps, then refine.

        Args:
            start: Noise, Å, ``[B, N, 3]``.
            graph: The molecules.
            steps: Calls in all, of which `refine_calls` are the refiner's, if there is one.
            keep: Applied to what every call says.
        """
        last = 0 if self.refiner is None else refine_calls(steps)
        levels = torch.linspace(1, 0, steps - last + 1, dtype=torch.float64).tolist()
        state, estimate = start, None
        for now, then in pairwise(levels):
            t = state.new_full((len(state),), now)
            t_end = state.new_full((len(state),), then)
            told = t_end if self.network.noise_end is not None else None
            estimate = keep(self(Noised(state, t), graph, estimate, told))
            state = estimate + (then / now) * (state - estimate)
        return self.refine(state, graph, last, keep)


def refine_calls(steps: int) -> int:
    """Calls of the refiner among so many: three quarters (docs/conformers.md compares)."""
    return min(3 * steps // 4, MAX_REFINE)


def build_conformer_model(config: ConformerModelConfig) -> ConformerModel:
    """The model of a recipe with fresh weights."""
    spec = NetworkSpec(
        n_elements=0,
        n_charges=0,
        n_bonds=0,
        n_layers=config.n_layers,
        n_radial=config.n_radial,
        cutoff=config.cutoff / config.pos_scale,
        lam_min=LAM_RANGE[0],
        lam_max=LAM_RANGE[1],
        max_atoms=MAX_ATOMS,
        step_size_cond=config.step_size_cond,
        graph=GraphClasses(ATOM_CLASSES, PAIR_CLASSES),
    )
    dims = NetworkDims(**config.dims.model_dump())
    network = EquivariantTransformer(spec, dims)
    refiner = None
    if config.refiner:
        refiner = EquivariantTransformer(replace(spec, step_size_cond=False), dims)
    return ConformerModel(network, config.pos_scale, config.prior_scale, refiner)


def half_log_snr(t: Tensor) -> Tensor:
    """Half log-SNR of the straight path at ``t``."""
    inside = t.clamp(_EDGE, 1 - _EDGE)
    return torch.log1p(-inside) - torch.log(inside)


def graph_input(graph: GraphBatch) -> GraphInput:
    """The graphs as the network reads them."""
    return GraphInput(
        graph.atoms, graph.pairs, StereoCentres(graph.centre_atoms, graph.centre_sign)
    )


def draw_times(config: ConformerConfig, n: int, generator: torch.Generator) -> Tensor:
    """Places on the path to train on, ``[n]``: uniform, and a share of them at pure noise."""
    device = generator.device
    t = _EDGE + (1 - _EDGE) * torch.rand(n, generator=generator, device=device)
    at_noise = torch.rand(n, generator=generator, device=device) < config.loss.at_noise
    return torch.where(at_noise, 1.0, t)


def loss_terms(
    estimate: Tensor, batch: ConformerBatch, t: Tensor, config: ConformerLossConfig
) -> dict[str, Tensor]:
    """Loss terms of every molecule, ``[B]`` each, not yet weighed against each other.

    ``pos`` is the squared error in Å² times ``1 / (floor + t^2)``; ``distance`` is the Huber loss
    on distances within a few bonds, which are right or wrong whatever the conformer is.
    """
    n_atoms = batch.graph.mask.sum(dim=1)
    squared = (estimate - batch.pos).square().sum(dim=(1, 2)) / n_atoms
    paths = batch.graph.paths
    row, i, j = torch.nonzero((paths > 0) & (paths <= config.reach), as_tuple=True)
    said, true = (distance(pos, row, i, j) for pos in (estimate, batch.pos))
    error = functional.huber_loss(said, true, reduction="none", delta=config.huber) / config.huber
    summed = torch.zeros_like(squared).index_add(0, row, error)
    n_pairs = torch.zeros_like(squared).index_add(0, row, torch.ones_like(error))
    return {
        "pos": squared / (config.floor + t.square()),
        "distance": summed / n_pairs.clamp_min(1),
    }


def distance(pos: Tensor, row: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Distances of atoms ``i`` and ``j`` of molecules ``row``, with a slope at zero."""
    return ((pos[row, i] - pos[row, j]).square().sum(dim=-1) + 1e-8).sqrt()

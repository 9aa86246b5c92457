"""The E(3)-equivariant transformer over the complete graph of a molecule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molgen.nn.block import Block, ChannelMix, NetworkDims, pair_distances
from molgen.nn.classes import Classes
from molgen.nn.distance_head import DistanceHead
from molgen.nn.distances import Distances
from molgen.nn.embed import NoiseEmbedding, RadialBasis
from molgen.nn.graph import GraphClasses, GraphEmbedding, GraphInput
from molgen.nn.refine.restraints import RefineDims, RestraintNet


@dataclass(frozen=True)
class NetworkSpec:
    """What the network reads and writes.

    Attributes:
        n_elements: Element classes.
        n_charges: Formal-charge classes.
        n_bonds: Bond classes, the absent bond included.
        n_layers: Number of blocks.
        n_radial: Radial functions per distance.
        cutoff: Largest distance resolved, in units of the network's coordinates.
        lam_min: Smallest half log-SNR of training.
        lam_max: Largest half log-SNR of training.
        max_atoms: Largest molecule; scales the size feature.
        step_size_cond: Whether the network can be told at which level the step ends that a call is
            for, and so learn steps of any length (Frans et al. 2024, arXiv 2410.12557).
        smacof_iterations: Iterations that fit the positions of a last call to the distances that
            the network predicts; 0 for a network without such a head.
        refine_layers: Layers of the network that refines the molecule of a last call; 0 for
            none.
        graph: How a graph that is given is coded; None for a network that is given none. With no
            classes of elements, charges and bonds the network predicts positions only.
    """

    n_elements: int = 5
    n_charges: int = 3
    n_bonds: int = 5
    n_layers: int = 6
    n_radial: int = 32
    cutoff: float = 7.0
    lam_min: float = -4.0
    lam_max: float = 5.0
    max_atoms: int = 29
    step_size_cond: bool = False
    smacof_iterations: int = 0
    refine_layers: int = 0
    graph: GraphClasses | None = None

    @property
    def predicts_classes(self) -> bool:
        """Whether there are elements, charges and bonds to predict."""
        return self.n_elements + self.n_charges + self.n_bonds > 0


@dataclass(frozen=True)
class Estimate:
    """What the network says about the clean molecule.

    Attributes:
        pos: Clean coordinates, ``[B, N, 3]``, scaled and centred.
        element: Element logits, ``[B, N, K]``.
        charge: Formal-charge logits, ``[B, N, C]``.
        bond: Bond logits, symmetric, ``[B, N, N, O]``.
        distances: Distances that the positions were fitted to; None where they were not.
        alone: What the heads said, each by itself, before `molgen.nn.valence_bp` brought them to
            terms; None where that was not done, so that it is what the logits above say.
    """

    pos: Tensor
    element: Tensor
    charge: Tensor
    bond: Tensor
    distances: Distances | None = None
    alone: Classes | None = None

    @property
    def classes(self) -> Classes:
        """Elements, charges and bonds."""
        return Classes(self.element, self.charge, self.bond)

    @property
    def heads(self) -> Classes:
        """What the heads said, each by itself."""
        return self.alone or self.classes

    def detached(self) -> Estimate:
        """The same molecule, of which no gradient and no belief about distances is kept."""
        return Estimate(
            pos=self.pos.detach(),
            element=self.element.detach(),
            charge=self.charge.detach(),
            bond=self.bond.detach(),
        )


@dataclass(frozen=True)
class Streams:
    """What the blocks leave for the heads.

    Attributes:
        scalars: Invariant features of atoms, ``[B, N, D]``.
        vectors: Vector features of atoms, ``[B, N, 3, C]``.
        pairs: Invariant features of pairs, ``[B, N, N, P]``.
    """

    scalars: Tensor
    vectors: Tensor
    pairs: Tensor


@dataclass(frozen=True)
class SelfCond:
    """An earlier estimate, fed back as input (self-conditioning, Chen et al. 2023).

    Attributes:
        pos: Estimated clean coordinates, ``[B, N, 3]``; zeros when there is none.
        element: Estimated element probabilities, ``[B, N, K]``; zeros when there is none.
        bond: Estimated bond probabilities, ``[B, N, N, O]``; zeros when there is none.
    """

    pos: Tensor
    element: Tensor
    bond: Tensor


def columns(lam: Tensor) -> Tensor:
    """Levels ``[B]`` or ``[B, N]`` as ``[B, 1]`` where the atoms of each molecule agree.

    A matrix product may round differently for another number of rows. Merging what is equal
    makes equal levels per atom bit-equal to one level per molecule, and spares their cost. The
    comparison waits for the device; one level per molecule never gets there.
    """
    if lam.dim() == 1:
        return lam[:, None]
    return lam[:, :1] if torch.equal(lam, lam[:, :1].expand_as(lam)) else lam


ROWS = 8
"""Levels are embedded in multiples of this many rows: a product of few rows, or the last numbers of
a sine, may be rounded in another way than those of many."""


def _filled(level: Tensor) -> Tensor:
    """The same with rows added up to a multiple of `ROWS`."""
    return torch.cat([level, level[:1].expand(-len(level) % ROWS, *level.shape[1:])])


def _noise_of_elements(sizes: NetworkSpec, dims: NetworkDims) -> NoiseEmbedding | None:
    """Embedding of the elements' level; None where no elements are noised."""
    if not sizes.n_elements:
        return None
    return NoiseEmbedding(dims.noise, sizes.lam_min, sizes.lam_max + 1)


def _silent_end(sizes: NetworkSpec, dims: NetworkDims) -> nn.Sequential:
    """Embedding of the level at which a step ends: zero at first, so that old weights stay true.

    Clean data lie one unit beyond the lowest noise of training.
    """
    embedding = NoiseEmbedding(dims.noise, sizes.lam_min, sizes.lam_max + 1)
    last = nn.Linear(dims.noise, dims.noise, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(embedding, last)


def _distance_head(sizes: NetworkSpec, dims: NetworkDims) -> DistanceHead | None:
    if not sizes.smacof_iterations:
        return None
    classes = (sizes.n_elements, sizes.n_charges, sizes.n_bonds)
    return DistanceHead(dims, sizes.n_radial, sizes.cutoff, classes)


def _class_heads(
    sizes: NetworkSpec, dims: NetworkDims
) -> tuple[nn.Module | None, nn.Module | None]:
    """Heads of atoms and of pairs; None where no class is predicted."""
    if not sizes.predicts_classes:
        return None, None
    atom = nn.Sequential(
        nn.LayerNorm(dims.scalar), nn.Linear(dims.scalar, sizes.n_elements + sizes.n_charges)
    )
    bond = nn.Sequential(
        nn.LayerNorm(dims.pair),
        nn.Linear(dims.pair, dims.pair_hidden),
        nn.SiLU(),
        nn.Linear(dims.pair_hidden, sizes.n_bonds),
    )
    return atom, bond


def _restraint_net(sizes: NetworkSpec) -> RestraintNet | None:
    if not sizes.refine_layers:
        return None
    classes = (sizes.n_elements, sizes.n_charges, sizes.n_bonds)
    return RestraintNet(RefineDims(sizes.refine_layers, *classes))


class EquivariantTransformer(nn.Module):
    """Scalars, vectors and pairs through a stack of blocks; heads for every modality.

    The coordinate head returns a vector field, without scaling by noise level: what it means
    (velocity, clean data) is the caller's parameterisation.

    Args:
        sizes: Classes, depth and ranges.
        dims: Sizes of the streams.
    """

    def __init__(self, sizes: NetworkSpec, dims: NetworkDims) -> None:
        super().__init__()
        self.sizes, self.dims = sizes, dims
        self.noise_pos = NoiseEmbedding(dims.noise, sizes.lam_min, sizes.lam_max)
        self.noise_element = _noise_of_elements(sizes, dims)
        self.noise_end = _silent_end(sizes, dims) if sizes.step_size_cond else None
        self.size = nn.Linear(1, dims.noise)
        self.noise = nn.Sequential(
            nn.Linear(dims.noise, dims.noise),
            nn.SiLU(),
            nn.Linear(dims.noise, dims.noise),
            nn.SiLU(),
        )
        self.radial = RadialBasis(sizes.n_radial, sizes.cutoff)
        self.scalars = nn.Linear(2 * sizes.n_elements + dims.noise, dims.scalar)
        self.vectors = ChannelMix(2, dims.vector)
        self.pairs = nn.Sequential(
            nn.Linear(2 * sizes.n_radial + sizes.n_bonds, dims.pair_hidden),
            nn.SiLU(),
            nn.Linear(dims.pair_hidden, dims.pair),
        )
        self.of_atoms = nn.Linear(dims.scalar, 2 * dims.pair, bias=False)
        last = sizes.n_layers - 1
        self.blocks = nn.ModuleList(
            Block(dims, updates_pairs=sizes.predicts_classes or layer < last)
            for layer in range(sizes.n_layers)
        )
        self.head_vector = ChannelMix(dims.vector, 1)
        self.head_atom, self.head_bond = _class_heads(sizes, dims)
        self.distances = _distance_head(sizes, dims)
        self.refine = _restraint_net(sizes)
        self.graph = None if sizes.graph is None else GraphEmbedding(sizes.graph, dims)

    def embed_noise(
        self, lam_pos: Tensor, lam_element: Tensor, mask: Tensor, lam_end: Tensor | None = None
    ) -> Tensor:
        """Embedding of the noise levels and of the number of atoms.

        With the modulations that blocks make of it, this is 0.7 % of a call on a CPU (32
        molecules of 18 atoms): a cache for the levels of a fixed grid would not pay.

        Args:
            lam_pos: Half log-SNR of the coordinates, ``[B]`` or ``[B, N]``.
            lam_element: Half log-SNR of the elements, ``[B]`` or ``[B, N]``.
            mask: Real atoms, ``[B, N]`` bool.
            lam_end: Half log-SNR of the coordinates at which the step ends, ``[B]``; None where
                it is unknown, which is what a network that is not aware of it always sees.

        Returns:
            ``[B, 1, E]`` where all atoms of every molecule share their levels, else ``[B, N, E]``;
            rows after the first ``B`` fill a multiple of `ROWS`.
        """
        n_atoms = mask.sum(dim=1, keepdim=True).to(lam_pos.dtype) / self.sizes.max_atoms
        n_atoms, lam_pos, lam_element = map(_filled, (n_atoms, lam_pos, lam_element))
        lam_end = None if lam_end is None else _filled(lam_end)
        levels = self.noise_pos(columns(lam_pos))
        if self.noise_element is not None:
            levels = levels + self.noise_element(columns(lam_element))
        if self.noise_end is not None and lam_end is not None:
            levels = levels + self.noise_end(lam_end[:, None])
        return self.noise(levels + self.size(n_atoms)[:, None])

    def forward(
        self,
        pos: Tensor,
        element: Tensor,
        lam_pos: Tensor,
        lam_element: Tensor,
        self_cond: SelfCond,
        mask: Tensor,
        lam_end: Tensor | None = None,
        graph: GraphInput | None = None,
    ) -> Estimate:
        """Read a noised molecule.

        Args:
            pos: Noised coordinates at unit total variance, ``[B, N, 3]``, centred.
            element: Noised one-hot elements at unit total variance, ``[B, N, K]``.
            lam_pos: Half log-SNR of the coordinates, ``[B]``, or per atom, ``[B, N]``.
            lam_element: Half log-SNR of the elements, ``[B]``, or per atom, ``[B, N]``.
            self_cond: Earlier estimate, or zeros.
            mask: Real atoms, ``[B, N]`` bool.
            lam_end: Half log-SNR at which the step ends, ``[B]``, or None; see `embed_noise`.
            graph: The graph, where the network is given one.

        Returns:
            The estimate; its ``pos`` is the raw vector field of the coordinate head.
        """
        streams = self.streams(pos, element, lam_pos, lam_element, self_cond, mask, lam_end, graph)
        return self.read(streams, mask)

    def streams(
        self,
        pos: Tensor,
        element: Tensor,
        lam_pos: Tensor,
        lam_element: Tensor,
        self_cond: SelfCond,
        mask: Tensor,
        lam_end: Tensor | None = None,
        graph: GraphInput | None = None,
    ) -> Streams:
        """What the blocks make of a noised molecule; arguments as of `forward`."""
        noise = self.embed_noise(lam_pos, lam_element, mask, lam_end)
        both = torch.stack([pos, self_cond.pos], dim=-1)  # B N 3 2
        vectors = self.vectors(both)
        noise_per_atom = noise[: len(pos)].expand(-1, pos.shape[1], -1)
        scalars = self.scalars(torch.cat([element, self_cond.element, noise_per_atom], dim=-1))
        radial = self.radial(pair_distances(both)).flatten(-2)
        pair_features = torch.cat([radial, self_cond.bond], dim=-1)
        if self.graph is None or graph is None:
            pairs = self.pairs(pair_features)
        else:
            hidden = self.pairs[0](pair_features) + self.graph.of_pairs(graph)
            pairs = self.pairs[2](self.pairs[1](hidden))
            scalars = scalars + self.graph.of_atoms(graph)
            scalars, vectors = self.graph.stereo(scalars, vectors, both, graph.centres)
        left, right = self.of_atoms(scalars).chunk(2, dim=-1)
        pairs = pairs + left[:, :, None] + right[:, None, :]

        pair_mask = mask[:, :, None] & mask[:, None, :]
        for block in self.blocks:
            scalars, vectors, pairs = block(scalars, vectors, pairs, noise, pair_mask)
        return Streams(scalars, vectors, pairs)

    def read(self, streams: Streams, mask: Tensor) -> Estimate:
        """What the heads make of the streams; ``pos`` is the raw vector field."""
        pos = self.head_vector(streams.vectors).squeeze(-1) * mask[..., None]
        if self.head_atom is None or self.head_bond is None:
            none, no_pair = streams.scalars[..., :0], streams.pairs[..., :0]
            return Estimate(pos=pos, element=none, charge=none, bond=no_pair)
        atom = self.head_atom(streams.scalars)
        bond = self.head_bond(streams.pairs + streams.pairs.transpose(1, 2))
        return Estimate(
            pos=pos,
            element=atom[..., : self.sizes.n_elements],
            charge=atom[..., self.sizes.n_elements :],
            bond=bond,
        )

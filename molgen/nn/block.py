"""One layer of the E(3)-equivariant transformer: scalars, vectors and pairs talk to each other.

Every operation on vectors is a linear mix of channels, a product with an invariant, or a sum
over neighbours of differences; every scalar made from vectors is an inner product. The layer
is therefore equivariant under rotations and reflections, whatever its weights. Translations
are taken out before, by centring.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class NetworkDims:
    """Sizes of a layer's streams.

    Attributes:
        scalar: Invariant features per atom.
        vector: Vector channels per atom.
        pair: Invariant features per pair of atoms.
        pair_hidden: Hidden dims of the pair update.
        n_heads: Attention heads.
        n_frames: Vector channels whose mutual distances the pair update sees.
        mlp: Hidden dims of the scalar MLP.
        noise: NetworkDims of the noise embedding.
    """

    scalar: int = 192
    vector: int = 24
    pair: int = 48
    pair_hidden: int = 64
    n_heads: int = 8
    n_frames: int = 8
    mlp: int = 384
    noise: int = 128


def pair_distances(frames: Tensor) -> Tensor:
    """Distances between all atoms in every frame: ``[B, N, 3, K]`` to ``[B, N, N, K]``."""
    difference = frames[:, :, None] - frames[:, None, :]
    return (difference.square().sum(dim=3) + 1e-6).sqrt()


class ChannelMix(nn.Linear):
    """Linear mix of vector channels, in full precision even under autocast.

    A bf16 product of a coordinate of 3 Å is wrong by 0.01 Å, which is what the last call of a
    few-step sampler is asked to resolve; the channels are few, so float32 costs nothing.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Mix the last dimension."""
        with torch.autocast(vectors.device.type, enabled=False):
            if self.out_features > 1:
                # One matrix: how PyTorch folds what is not contiguous depends on the batch.
                rows = super().forward(vectors.reshape(-1, self.in_features))
                return rows.view(*vectors.shape[:-1], self.out_features)
            # A product with one vector may be rounded in another way at the end of an array.
            return functional.linear(vectors.double(), self.weight.double()).to(vectors.dtype)


class VectorMessage(nn.Module):
    """Sum of differences of neighbours' vectors, weighted by pair features."""

    def __init__(self, dims: NetworkDims) -> None:
        super().__init__()
        self.mix_in = ChannelMix(dims.vector, dims.vector)
        self.mix_out = ChannelMix(dims.vector, dims.vector)

    def forward(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Vectors ``[B, N, 3, C]`` and weights ``[B, N, N, C]`` to an update of the vectors."""
        source = self.mix_in(vectors).permute(0, 3, 1, 2)  # B C N 3
        kernel = weights.permute(0, 3, 1, 2)  # B C N N
        with torch.autocast(vectors.device.type, enabled=False):
            # A product adds in the same order whatever the padding; a sum does not.
            summed = kernel @ functional.pad(source, (0, 1), value=1.0)
            summed = summed[..., :3] - source * summed[..., 3:]
        return self.mix_out(summed.permute(0, 2, 3, 1))


class PairUpdate(nn.Module):
    """Residual update of pair features from both atoms and from distances in learnt frames."""

    def __init__(self, dims: NetworkDims) -> None:
        super().__init__()
        hidden = dims.pair_hidden
        self.norm = nn.LayerNorm(dims.pair)
        self.frames = ChannelMix(dims.vector, dims.n_frames)
        self.of_pair = nn.Linear(dims.pair + dims.n_frames, hidden)
        self.of_atoms = nn.Linear(dims.scalar, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, dims.pair)

    def forward(self, scalars: Tensor, vectors: Tensor, pairs: Tensor) -> Tensor:
        """Return the new pairs ``[B, N, N, P]``."""
        distances = pair_distances(self.frames(vectors))
        left, right = self.of_atoms(scalars).chunk(2, dim=-1)
        hidden = self.of_pair(torch.cat([self.norm(pairs), distances.to(pairs.dtype)], dim=-1))
        hidden = functional.silu(hidden + left[:, :, None] + right[:, None, :])
        return pairs + self.out(hidden)


class Block(nn.Module):
    """Attention with pair biases, vector messages, a gated MLP and a pair update.

    Args:
        dims: Sizes of the streams.
        updates_pairs: Whether pairs are read after this block; if not, they are left.
    """

    def __init__(self, dims: NetworkDims, *, updates_pairs: bool = True) -> None:
        super().__init__()
        self.dims = dims
        dim, heads = dims.scalar, dims.n_heads
        self.modulation = nn.Linear(dims.noise, 4 * dim + dims.vector)
        self.norm_attention = nn.LayerNorm(dim, elementwise_affine=False)
        self.norm_mlp = nn.LayerNorm(dim, elementwise_affine=False)
        self.norm_pair = nn.LayerNorm(dims.pair)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.from_pair = nn.Linear(dims.pair, heads + dims.vector)
        self.message = VectorMessage(dims)
        self.invariants = ChannelMix(dims.vector, 2 * dims.vector)
        self.out = nn.Linear(dim + heads * dims.pair + dims.vector, dim)
        self.mlp_in = nn.Linear(dim, 2 * dims.mlp)
        self.mlp_out = nn.Linear(dims.mlp, dim)
        self.vector_gate = nn.Linear(dim, dims.vector)
        self.vector_mix = ChannelMix(dims.vector, dims.vector)
        self.pair_update = PairUpdate(dims) if updates_pairs else None
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def attend(self, scalars: Tensor, pairs: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Attention over atoms; also pools pair features with the same weights."""
        batch, n, dim = scalars.shape
        heads = self.dims.n_heads
        qkv = self.qkv(scalars).view(batch, n, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # B H N d
        logits = (query @ key.transpose(-1, -2)) * (dim // heads) ** -0.5 + bias
        weights = logits.softmax(dim=-1)  # B H N N
        read = (weights @ value).transpose(1, 2).reshape(batch, n, dim)
        # Per atom: heads by neighbours, times neighbours by pair features.
        pooled = weights.permute(0, 2, 1, 3) @ pairs
        return read, pooled.reshape(batch, n, -1)

    def forward(
        self, scalars: Tensor, vectors: Tensor, pairs: Tensor, noise: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update scalars ``[B, N, D]``, vectors ``[B, N, 3, C]`` and pairs ``[B, N, N, P]``.

        Args:
            scalars: Invariant features of atoms.
            vectors: Vector features of atoms, relative to the molecule's centre.
            pairs: Invariant features of pairs.
            noise: Embedding of the noise levels, ``[B, N, E]``, or ``[B, 1, E]`` for all atoms;
                more rows are not read.
            mask: Real pairs, ``[B, N, N]``, one where both atoms exist.
        """
        dim, channels = self.dims.scalar, self.dims.vector
        scale1, shift1, scale2, shift2, vector_scale = self.modulation(noise)[: len(scalars)].split(
            [dim] * 4 + [channels], dim=-1
        )
        normed_pairs = self.norm_pair(pairs)
        bias, weights = self.from_pair(normed_pairs).split([self.dims.n_heads, channels], dim=-1)
        bias = bias.permute(0, 3, 1, 2).masked_fill(~mask[:, None], -1e4)
        normed = self.norm_attention(scalars) * (1 + scale1) + shift1
        read, pooled = self.attend(normed, normed_pairs, bias)

        weights = weights * (mask / mask.sum(dim=-1, keepdim=True).clamp(min=1).sqrt())[..., None]
        vectors = vectors + self.message(vectors, weights.to(vectors.dtype))
        left, right = self.invariants(vectors).chunk(2, dim=-1)
        dots = (left * right).sum(dim=2).to(scalars.dtype)
        scalars = scalars + self.out(torch.cat([read, pooled, dots], dim=-1))

        normed = self.norm_mlp(scalars) * (1 + scale2) + shift2
        gate, value = self.mlp_in(normed).chunk(2, dim=-1)
        scalars = scalars + self.mlp_out(functional.silu(gate) * value)
        vector_gate = self.vector_gate(normed) * (1 + vector_scale)
        vectors = vectors + self.vector_mix(vectors) * vector_gate[:, :, None].to(vectors.dtype)
        if self.pair_update is not None:
            pairs = self.pair_update(scalars, vectors, pairs)
        return scalars, vectors, pairs

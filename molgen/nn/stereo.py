"""Stereo labels as network features, with every symmetry of space kept, reflections included.

A label flips under a reflection, and so does the triple product of three bonds of its centre: their
product is invariant under all of E(3). A cross product is an axial vector; times the label it is a
true one. So a reflected geometry with reflected labels gives reflected outputs, and a reflected
geometry with the old labels does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molgen.nn.block import ChannelMix

N_INVARIANTS = 2
"""Signed volumes of a centre in one geometry: of unit bonds, and of the bonds themselves."""

_TINY = 1e-6


@dataclass(frozen=True)
class StereoCentres:
    """Labelled centres of a batch of ``B`` molecules, padded to ``N`` atoms.

    Attributes:
        atoms: Centre and its three neighbours in order, ``[S, 4]``; atom ``a`` of molecule ``b`` is
            ``b * N + a``.
        sign: Sign that the triple product of the bonds should have, ``[S]``, -1 or 1.
    """

    atoms: Tensor
    sign: Tensor


@dataclass(frozen=True)
class StereoFeatures:
    """What labelled centres look like.

    Attributes:
        scalars: ``[S, K * N_INVARIANTS]`` for ``K`` geometries; invariant.
        vectors: ``[S, 3, K]``: the way across a centre, ordered by its label.
    """

    scalars: Tensor
    vectors: Tensor


def stereo_features(frames: Tensor, centres: StereoCentres) -> StereoFeatures:
    """Signed volumes and directions of labelled centres.

    Args:
        frames: ``K`` geometries, ``[B, N, 3, K]``.
        centres: Their labels.
    """
    flat = frames.flatten(0, 1)
    centre, first, second, third = (flat[rows] for rows in centres.atoms.unbind(dim=1))
    a, b, c = first - centre, second - centre, third - centre
    sign = centres.sign.to(flat.dtype)[:, None]
    volume = (a * torch.linalg.cross(b, c, dim=1)).sum(dim=1) * sign  # S K
    lengths = _length(a) * _length(b) * _length(c)
    across = torch.linalg.cross(second - first, third - first, dim=1) * sign[:, None]
    return StereoFeatures(
        scalars=torch.cat([volume / lengths, volume / (1 + volume.abs())], dim=1),
        vectors=across / (1 + _length(across)[:, None]),
    )


def _length(vectors: Tensor) -> Tensor:
    """Lengths of ``[S, 3, K]``."""
    return (vectors.square().sum(dim=1) + _TINY).sqrt()


class StereoEmbedding(nn.Module):
    """Adds the features of labelled centres to the streams of their atoms.

    Args:
        scalar: Invariant features per atom.
        vector: Vector channels per atom.
        n_frames: Geometries that are looked at.
    """

    def __init__(self, scalar: int, vector: int, n_frames: int = 2) -> None:
        super().__init__()
        n_in = n_frames * N_INVARIANTS
        self.scalars = nn.Sequential(nn.Linear(n_in, scalar), nn.SiLU(), nn.Linear(scalar, scalar))
        self.vectors = ChannelMix(n_frames, 2 * vector)

    def forward(
        self, scalars: Tensor, vectors: Tensor, frames: Tensor, centres: StereoCentres
    ) -> tuple[Tensor, Tensor]:
        """The streams, ``[B, N, D]`` and ``[B, N, 3, C]``, with the features of centres added.

        Args:
            scalars: Invariant features of atoms.
            vectors: Vector features of atoms.
            frames: Geometries, ``[B, N, 3, K]``.
            centres: Labelled centres; none is allowed.
        """
        if not len(centres.sign):
            return scalars, vectors
        found = stereo_features(frames, centres)
        of_centre, of_ends = self.vectors(found.vectors).chunk(2, dim=-1)
        rows = centres.atoms
        to_scalars = self.scalars(found.scalars).to(scalars.dtype)
        to_vectors = torch.cat([of_centre, of_ends, of_ends, of_ends]).to(vectors.dtype)
        flat_scalars = scalars.flatten(0, 1).index_add(0, rows[:, 0], to_scalars)
        flat_vectors = vectors.flatten(0, 1).index_add(0, rows.T.reshape(-1), to_vectors)
        return flat_scalars.view_as(scalars), flat_vectors.view_as(vectors)

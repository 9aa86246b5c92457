"""From a request to the guidance of its run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from molgen.chem.surroundings import read_surroundings, vdw_radii
from molgen.errors import UsageError
from molgen.flow.guidance import EVERYWHERE, Interval
from molgen.models.info import ModelInfo
from molgen.sampling.request import Request
from molgen.sampling.steering.obstacle import Obstacle
from molgen.sampling.steering.steering import Steering
from molgen.tasks.given import Conditioning
from molgen.tasks.scaffold import has_per_atom_levels

FACTOR = 0.7
"""Share of van der Waals contact that counts as touching: a hydrogen bond, 1.9 Å, does not."""

SAME_ATOM = 0.5
"""Atoms of two files that are closer than this, in Å, are one atom that both files hold."""


def find_steering(info: ModelInfo, request: Request, given: Conditioning | None) -> Steering | None:
    """What a request asks for beside the model's own ways; None for nothing.

    Raises:
        UsageError: Guidance has no effect on this model, or a file is of no use.
        DataError: A file cannot be read.
    """
    if request.guidance is not None and not has_per_atom_levels(info):
        raise UsageError(
            f"--guidance has no effect on {info.name}, which has one noise level for all atoms",
            "Leave it out, or use a model whose recipe has rows: {kind: completion}",
        )
    obstacle = None
    if request.avoid is not None and given is not None:
        obstacle = find_obstacle(info, Path(request.avoid), given)
    steering = Steering(
        scale=1.0 if request.guidance is None else request.guidance,
        interval=_levels(info, request.guidance_interval),
        obstacle=obstacle,
        guide=request.guide,
    )
    return steering if steering.identity else None


def _levels(info: ModelInfo, sigma: tuple[float, float] | None) -> Interval:
    """Half log-SNR of a range of noise in Å."""
    if sigma is None:
        return EVERYWHERE
    low, high = (value / info.config.model.pos_scale for value in sigma)
    return (-math.log(high), -math.log(low) if low else math.inf)


def find_obstacle(info: ModelInfo, path: Path, given: Conditioning) -> Obstacle:
    """Read what must be avoided.

    Raises:
        UsageError: It has no 3D coordinates, or holds the scaffold itself.
        DataError: It cannot be read.
    """
    found = read_surroundings(path)
    for one in given.atoms:
        if one.pos is None:
            continue
        apart = np.linalg.norm(one.pos[:, None] - found.pos[None], axis=-1)
        if n_same := int((apart < SAME_ATOM).any(axis=1).sum()):
            raise UsageError(
                f"{path} holds {n_same} of the scaffold's own atoms",
                "Leave the scaffold's molecule out of it",
            )
    numbers = np.array(info.vocabulary.atomic_numbers)
    radii = FACTOR * vdw_radii(found.atomic_numbers)
    return Obstacle(found.pos, radii, FACTOR * vdw_radii(numbers))

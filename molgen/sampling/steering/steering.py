"""Guidance of a run: how much it insists on a scaffold, and where it must not go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.guidance import EVERYWHERE, Interval, classifier_free, energy_guided
from molgen.flow.plan import Plan
from molgen.flow.process import center
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import State
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.sampling.steering.obstacle import Obstacle
from molgen.tasks.conditioning import Unconditioned
from molgen.tasks.given import GivenAtoms
from molgen.tasks.rows import GivenRows
from molgen.tasks.task import Modality

Guide: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Energy ``[B]`` in kT of positions ``[B, N, 3]`` in Å, element probabilities ``[B, N, K]`` and
real atoms ``[B, N]``, differentiable in the first two. Positions are in the frame of the scaffold's
file, or centred where no position is given."""

MAX_SHIFT = 1.0
"""Longest way in Å that an energy may move an atom in one prediction."""


@dataclass(frozen=True)
class Steering:
    """What a run does beside following the model.

    Attributes:
        scale: Of classifier-free guidance; 1 is none.
        interval: Half log-SNR of the calls with that guidance.
        obstacle: Atoms to keep away from; None for none.
        guide: Energy to lower; None for none.
    """

    scale: float = 1.0
    interval: Interval = EVERYWHERE
    obstacle: Obstacle | None = None
    guide: Guide | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """JSON-ready form of what decides the molecules; empty where nothing is asked for."""
        parts: dict[str, Any] = {}
        if self.scale != 1:
            parts["guidance"] = [self.scale, *self.interval]
        if self.obstacle is not None:
            parts["avoid"] = self.obstacle.digest
        if self.guide is not None:
            named = self.guide if hasattr(self.guide, "__qualname__") else type(self.guide)
            parts["guide"] = f"{named.__module__}.{named.__qualname__}"
        return parts

    def network_calls(self, plan: Plan) -> int:
        """Network calls per molecule: those of the plan, and one more for each guided one."""
        levels: list[float] = []

        def denoise(x: State, lam: Tensor) -> State:
            levels.append(float(lam))
            return x

        x = torch.zeros(1, 1, 1)
        plan.solver.solve(denoise, x, plan.grid, noise=lambda _: torch.zeros_like(x))
        low, high = self.interval
        n_guided = sum(low <= lam <= high for lam in levels) if self.scale != 1 else 0
        return len(levels) + n_guided

    def steered(self, denoise: Denoiser, scene: Scene) -> Denoiser:
        """The denoiser of a batch, guided."""
        if self.scale != 1 and scene.rows is not None:
            blind = Unconditioned(SelfConditioned(scene.model, scene.mask), scene.rows)
            denoise = classifier_free(denoise, blind, self.scale, interval=self.interval)
        clip = MAX_SHIFT / scene.model.scales.pos
        if self.obstacle is not None:
            obstacle, unknown, unit = self.obstacle, scene.unknown, scene.model.scales.pos
            denoise = energy_guided(
                denoise,
                lambda x0: obstacle.energy(*scene.read(x0), unknown.clone()),
                1.0,
                scaling=lambda lam: obstacle.scaling(lam, unit),
                clip=clip,
            )
        if self.guide is not None:
            energy = _checked(self.guide, scene)
            denoise = energy_guided(denoise, energy, 1.0, clip=clip)
        return denoise


@dataclass(frozen=True)
class Scene:
    """A batch as energies see it.

    Attributes:
        model: The model.
        mask: Real atoms, ``[B, N]``.
        rows: What is given; None for nothing.
        origin: Origin of the solver's frame in that of the file, Å, ``[B, 1, 3]``; None where
            no position is given.
    """

    model: DeNovo
    mask: Tensor
    rows: GivenRows | None
    origin: Tensor | None

    @property
    def unknown(self) -> Tensor:
        """Atoms that are to be made, ``[B, N]``."""
        return self.mask if self.rows is None else self.mask & ~self.rows.has[Modality.POS]

    def read(self, x0: State) -> tuple[Tensor, Tensor]:
        """Positions in Å and element probabilities of a clean state."""
        state = cast("dict[str, Tensor]", x0)
        scales, n_classes = self.model.scales, state[Modality.ELEMENT].shape[-1]
        pos, mask = state[Modality.POS] * scales.pos, self.mask.clone()
        # An energy that depends on the place must not push a molecule that has none.
        pos = center(pos, mask) if self.origin is None else pos + self.origin.clone()
        return pos, state[Modality.ELEMENT] / scales.element + 1 / n_classes


def scene_of(
    model: DeNovo, mask: Tensor, rows: GivenRows | None, atoms: Sequence[GivenAtoms] | None
) -> Scene:
    """The scene of a batch."""
    if not atoms or any(one.pos is None for one in atoms):
        return Scene(model, mask, rows, None)
    origin = np.stack([one.origin for one in atoms])[:, None].astype(np.float32)
    return Scene(model, mask, rows, torch.from_numpy(origin).to(mask.device))


def _checked(guide: Guide, scene: Scene) -> Callable[[State], Tensor]:
    """A caller's energy of a clean state, its answer checked."""

    def energy(x0: State) -> Tensor:
        pos, probability = scene.read(x0)
        value = guide(pos, probability, scene.mask.clone())
        if value.shape != pos.shape[:1]:
            shape = list(value.shape)
            raise UsageError(
                f"guide returned shape {shape} for {len(pos)} molecules",
                "Return one energy each, [B]",
            )
        return value

    return energy

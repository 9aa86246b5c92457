"""Draw what a few-step sampler sees and estimates at every call.

    python -m benchmarks trajectory --out docs/trajectory.png

Boxes show the noised positions in Å; atoms have the colours of the estimate beside them, and none
before the first call.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gallery import COLOURS, RADII, View, draw
from molgen.checkpoint import LoadedModel, find_model, load_model
from molgen.chem.molecule import Molecule
from molgen.models.denovo import ELEMENT, POS, SelfConditioned
from molgen.sampling.plan import default_plan

mpl.use("Agg")
from matplotlib import pyplot as plt

REACH = 4.4
"""Half the width of an estimate's panel, Å."""


@dataclass(frozen=True)
class Call:
    """One network call.

    Attributes:
        sigma: Noise, Å.
        pos: Noised positions, Å, ``[N, 3]``.
        estimate: The molecule that the network expects.
    """

    sigma: float
    pos: NDArray[np.float64]
    estimate: Molecule


@dataclass(frozen=True)
class AsGiven(View):
    """Molecules that are turned already."""

    def of(self, molecule: Molecule) -> NDArray[np.float64]:
        """Positions as they are."""
        return molecule.pos.astype(np.float64)


def calls_of(loaded: LoadedModel, steps: int, n_atoms: int, seed: int) -> list[Call]:
    """The calls that make one molecule, turned so that its widest plane faces the reader."""
    model, plan = loaded.model, default_plan(loaded.info, steps)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(1, n_atoms, dtype=torch.bool)
    n_elements = loaded.info.vocabulary.n_elements
    noise = torch.randn(1, n_atoms, 3 + n_elements, generator=generator)
    start = {
        "pos": POS.project(noise[..., :3], mask),
        "element": ELEMENT.project(noise[..., 3:], mask),
    }
    memory = SelfConditioned(model, mask, plan.jumps, plan.logit_bias)
    called, seen = plan.called(memory, "pos"), []

    def denoise(state: dict[str, Tensor], lam: Tensor, *rest: Tensor) -> dict[str, Tensor]:
        clean = called(state, lam, *rest)
        scale = model.scales.pos * float(torch.sigmoid(2 * lam).rsqrt())
        pos = state["pos"][0].double().numpy() * scale
        sigma = model.scales.pos * float(torch.exp(-lam))
        seen.append(Call(sigma, pos, _named(loaded, memory)))
        return clean

    with torch.inference_mode():
        plan.solver.solve(denoise, start, plan.grid, offsets=model.offsets)
    final = seen[-1].estimate.pos
    _, _, axes = np.linalg.svd(final - final.mean(axis=0), full_matrices=False)
    return [_turned(call, axes) for call in seen]


def _named(loaded: LoadedModel, memory: SelfConditioned) -> Molecule:
    """The most probable classes of the last estimate."""
    estimate = memory.estimate
    element, charge, bond = (
        logits[0].argmax(dim=-1).numpy()
        for logits in (estimate.element, estimate.charge, estimate.bond)
    )
    begin, end = np.nonzero(np.triu(bond, 1))
    vocabulary = loaded.info.vocabulary
    return Molecule(
        atomic_numbers=np.array(vocabulary.atomic_numbers, np.uint8)[element],
        pos=estimate.pos[0].numpy() * np.float32(loaded.model.scales.pos),
        formal_charge=np.array(vocabulary.charges, np.int8)[charge],
        bonds=np.stack([begin, end, bond[begin, end]], axis=1).astype(np.int16),
    )


def _turned(call: Call, axes: NDArray[np.floating]) -> Call:
    one = call.estimate
    pos = (one.pos @ axes.T).astype(np.float32)
    turned = Molecule(one.atomic_numbers, pos, one.formal_charge, one.bonds)
    return Call(call.sigma, call.pos @ axes.T, turned)


def draw_state(axes: Axes, call: Call, *, is_first: bool) -> None:
    """The noised atoms of one call, in a box that holds them."""
    reach = max(3.6, 1.05 * float(np.abs(call.pos[:, :2]).max()))
    for place, number in zip(call.pos, call.estimate.atomic_numbers.tolist(), strict=True):
        colour = "#b8b8b8" if is_first else COLOURS[number]
        radius = RADII[number] * reach / REACH
        circle = plt.Circle(place[:2], radius, fc=colour, ec="#303030", lw=0.6, zorder=place[2])
        axes.add_patch(circle)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_color("#cccccc")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="qm9-few")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--n-atoms", type=int, default=18)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 11, 6])
    parser.add_argument("--out", type=Path, default=Path("trajectory.png"))


def main(options: argparse.Namespace) -> None:
    """Sample, draw, save."""
    loaded = load_model(find_model(options.model), "cpu")
    rows = [calls_of(loaded, options.steps, options.n_atoms, seed) for seed in options.seeds]
    figure = _figure(rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110)


def _figure(rows: Sequence[Sequence[Call]]) -> plt.Figure:
    n_steps = len(rows[0])
    size = (3.4 * n_steps, 1.65 * len(rows) + 0.55)
    figure, grid = plt.subplots(len(rows), 2 * n_steps, figsize=size, squeeze=False)
    for panels, calls in zip(grid, rows, strict=True):
        for place, call in enumerate(calls):
            state, estimate = panels[2 * place : 2 * place + 2]
            draw_state(state, call, is_first=place == 0)
            estimate.set_axis_off()
            draw(estimate, call.estimate, AsGiven())
            estimate.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
            if calls is rows[0]:
                state.set_title(f"call {place + 1}: noise {call.sigma:.2g} Å", fontsize=9)
                estimate.set_title("estimate", fontsize=9)
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.9, wspace=0.04, hspace=0.05)
    return figure

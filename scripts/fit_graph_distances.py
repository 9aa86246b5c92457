"""Teach a network the distances of its own graphs, on weights that stay as they are otherwise.

    python scripts/fit_graph_distances.py fitted.safetensors --out qm9-few.safetensors

The layers (`molgen.nn.graph_distances`) see the graph and the positions that a last call came to,
and learn the same molecule decoded and mended by a force field: which lengths and angles belong to
which bonds. They know nothing of noise and walks, so ten thousand molecules are enough, and they
may serve other weights of the same vocabulary, too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from last_calls import BATCH, last_calls
from layer_fits import pupil_of, rate_at
from rich.progress import track
from torch import Tensor

from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.chem.settle import Settler
from molgen.config import LossConfig
from molgen.errors import MolgenError
from molgen.models.denovo import DeNovo
from molgen.models.graph_fit import CERTAIN
from molgen.nn.graph_distances import GraphDistances
from molgen.nn.network import Estimate
from molgen.nn.probability import probability
from molgen.train.decided import Decider
from molgen.train.distil_loss import Target, per_molecule

LADDERS = {1: 0.3, 2: 0.27, 4: 0.25, 8: 0.15, 20: 0.03}
"""How often walks of so many calls are learned from: short ones have most to mend."""

ELSEWHERE = 0.1
"""How often those of other numbers of calls are."""

WARMUP = 30
"""Steps before the rate is at its height."""

DECAY_FROM = 0.3
"""Share of the steps from which on the rate falls to zero."""

DECODED = 0.5
"""How often the graph is the decoded one, which the layers see after a decoder."""


@dataclass(frozen=True)
class Sketch:
    """What a last call came to, and the molecule that it should have come to.

    Attributes:
        estimate: Positions and classes before the former were fitted to the graph.
        mask: Real atoms, ``[B, N]``.
        step: Half log-SNR at both ends of the call.
        target: The molecule, decoded and mended.
    """

    estimate: Estimate
    mask: Tensor
    step: tuple[float, float]
    target: Target

    def decoded(self) -> Estimate:
        """The same positions with the graph of the molecule."""
        element, charge, bond = (
            CERTAIN * classes
            for classes in (self.target.element, self.target.charge, self.target.bond)
        )
        return Estimate(self.estimate.pos, element, charge, bond)


def sketches(loaded: LoadedModel, n_batches: int, seed: int, restraint: float) -> Iterator[Sketch]:
    """What a model without layers for its graphs draws, and what a force field makes of it."""
    part = loaded.info.config.distil
    if part is None:
        raise SystemExit("fit_graph_distances.py: give distilled weights")
    settler = Settler("geometry", part.relax or 150, restraint)
    decider = Decider(settler, loaded.info.vocabulary, loaded.model.scales.pos)
    for call in last_calls(loaded, n_batches, seed, _weight):
        with torch.no_grad():
            said = call.again(loaded.model)
            estimate = Estimate(said.pos, said.element, said.charge, said.bond)
            classes = (probability(x) for x in (said.element, said.charge, said.bond))
            target = decider(Target(said.pos, *classes), call.mask)
        yield Sketch(estimate, call.mask, (call.lam, math.inf), target)


def _weight(n_steps: int) -> float:
    return LADDERS.get(n_steps, ELSEWHERE)


def learned(
    model: DeNovo, drawn: Sequence[Sketch], config: LossConfig, options: argparse.Namespace
) -> float:
    """Teach the layers; the last loss."""
    layers = cast("GraphDistances", model.network.graph_distances)
    layers.requires_grad_(requires_grad=True)
    optimiser = torch.optim.AdamW(
        layers.parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_at(step, options.steps, WARMUP, DECAY_FROM)
    )
    rng = np.random.default_rng(options.seed)
    loss = torch.zeros(())
    for _ in track(range(options.steps), "fitting"):
        one = drawn[int(rng.integers(len(drawn)))]
        said = one.decoded() if rng.random() < DECODED else one.estimate
        estimate = model.fitted_to_graph(said, one.mask)
        terms = per_molecule(estimate, one.target, one.step, one.mask, config, model.scales.pos)
        off = (estimate.pos - one.target.pos).square().sum(dim=-1) * one.mask
        away = off.sum(dim=1) / one.mask.sum(dim=1)
        loss = (terms["fit"] + config.distance * (terms["distance"] + away)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return loss.item()


def main() -> None:
    """Draw sketches, learn from them, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="distilled, with n_fits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--walks", type=int, default=20000, help="molecules to learn from")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument(
        "--restraint",
        type=float,
        default=10.0,
        help="kcal/mol/Å² that hold atoms of a mended molecule, so that torsions stay as they are",
    )
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.walks < BATCH or options.steps < 1 or options.layers < 1:
        raise SystemExit(
            f"fit_graph_distances.py: give --walks {BATCH} or more, --steps and --layers 1 or more"
        )
    torch.manual_seed(options.seed)
    loaded = load_model(options.weights, "cpu")
    if loaded.model.network.distances is None:
        raise SystemExit("fit_graph_distances.py: give distilled weights with n_fits")
    # Sketches are what there is before the graph has its say.
    pupil = pupil_of(loaded, "n_graph_layers", "graph_distances", options.layers)
    model = pupil.model
    drawn = list(sketches(loaded, options.walks // BATCH, options.seed, options.restraint))
    # Mended molecules keep their torsions, so nothing is to turn them meanwhile.
    torsions, model.network.torsions = model.network.torsions, None
    loss = learned(model, drawn, pupil.info.config.loss, options)
    model.network.torsions = torsions
    model.requires_grad_(requires_grad=False)
    save_model(options.out, model, pupil.info)
    print(f"{options.out}: {options.steps} steps on {len(drawn)} batches, last {loss:.4f}")


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None

"""Teach a network what its own molecules are like at rest, on weights that stay as they are.

    python scripts/fit_rest.py named.safetensors --out qm9-few.safetensors

The layers (`molgen.nn.rest`) see the graph and the positions of molecules, and learn what molecules
near them are like at rest: torsions from the minima of MMFF94s next to the network's own molecules,
lengths, angles and flat atoms from real molecules, as a last call estimates them from a little
noise. They know nothing of noise and walks, so some ten thousand molecules are enough. The second
half of the steps learns from molecules that the layers of the first half brought nearly to rest,
since a minimum may lie elsewhere for these. Weights that have such layers learn on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rest_examples import BATCH, Example, batches, examples, together
from rest_real import real_examples
from rich.progress import track
from torch.optim import AdamW, Muon

from molgen.checkpoint import LoadedModel, find_model, load_model, save_model
from molgen.data.store import MoleculeStore
from molgen.errors import MolgenError
from molgen.models.at_rest import ROUNDS, at_rest
from molgen.models.build import build, start_from
from molgen.nn.rest import RestLayers
from molgen.train.optimiser import Together
from molgen.train.rest_loss import rest_loss

ON_THE_WAY = 0.4
"""How often positions lie on the way from a start to rest."""

JITTERED = 0.35
"""How often real molecules are blurred besides."""

JITTER = (0.003, 0.12)
"""Least and largest standard deviation of that, in units of the network's coordinates."""

LED = 0.45
"""How often the layers have led them somewhere before."""

LED_FROM = 0.06
"""Share of the steps from which on they are: before that the layers know nothing."""

HALVES = 2
"""Times that examples are drawn."""

WARMUP = 100
"""Steps before the rates are at their height."""

DECAY_FROM = 0.4
"""Share of the steps from which on they fall to zero."""

AVERAGED = 0.998
"""Decay of the mean of the weights that is kept."""

NOT_HIDDEN = (
    *("atoms.weight", "of_atom.weight", "pairs.weight", "lengths."),
    *("torsions.odd", "torsions.out", "heights.out", "heights.of_centre"),
)
"""Matrices from classes, and to what is wanted, which Muon is not meant for."""


def start_of(example: Example, rng: np.random.Generator) -> NDArray[np.float64]:
    """Where a molecule comes from: a start, or a place on the way from there to rest."""
    start = example.starts[int(rng.integers(len(example.starts)))]
    if not example.teaches["turn"] and rng.random() < JITTERED:
        low, high = np.log(JITTER)
        start = start + np.exp(rng.uniform(low, high)) * rng.standard_normal(start.shape)
    if rng.random() < ON_THE_WAY:
        return start + rng.random() * (example.rest - start)
    return start


def learned(
    layers: RestLayers,
    drawn: Sequence[Example],
    steps: range,
    options: argparse.Namespace,
    optimiser: Together,
) -> Iterator[float]:
    """Learn from examples; the loss of every step.

    Args:
        layers: What learns.
        drawn: The examples.
        steps: Numbers of the steps, of ``options.steps`` in all.
        options: Of the command line.
        optimiser: Of the layers.
    """
    rng = np.random.default_rng((options.seed, steps.start))
    stream = batches(drawn, rng)
    for step in steps:
        chosen = next(stream)
        batch = together(chosen, [start_of(one, rng) for one in chosen], layers)
        graphs, pos = batch.graphs, batch.graphs.pos
        if step >= LED_FROM * options.steps and rng.random() < LED:
            n_rounds = int(rng.integers(1, ROUNDS + 1))
            with torch.no_grad():
                pos = at_rest(layers, graphs.classes, pos, graphs.mask, n_rounds)
        terms = rest_loss(layers(graphs.classes, pos, graphs.mask), batch.rest)
        weighed = [batch.weight[name] * term for name, term in terms.items()]
        loss = torch.stack(weighed).sum(dim=0).mean()
        left = (1 - step / options.steps) / (1 - DECAY_FROM)
        optimiser.scale_rates(min(1.0, (step + 1) / WARMUP, left))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        optimiser.step()
        yield loss.item()


def optimiser_of(layers: RestLayers, lr: float, muon_lr: float) -> Together:
    """Muon for hidden matrices, AdamW for the rest."""
    hidden, others = [], []
    for name, parameter in layers.named_parameters():
        is_hidden = parameter.ndim > 1 and not name.startswith(NOT_HIDDEN)
        (hidden if is_hidden else others).append(parameter)
    return Together(
        AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=0.0),
        Muon(hidden, lr=muon_lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    )


def pupil_of(loaded: LoadedModel, n_layers: int) -> LoadedModel:
    """A copy of a model with layers, its own where it has as many."""
    config = loaded.info.config
    section = config.model.model_copy(update={"n_rest_layers": n_layers})
    info = replace(loaded.info, config=config.model_copy(update={"model": section}))
    model = build(info.config, info.max_atoms).eval().requires_grad_(requires_grad=False)
    if config.model.n_rest_layers == n_layers:
        model.load_state_dict(loaded.model.state_dict())
    else:
        loaded.model.network.rest = None
        start_from(model, loaded.model)
    return LoadedModel(model, info)


def taught(loaded: LoadedModel, options: argparse.Namespace) -> tuple[LoadedModel, float]:
    """A model with layers that know its molecules at rest, and the last loss."""
    pupil = pupil_of(loaded, options.layers)
    layers = pupil.model.network.rest
    if layers is None:
        raise RuntimeError("a model was built without the layers that it is to have")
    layers.requires_grad_(requires_grad=True)
    mean = torch.optim.swa_utils.AveragedModel(
        layers, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGED)
    )
    optimiser, loss, n = optimiser_of(layers, *options.lr), 0.0, options.steps
    store, part = MoleculeStore.open(options.reference), loaded.info.config.distil
    if part is None:
        raise SystemExit("fit_rest.py: give distilled weights")
    teacher = load_model(find_model(part.teacher), "cpu").model
    real = list(real_examples(loaded, teacher, store, options.real, options.seed))
    source = loaded
    for half in range(HALVES):
        drawn = [*real, *examples(source, options.n // HALVES, options.seed + half)]
        steps = range(half * n // HALVES, (half + 1) * n // HALVES)
        lessons = learned(layers, drawn, steps, options, optimiser)
        for last in track(lessons, "fitting", total=len(steps)):
            mean.update_parameters(layers)
            loss = last
        source = pupil
    layers.load_state_dict(mean.module.state_dict())
    layers.requires_grad_(requires_grad=False)
    return pupil, loss


def main() -> None:
    """Draw molecules, learn from them, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="distilled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--n", type=int, default=64000, help="its own molecules to learn from")
    parser.add_argument("--real", type=int, default=26000, help="real ones, at most")
    parser.add_argument("--reference", type=Path, default=Path("data/qm9"), help="store of these")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--lr", type=float, nargs=2, default=(2e-3, 5e-3), help="AdamW, Muon")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.n < HALVES * BATCH or options.steps < HALVES or options.layers < 1:
        raise SystemExit(
            f"fit_rest.py: give --n {HALVES * BATCH} or more, --steps {HALVES} or more and "
            "--layers 1 or more"
        )
    torch.manual_seed(options.seed)
    loaded = load_model(options.weights, "cpu")
    pupil, loss = taught(loaded, options)
    save_model(options.out, pupil.model, pupil.info)
    print(f"{options.out}: {options.steps} steps, last {loss:.4f}")


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None

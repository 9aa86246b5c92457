"""Training of the refinement (`molgen.nn.refine`), on weights that stay as they are.

It learns torsions from the minima of MMFF94s next to the model's own molecules, and lengths,
angles and flat atoms from real ones, as a last call estimates them from a little noise. It knows
nothing of noise and rollouts, so some ten thousand molecules are enough. The second half of the
steps learns from molecules that the refinement of the first half has moved, whose minima may lie
elsewhere. Weights that have a refinement go on from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import AdamW, Muon

from molgen.calibrate.context import Context
from molgen.calibrate.refine_examples import (
    Example,
    batches,
    own_examples,
    real_examples,
    together,
)
from molgen.checkpoint import LoadedModel, find_model, load_model
from molgen.config.calibrate import RefineConfig
from molgen.errors import UsageError
from molgen.models.build import build
from molgen.nn.refine.pair_list import PairList
from molgen.nn.refine.refine import ROUNDS, refine
from molgen.nn.refine.restraints import RestraintNet
from molgen.nn.refine.topology import Topology
from molgen.train.optimiser import Together
from molgen.train.refine_loss import refine_loss

BETWEEN_SHARE: Final = 0.4
"""How often positions lie between a start and the minimum."""

JITTER_SHARE: Final = 0.35
"""How often real molecules are noised besides."""

JITTER: Final = (0.003, 0.12)
"""Least and largest standard deviation of that, in units of the network's coordinates."""

REFINED_SHARE: Final = 0.45
"""How often positions are refined before, by a random number of rounds."""

REFINED_FROM: Final = 0.06
"""Share of the steps from which on they are: before that there is nothing to refine with."""

HALVES: Final = 2
"""Times that examples are drawn."""

WARMUP: Final = 100
"""Steps of linear warm-up."""

DECAY_FROM: Final = 0.4
"""Share of the steps from which on learning rates fall to zero."""

EMA: Final = 0.998
"""Decay of the average of the weights, which is kept."""

NOT_HIDDEN: Final = (
    *("embed_atom.", "atom_to_pair.", "embed_bond.", "distances."),
    *("torsions.odd", "torsions.out", "impropers.out", "impropers.of_centre"),
)
"""Input and output matrices, which Muon is not meant for."""


def calibrate(loaded: LoadedModel, context: Context) -> LoadedModel:
    """The weights with a trained refinement."""
    context.presets(loaded.info)
    options, seed = context.config.refine, context.config.seed
    torch.manual_seed(seed)
    trained = with_layers(loaded, options.layers)
    net = trained.model.network.refine
    if net is None or loaded.info.config.distil is None:
        raise UsageError(f"{loaded.name} has no refinement", "Give distilled weights")
    net.requires_grad_(requires_grad=True)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA)
    )
    optimiser = _optimiser(net, *options.lr)
    teacher = load_model(find_model(loaded.info.config.distil.teacher), "cpu").model
    real = list(real_examples(loaded, teacher, context.store, options.n_real, seed))
    source, loss = loaded, 0.0
    for half in range(HALVES):
        own = own_examples(source, options.n // HALVES, seed + half)
        examples = [*real, *own]
        steps = range(half * options.steps // HALVES, (half + 1) * options.steps // HALVES)
        for last in _train(net, examples, steps, options, optimiser, seed):
            average.update_parameters(net)
            loss = last
        context.report(f"refinement: {steps.stop} of {options.steps} steps, last loss {loss:.4f}")
        source = trained
    net.load_state_dict(average.module.state_dict())
    net.requires_grad_(requires_grad=False)
    return trained


def with_layers(loaded: LoadedModel, n_layers: int) -> LoadedModel:
    """A copy of a model with a refinement of so many layers, its own where it has as many."""
    config = loaded.info.config
    section = config.model.model_copy(update={"refine_layers": n_layers})
    info = replace(loaded.info, config=config.model_copy(update={"model": section}))
    model = build(info.config, info.max_atoms).eval().requires_grad_(requires_grad=False)
    state = loaded.model.state_dict()
    if config.model.refine_layers != n_layers:
        state = {name: x for name, x in state.items() if not name.startswith("network.refine.")}
    model.load_state_dict(state, strict=False)
    return LoadedModel(model, info)


def start_of(example: Example, rng: np.random.Generator) -> NDArray[np.float64]:
    """Positions to start from: a start of the example, noised, or between it and the minimum."""
    start = example.starts[int(rng.integers(len(example.starts)))]
    if not example.terms["turn"] and rng.random() < JITTER_SHARE:
        low, high = np.log(JITTER)
        start = start + np.exp(rng.uniform(low, high)) * rng.standard_normal(start.shape)
    if rng.random() < BETWEEN_SHARE:
        return start + rng.random() * (example.target - start)
    return start


def _train(
    net: RestraintNet,
    examples: Sequence[Example],
    steps: range,
    options: RefineConfig,
    optimiser: Together,
    seed: int,
) -> Iterator[float]:
    """The loss of every step."""
    rng = np.random.default_rng((seed, steps.start))
    stream = batches(examples, rng)
    for step in steps:
        chosen = next(stream)
        batch = together(chosen, [start_of(one, rng) for one in chosen])
        graph, pos = batch.graph, batch.pos
        if step >= REFINED_FROM * options.steps and rng.random() < REFINED_SHARE:
            n_rounds = int(rng.integers(1, ROUNDS + 1))
            pos = refine(net, graph, pos, n_rounds)
        topology = Topology.of(graph)
        said = net(graph, topology, PairList.of(graph, topology, pos), pos)
        terms = refine_loss(said, graph, topology, pos, batch.target)
        weighted = [batch.weight[name] * term for name, term in terms.items()]
        loss = torch.stack(weighted).sum(dim=0).mean()
        left = (1 - step / options.steps) / (1 - DECAY_FROM)
        optimiser.scale_rates(min(1.0, (step + 1) / WARMUP, left))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        yield loss.item()


def _optimiser(net: RestraintNet, lr: float, muon_lr: float) -> Together:
    """Muon for hidden matrices, AdamW for the rest."""
    hidden: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        is_hidden = parameter.ndim > 1 and not name.startswith(NOT_HIDDEN)
        (hidden if is_hidden else others).append(parameter)
    return Together(
        AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=0.0),
        Muon(hidden, lr=muon_lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    )

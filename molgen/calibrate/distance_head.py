"""What the last positions say of atoms and bonds: two linear layers of the distance head.

Last calls are kept and learnt from with the molecules that the decoder makes of them: cross-entropy
of the classes before and after valence belief propagation. A penalty holds the numbers of atoms of
every element at those of real molecules of the same sizes, since a network in doubt names the
commoner element too often. It falls with the number of calls, and doubts with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from molgen.calibrate.context import Context
from molgen.calibrate.last_calls import BATCH, LastCall, last_calls
from molgen.checkpoint import LoadedModel
from molgen.chem.decode import Decoder
from molgen.chem.decode_relax import DecodeRelax
from molgen.data.store import MoleculeStore
from molgen.errors import UsageError
from molgen.models.denovo import DeNovo
from molgen.train.distil_loss import Target, class_terms
from molgen.train.student_schedule import class_balances_of, student_schedules_of
from molgen.train.target_decoder import TargetDecoder

SHARPNESS: Final = 4.0
"""Power of probabilities whose sums stand for numbers of atoms: near the most probable class."""

BATCHES_PER_STEP: Final = 4
"""Numbers of atoms of one batch are noisy."""

SMOOTHING: Final = 5.0
"""Atoms added to the wanted number of an element that a deviation is measured in."""

BONDED_WEIGHT: Final = 5.0
"""How much more a bonded pair counts than another."""

EVERY: Final = 17
"""Training molecules between two that are counted."""

ENOUGH: Final = 30
"""Molecules of one size whose own mean counts."""

Lesson = tuple[LastCall, Target]
"""What a last call sees, and the decoded molecules whose classes it should find."""


def calibrate(loaded: LoadedModel, context: Context) -> LoadedModel:
    """The weights with other layers `bond` and `atom` of the distance head.

    Raises:
        UsageError: The model has no distance head or no valence belief propagation.
    """
    context.presets(loaded.info)
    model, options = loaded.model, context.config.distance_head
    head = model.network.distances
    if head is None or model.valence_bp is None:
        raise UsageError(
            f"{loaded.name} has no distance head with valence belief propagation",
            "Set model.smacof_iterations and model.valence_bp_rounds in its recipe",
        )
    model.requires_grad_(requires_grad=False)
    lessons = _lessons(loaded, options.n // BATCH, context.config.seed)
    numbers = loaded.info.vocabulary.atomic_numbers
    wanted = counts_by_size(context.store, numbers, EVERY)
    layers = (head.bond, head.atom)
    groups = [
        {"params": list(layer.requires_grad_().parameters()), "lr": rate}
        for layer, rate in zip(layers, options.lr, strict=True)
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.0)
    n_steps = max(1, options.epochs * (options.n // BATCH) // BATCHES_PER_STEP)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / n_steps)
    rng = np.random.default_rng(context.config.seed)
    presets = np.array(sorted(lessons))
    shares = np.array([len(lessons[steps]) for steps in presets], float)
    for _ in range(n_steps):
        # One number of calls at a time, since each has a penalty of its own.
        kept = lessons[int(rng.choice(presets, p=shares / shares.sum()))]
        chosen = [kept[int(row)] for row in rng.integers(len(kept), size=BATCHES_PER_STEP)]
        penalty = options.penalty / chosen[0][0].n_steps ** options.penalty_power
        optimiser.zero_grad()
        loss = loss_of(model, chosen, wanted, penalty)
        loss.backward()
        optimiser.step()
        schedule.step()
    model.requires_grad_(requires_grad=False)
    context.report(f"distance head: {n_steps} steps, last loss {loss.item():.4f}")
    return loaded


def counts_by_size(store: MoleculeStore, numbers: Sequence[int], every: int) -> Tensor:
    """Mean number of atoms of each element in training molecules by size, ``[n_max + 1, K]``."""
    rows = store.split("train")[::every]
    sizes = np.array([store[int(row)].n_atoms for row in rows])
    counts = np.array(
        [[(store[int(row)].atomic_numbers == z).sum() for z in numbers] for row in rows]
    )
    shares = counts.sum(axis=0) / counts.sum()
    means = np.arange(int(store.n_atoms.max()) + 1)[:, None] * shares
    for size in np.unique(sizes):
        if (sizes == size).sum() >= ENOUGH:
            means[size] = counts[sizes == size].mean(axis=0)
    return torch.from_numpy(means).float()


def loss_of(model: DeNovo, lessons: Sequence[Lesson], wanted: Tensor, penalty: float) -> Tensor:
    """Cross-entropy of the classes, and the penalty on numbers of atoms.

    Args:
        model: The model.
        lessons: Last calls with their targets.
        wanted: Numbers of atoms by size and element, ``[n_max + 1, K]``.
        penalty: Weight of the deviation from these.
    """
    total, made, real = torch.zeros(()), torch.zeros(wanted.shape[1]), torch.zeros(wanted.shape[1])
    for call, target in lessons:
        estimate = call.repeat(model)
        for classes in (estimate.heads, estimate.classes):
            terms = class_terms(classes, target, call.mask, bonded=BONDED_WEIGHT)
            total = total + torch.stack([term.mean() for term in terms.values()]).sum()
        sharp = (SHARPNESS * estimate.element).softmax(dim=-1) * call.mask[..., None]
        made = made + sharp.sum(dim=(0, 1))
        real = real + wanted[call.mask.sum(dim=1)].sum(dim=0)
    off = ((made - real).square() / (real + SMOOTHING)).sum()
    return (total + penalty * off) / len(lessons)


def _lessons(loaded: LoadedModel, n_batches: int, seed: int) -> dict[int, list[Lesson]]:
    """Last calls and decoded molecules, by number of calls."""
    vocabulary, config = loaded.info.vocabulary, loaded.info.config
    if config.distil is None:
        raise ValueError("the weights were not distilled")
    decode_relax = DecodeRelax(Decoder("geometry", distances=loaded.info.distances), 0, 0.0)
    decoder = TargetDecoder(decode_relax, vocabulary, loaded.model.scales.pos)
    balances = class_balances_of(config.distil, student_schedules_of(config)[0], vocabulary)
    lessons: dict[int, list[Lesson]] = defaultdict(list)
    for call in last_calls(loaded, n_batches, seed):
        with torch.no_grad():
            found = Target.of_estimate(call.repeat(loaded.model))
            target = decoder(found, call.mask, balances.get(call.n_steps))
        lessons[call.n_steps].append((call, target))
    return lessons

"""Fit what the last positions say of atoms and bonds, on weights that stay as they are otherwise.

    python scripts/fit_evidence.py runs/qm9-few/model.safetensors --out fitted.safetensors

The layers are two linear ones (`molgen.nn.distance_head`), so a few thousand walks are enough: the
last call of each is kept, and learned from with the molecule that the decoder makes of it. To the
cross-entropy of the classes before and after they were brought to terms comes a penalty on the
numbers of atoms of every element where they are not those of real molecules of the same sizes: at
one or two calls a network that doubts names the commoner element too often. Doubts fall with the
number of calls, and the penalty with a power of it, since it costs sound graphs where it is heavy.
The decoder is held to the shares of the elements as in training (`molgen.train.census`).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from last_calls import BATCH, LastCall, last_calls
from rich.progress import track
from torch import Tensor

from molgen.checkpoint import load_model, save_model
from molgen.chem.settle import Settler
from molgen.data.store import MoleculeStore
from molgen.errors import MolgenError
from molgen.models.denovo import DeNovo
from molgen.train.courses import censuses_of, courses_of
from molgen.train.decided import Decider
from molgen.train.distil_loss import Target, class_terms

ROOT = Path(__file__).resolve().parents[1]

SHARP = 4.0
"""Power of probabilities whose sums stand for numbers of atoms: near the most probable class."""

TOGETHER = 4
"""Batches per step: numbers of atoms of one batch are noisy."""

SMOOTH = 5.0
"""Atoms added to the wanted number of an element that a deviation is measured in."""

Learned = tuple[LastCall, Target]
"""What a last call saw, and the decoded molecules, whose classes it should find."""


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
        if (sizes == size).sum() >= 30:
            means[size] = counts[sizes == size].mean(axis=0)
    return torch.from_numpy(means).float()


def loss_of(model: DeNovo, calls: Sequence[Learned], wanted: Tensor, penalty: float) -> Tensor:
    """Cross-entropy before and after messages, and the deviation of the numbers of atoms."""
    total, made, real = torch.zeros(()), torch.zeros(wanted.shape[1]), torch.zeros(wanted.shape[1])
    for call, target in calls:
        estimate = call.again(model)
        for classes in (estimate.heads, estimate.classes):
            terms = class_terms(classes, target, call.mask, bonded=5.0)
            total = total + torch.stack([term.mean() for term in terms.values()]).sum()
        sharp = (SHARP * estimate.element).softmax(dim=-1) * call.mask[..., None]
        made = made + sharp.sum(dim=(0, 1))
        real = real + wanted[call.mask.sum(dim=1)].sum(dim=0)
    off = ((made - real).square() / (real + SMOOTH)).sum()
    return (total + penalty * off) / len(calls)


def main() -> None:
    """Collect last calls, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="with n_fits and n_messages")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--walks", type=int, default=4000, help="molecules to learn from")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, nargs=2, default=(3e-4, 5e-5), help="bonds, atoms")
    parser.add_argument(
        "--penalty", type=float, default=0.04, help="on numbers of atoms, at one call"
    )
    parser.add_argument(
        "--power", type=float, default=2.0, help="of the number of calls, by which it falls"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "qm9")
    options = parser.parse_args()
    if options.walks < BATCH or options.epochs < 1:
        raise SystemExit(f"fit_evidence.py: give --walks {BATCH} or more, and --epochs 1 or more")
    loaded = load_model(options.weights, "cpu")
    model = loaded.model.eval().requires_grad_(requires_grad=False)
    head = model.network.distances
    if head is None or model.marginals is None or loaded.info.config.distil is None:
        raise SystemExit("fit_evidence.py: give distilled weights with n_fits and n_messages")
    numbers = loaded.info.vocabulary.atomic_numbers
    wanted = counts_by_size(MoleculeStore.open(options.data), numbers, every=17)
    n_batches = options.walks // BATCH
    decider = Decider(Settler("geometry", 0, 0.0), loaded.info.vocabulary, model.scales.pos)
    by_length: dict[int, list[Learned]] = defaultdict(list)
    courses, _ = courses_of(loaded.info.config)
    censuses = censuses_of(loaded.info.config.distil, courses, loaded.info.vocabulary)
    for call in last_calls(loaded, n_batches, options.seed):
        with torch.no_grad():
            said = Target.of_estimate(call.again(model))
            target = decider(said, call.mask, censuses.get(call.n_steps))
        by_length[call.n_steps].append((call, target))

    layers = (head.bond, head.atom)
    for layer in layers:
        layer.requires_grad_(requires_grad=True)
    groups = [
        {"params": list(layer.parameters()), "lr": rate}
        for layer, rate in zip(layers, options.lr, strict=True)
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.0)
    n_steps = max(1, options.epochs * n_batches // TOGETHER)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / n_steps)
    rng = np.random.default_rng(options.seed)
    lengths = np.array(sorted(by_length))
    shares = np.array([len(by_length[length]) for length in lengths]) / n_batches
    for _ in track(range(n_steps), "fitting"):
        # One number of calls at a time: another penalty for each.
        kept = by_length[int(rng.choice(lengths, p=shares))]
        calls = [kept[int(place)] for place in rng.integers(len(kept), size=TOGETHER)]
        optimiser.zero_grad()
        loss = loss_of(model, calls, wanted, options.penalty / calls[0][0].n_steps ** options.power)
        loss.backward()
        optimiser.step()
        schedule.step()
    model.requires_grad_(requires_grad=False)
    save_model(options.out, model, loaded.info)
    print(f"{options.out}: {n_steps} steps on {len(lengths)} ladders, last loss {loss.item():.4f}")


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None

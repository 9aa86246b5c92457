"""Teach a network how far the bonds of its own molecules turn until they are at rest.

    python scripts/fit_torsions.py shaped.safetensors --out qm9-few.safetensors

The layers (`molgen.nn.torsions`) see the graph and the positions of finished molecules, and learn
what MMFF94s makes of the torsions. A quarter of what they learn from lies somewhere on the straight
way to rest, and later a third are positions that they have turned already, since a sampler asks
them several times in a row.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from layer_fits import pupil_of, rate_at
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW, Muon

from molgen.api import Generator
from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.chem.force_field import relaxed_pos
from molgen.chem.molecule import Molecule
from molgen.errors import MolgenError
from molgen.flow.process import center
from molgen.models.graph_fit import CERTAIN, graph_of, places
from molgen.models.to_graph import STRIDES
from molgen.nn.classes import Classes
from molgen.nn.torsions import Torsions
from molgen.sampling.request import Request
from molgen.sampling.run import Tally
from molgen.train.optimiser import Together
from molgen.train.turn_loss import turn_loss

BATCH = 32
"""Molecules per step, of nearly the same size."""

SHARES = {1: 0.22, 2: 0.25, 4: 0.31, 8: 0.19, 20: 0.03}
"""Molecules of so many calls: those of few have farthest to go."""

HELD = (150, 1.0)
"""Iterations of the force field, and kcal/mol/Å² that hold the atoms, before it is left alone:
rough molecules would leap over barriers."""

ALONE = 300
"""Iterations after that."""

ON_THE_WAY = 0.5
"""How often positions lie on the way to rest."""

TURNED = 0.35
"""How often they were turned already."""

TURNED_FROM = 0.2
"""Share of the steps from which on they are: before that the layers know nothing of turning."""

WARMUP = 100
"""Steps before the rates are at their height."""

DECAY_FROM = 0.4
"""Share of the steps from which on they fall to zero."""

NOT_HIDDEN = ("atoms.weight", "of_atom.weight", "pairs.weight", "of_angle", "odd", "out")
"""Matrices from classes and angles, and to turns, which Muon is not meant for."""


@dataclass(frozen=True)
class Example:
    """A finished molecule and where it comes to rest.

    Attributes:
        classes: Elements, formal charges and bonds as the model numbers them.
        pos: Positions in units of the model, ``[n, 3]``.
        rest: The same at rest.
    """

    classes: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]
    pos: NDArray[np.float64]
    rest: NDArray[np.float64]


def at_rest(molecule: Molecule) -> NDArray[np.float64] | None:
    """The nearest minimum of MMFF94s, Å; None where the field does not know an atom."""
    held = relaxed_pos(molecule, *HELD)
    if held is None:
        return None
    return relaxed_pos(replace(molecule, pos=held.astype(np.float32)), ALONE)


def examples(loaded: LoadedModel, n: int, seed: int) -> Iterator[Example]:
    """What a model without layers for torsions makes, and what a force field makes of it."""
    vocabulary, scale = loaded.info.vocabulary, loaded.model.scales.pos
    for steps, share in SHARES.items():
        tally = Tally(keep=True)
        run = Generator(loaded).run(Request(n=max(1, round(share * n)), steps=steps, seed=seed))
        for _ in track(run.stream(tally), f"{steps} calls", total=run.n_records):
            named, made = tally.raw.pop(), tally.molecules.pop()
            rest = at_rest(made)
            if rest is None:
                continue
            classes = (
                places(made.atomic_numbers, vocabulary.atomic_numbers),
                places(made.formal_charge, vocabulary.charges),
                graph_of(named, made),
            )
            centre = made.pos.mean(axis=0)
            yield Example(classes, (made.pos - centre) / scale, (rest - centre) / scale)


@dataclass(frozen=True)
class Batch:
    """Molecules side by side.

    Attributes:
        classes: Their graphs.
        pos: Where they are, ``[B, N, 3]``.
        rest: Where they come to rest.
        mask: Real atoms, ``[B, N]``.
    """

    classes: Classes
    pos: Tensor
    rest: Tensor
    mask: Tensor


def together(chosen: Sequence[Example], layers: Torsions) -> Batch:
    """A batch of examples."""
    sizes = np.array([len(one.pos) for one in chosen])
    n, shape = int(sizes.max()), layers.shape
    pos, rest = np.zeros((2, len(chosen), n, 3), np.float32)
    element, charge = np.zeros((2, len(chosen), n), np.int64)
    bond = np.zeros((len(chosen), n, n), np.int64)
    for row, (one, k) in enumerate(zip(chosen, sizes, strict=True)):
        pos[row, :k], rest[row, :k] = one.pos, one.rest
        element[row, :k], charge[row, :k], bond[row, :k, :k] = one.classes

    def certain(values: NDArray[np.int64], n_classes: int) -> Tensor:
        return CERTAIN * functional.one_hot(torch.from_numpy(values), n_classes).float()

    classes = Classes(
        certain(element, shape.n_elements),
        certain(charge, shape.n_charges),
        certain(bond, shape.n_bonds),
    )
    mask = torch.from_numpy(np.arange(n) < sizes[:, None])
    return Batch(classes, torch.from_numpy(pos), torch.from_numpy(rest), mask)


def batches(drawn: Sequence[Example], rng: np.random.Generator) -> Iterator[list[Example]]:
    """All examples again and again, in batches of nearly the same size."""
    sizes = np.array([len(one.pos) for one in drawn])
    while True:
        order = np.argsort(sizes + 2 * rng.random(len(sizes)))
        starts = np.arange(0, len(order), BATCH)
        for start in rng.permutation(starts):
            yield [drawn[place] for place in order[start : start + BATCH]]


def where_learned(
    batch: Batch, layers: Torsions, rng: np.random.Generator, *, turn: bool
) -> Tensor:
    """Positions to learn from: as they are, on the way to rest, or turned already."""
    on_the_way = rng.random(len(batch.mask)) * (rng.random(len(batch.mask)) < ON_THE_WAY)
    way = torch.from_numpy(on_the_way).float()[:, None, None]
    pos = batch.pos + way * (batch.rest - batch.pos)
    if turn and rng.random() < TURNED:
        with torch.no_grad():
            for _ in range(rng.integers(1, 3)):
                said = layers(batch.classes, pos, batch.mask)
                pos = center(said.applied(pos, batch.mask, STRIDES), batch.mask)
    return pos


def optimiser_of(layers: Torsions, lr: float, muon_lr: float) -> Together:
    """Muon for hidden matrices, AdamW for the rest."""
    hidden, others = [], []
    for name, parameter in layers.named_parameters():
        plain = name.removeprefix("head.").startswith(NOT_HIDDEN)
        (others if parameter.ndim < 2 or plain else hidden).append(parameter)
    return Together(
        AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=0.0),
        Muon(hidden, lr=muon_lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    )


def main() -> None:
    """Draw molecules, learn from them, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="distilled, with n_graph_layers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--n", type=int, default=30000, help="molecules to learn from")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--lr", type=float, nargs=2, default=(2e-3, 5e-3), help="AdamW, Muon")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.n < BATCH or options.steps < 1 or options.layers < 1:
        raise SystemExit(
            f"fit_torsions.py: give --n {BATCH} or more, --steps and --layers 1 or more"
        )
    torch.manual_seed(options.seed)
    loaded = load_model(options.weights, "cpu")
    if loaded.model.graph_layers is None or loaded.info.config.distil is None:
        raise SystemExit("fit_torsions.py: give distilled weights with n_graph_layers")
    # Examples are what there is before anything turns.
    pupil = pupil_of(loaded, "n_torsion_layers", "torsions", options.layers)
    model = pupil.model
    drawn = list(examples(loaded, options.n, options.seed))
    layers = cast("Torsions", model.network.torsions)
    layers.requires_grad_(requires_grad=True)
    optimiser = optimiser_of(layers, *options.lr)
    rng = np.random.default_rng(options.seed)
    stream = batches(drawn, rng)
    loss = torch.zeros(())
    for step in track(range(options.steps), "fitting"):
        batch = together(next(stream), layers)
        knows = pupil.has_layers or step > TURNED_FROM * options.steps
        pos = where_learned(batch, layers, rng, turn=knows)
        loss = turn_loss(layers(batch.classes, pos, batch.mask), batch.rest).mean()
        optimiser.scale_rates(rate_at(step, options.steps, WARMUP, DECAY_FROM))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        optimiser.step()
    model.requires_grad_(requires_grad=False)
    save_model(options.out, model, pupil.info)
    print(f"{options.out}: {options.steps} steps on {len(drawn)} molecules, last {loss.item():.4f}")


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None

"""Molecules of a model, and where a force field brings them to rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from molgen.api import Generator
from molgen.checkpoint import LoadedModel
from molgen.chem.force_field import relaxed_pos
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.eval.metrics import n_cores
from molgen.models.graph_fit import ClassNumbers, Graphs, classes_of, graph_of, side_by_side
from molgen.nn.rest import RestLayers
from molgen.sampling.request import Request
from molgen.sampling.run import Tally

BATCH = 32
"""Molecules per step, of nearly the same size."""

SHARES = {1: 0.36, 2: 0.26, 4: 0.23, 8: 0.12, 20: 0.03}
"""Molecules of so many calls: those of few have farthest to go."""

HELD = (150, 1.0)
"""Iterations of the force field, and kcal/mol/Å² that hold the atoms, before it is left alone:
rough molecules would leap over barriers."""

ALONE = 600
"""Iterations after that."""

TIME_LIMIT_S = 20.0
"""Seconds that a molecule may take."""

TEACHES = {"length": 0.0, "rule": 0.0, "turn": 1.0, "rise": 0.0}
"""What a force field's minimum teaches: torsions alone. Its lengths are not those of real
molecules, and layers learn to tell which of both they see."""


@dataclass(frozen=True)
class Example:
    """A molecule and where it comes to rest, in units of the model.

    Attributes:
        classes: Elements, formal charges and bonds as the model numbers them.
        starts: Positions to come from, ``[n, 3]`` each: those that were estimated, and those that
            layers led them to where there were such layers.
        rest: Positions at rest, ``[n, 3]``.
        teaches: Weights of the terms of `molgen.train.rest_loss` for it.
    """

    classes: ClassNumbers
    starts: tuple[NDArray[np.float64], ...]
    rest: NDArray[np.float64]
    teaches: Mapping[str, float]


def at_rest(molecule: Molecule) -> NDArray[np.float64] | None:
    """The nearest minimum of MMFF94s, Å; None where the field does not know an atom."""
    held = relaxed_pos(molecule, *HELD)
    if held is None:
        return None
    return relaxed_pos(replace(molecule, pos=held.astype(np.float32)), ALONE)


def examples(loaded: LoadedModel, n: int, seed: int) -> Iterator[Example]:
    """What a model makes, before and after its layers brought it to rest, and the minimum near it.

    Args:
        loaded: Distilled weights; without layers, molecules are as they were estimated.
        n: Molecules.
        seed: Seed of the runs.
    """
    network, layers = loaded.model.network, loaded.model.network.rest
    requests = [
        Request(n=max(1, round(share * n)), steps=steps, seed=seed)
        for steps, share in SHARES.items()
    ]
    made = _drawn(loaded, requests)
    estimated = made
    if layers is not None:
        network.rest = None
        estimated = _drawn(loaded, requests)
        network.rest = layers
    relaxed = run_with_limit(at_rest, [one for _, one in made], TIME_LIMIT_S, n_cores())
    rests = track(relaxed, "force field", total=len(made))
    for (raw, one), (_, before), rest in zip(made, estimated, rests, strict=True):
        if rest is not None and not isinstance(rest, Unfinished):
            yield _example(loaded, raw, one, before, rest)


def _drawn(loaded: LoadedModel, requests: Sequence[Request]) -> list[tuple[Molecule, Molecule]]:
    """What was named and what was made of it."""
    tally = Tally(keep=True)
    for request in requests:
        run = Generator(loaded).run(request)
        for _ in track(run.stream(tally), f"{request.steps} calls", total=run.n_records):
            pass
    return list(zip(tally.raw, tally.molecules, strict=True))


def _example(
    loaded: LoadedModel,
    raw: Molecule,
    made: Molecule,
    before: Molecule,
    rest: NDArray[np.float64],
) -> Example:
    vocabulary, scale = loaded.info.vocabulary, loaded.model.scales.pos
    classes = classes_of(made, graph_of(raw, made), vocabulary)
    starts = [made.pos]
    if before.n_atoms == made.n_atoms and not np.array_equal(before.pos, made.pos):
        starts.append(before.pos)
    centred = [(pos - pos.mean(axis=0)) / scale for pos in (*starts, rest)]
    return Example(classes, tuple(centred[:-1]), centred[-1], TEACHES)


@dataclass(frozen=True)
class Batch:
    """Molecules side by side.

    Attributes:
        graphs: Their graphs, and where they are.
        rest: Where they come to rest, ``[B, N, 3]``.
        weight: Of every term of the loss, ``[B]`` each.
    """

    graphs: Graphs
    rest: Tensor
    weight: Mapping[str, Tensor]


def together(
    chosen: Sequence[Example], starts: Sequence[NDArray[np.float64]], layers: RestLayers
) -> Batch:
    """A batch of examples, each from one of its starts."""
    graphs = side_by_side([one.classes for one in chosen], starts, layers.shape)
    rest = torch.zeros_like(graphs.pos)
    for row, one in enumerate(chosen):
        rest[row, : len(one.rest)] = torch.from_numpy(one.rest)
    weight = {name: torch.tensor([one.teaches[name] for one in chosen]) for name in TEACHES}
    return Batch(graphs, rest, weight)


def batches(drawn: Sequence[Example], rng: np.random.Generator) -> Iterator[list[Example]]:
    """All examples again and again, in batches of nearly the same size."""
    sizes = np.array([len(one.rest) for one in drawn])
    while True:
        order = np.argsort(sizes + 2 * rng.random(len(sizes)))
        starts = np.arange(0, len(order), BATCH)
        for start in rng.permutation(starts):
            yield [drawn[place] for place in order[start : start + BATCH]]

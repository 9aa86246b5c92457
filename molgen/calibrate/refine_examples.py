"""Molecules that a refinement learns from: a model's own with their minima, and real ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from torch import Tensor
from torch.nn import functional

from molgen.calibrate.context import drawn
from molgen.checkpoint import LoadedModel
from molgen.chem.atom_classes import element_classes
from molgen.chem.elements import AROMATIC
from molgen.chem.force_field import relaxed_pos
from molgen.chem.mol import build_mol, molecule_of
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.cores import available_cores
from molgen.data.store import MoleculeStore
from molgen.models.denovo import ELEMENT, POS, DeNovo
from molgen.models.graph_fit import ClassNumbers, classes_of, graph_of, packed
from molgen.nn.refine.graph import PackedGraph

BATCH: Final = 32
"""Molecules per step, of nearly the same size."""

PRESET_SHARES: Final = {1: 0.36, 2: 0.26, 4: 0.23, 8: 0.12, 20: 0.03}
"""Molecules of so many calls: those of few calls have farthest to go."""

RESTRAINED: Final = (150, 1.0)
"""Iterations of the force field with a restraint, and its kcal/mol/Å²: rough molecules would
otherwise leap over barriers."""

FREE: Final = 600
"""Iterations after that."""

TIME_LIMIT_S: Final = 20.0
"""Seconds that a molecule may take."""

OWN_TERMS: Final = {"length": 0.0, "rule": 0.0, "turn": 1.0, "rise": 0.0}
"""A force field's minimum teaches torsions alone: its lengths are not those of real molecules."""

REAL_TERMS: Final = {"length": 1.0, "rule": 0.5, "turn": 0.0, "rise": 0.5}
"""Real molecules teach lengths, angles and flat atoms: their torsions are of another method."""

SIGMAS: Final = (0.05, 0.08, 0.12, 0.16, 0.25, 0.35, 0.45)
"""Å of noise: from much more, another conformer may come, or another molecule."""

KEKULE_SHARE: Final = 0.3
"""How often aromatic bonds are written as single and double ones, as a decoder leaves them."""

FARTHEST: Final = 1.0
"""Å, root mean square, from which on an estimate is of something else."""


@dataclass(frozen=True)
class Example:
    """A molecule and its minimum, in units of the model.

    Attributes:
        classes: Elements, formal charges and bonds as the model numbers them.
        starts: Positions to start from, ``[n, 3]`` each: as estimated, and as refined if there was
            a refinement.
        target: Positions of the minimum, ``[n, 3]``.
        terms: Weights of the terms of the loss.
    """

    classes: ClassNumbers
    starts: tuple[NDArray[np.float64], ...]
    target: NDArray[np.float64]
    terms: Mapping[str, float]


@dataclass(frozen=True)
class Batch:
    """Examples side by side.

    Attributes:
        graph: Molecules.
        pos: Their positions, ``[A, 3]``.
        target: Positions of the minima, ``[A, 3]``.
        weight: Of every term of the loss, ``[B]`` each.
    """

    graph: PackedGraph
    pos: Tensor
    target: Tensor
    weight: Mapping[str, Tensor]


def own_examples(loaded: LoadedModel, n: int, seed: int) -> Iterator[Example]:
    """Molecules of a model, before and after its refinement, with the minimum of MMFF94s near them.

    Args:
        loaded: Distilled weights.
        n: Molecules.
        seed: Of the runs.
    """
    network, layers = loaded.model.network, loaded.model.network.refine
    refined = _drawn(loaded, n, seed)
    estimated = refined
    if layers is not None:
        network.refine = None
        estimated = _drawn(loaded, n, seed)
        network.refine = layers
    minima = run_with_limit(minimum, [one for _, one in refined], TIME_LIMIT_S, available_cores())
    for (raw, made), (_, before), target in zip(refined, estimated, minima, strict=True):
        if target is not None and not isinstance(target, Unfinished):
            yield _own(loaded, raw, made, before, target)


def real_examples(
    loaded: LoadedModel, teacher: DeNovo, store: MoleculeStore, n: int, seed: int
) -> Iterator[Example]:
    """Real molecules, starting from what a last call makes of them and a little noise.

    Args:
        loaded: Distilled weights.
        teacher: Their teacher, whose estimate stands for the calls before.
        store: Real molecules; the training split is drawn from.
        n: Molecules, at most.
        seed: Of the choice and of the noise.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    chosen = [store[int(index)] for index in rng.permutation(store.split("train"))[:n]]
    chosen.sort(key=lambda one: one.n_atoms)
    vocabulary, scale = loaded.info.vocabulary, loaded.model.scales.pos
    for first in range(0, len(chosen), BATCH):
        part = chosen[first : first + BATCH]
        sigma = float(rng.choice(SIGMAS)) / scale
        elements = [element_classes(vocabulary, one.atomic_numbers, one.hydrogens) for one in part]
        estimates = _estimates(loaded.model, teacher, part, elements, sigma, generator)
        for one, estimate in zip(part, estimates, strict=True):
            target = (one.pos - one.pos.mean(axis=0)) / scale
            if scale * math.sqrt(np.square(estimate - target).sum(axis=1).mean()) < FARTHEST:
                graph = _kekulised(one) if rng.random() < KEKULE_SHARE else bond_matrix(one)
                classes = classes_of(one, graph, vocabulary)
                yield Example(classes, (estimate,), target, REAL_TERMS)


def minimum(molecule: Molecule) -> NDArray[np.float64] | None:
    """The nearest minimum of MMFF94s, Å; None where the field does not know an atom."""
    restrained = relaxed_pos(molecule, *RESTRAINED)
    if restrained is None:
        return None
    return relaxed_pos(replace(molecule, pos=restrained.astype(np.float32)), FREE)


def together(chosen: Sequence[Example], starts: Sequence[NDArray[np.float64]]) -> Batch:
    """A batch of examples, each from one of its starts."""
    pos, target = (
        torch.from_numpy(np.concatenate(parts)).float()
        for parts in (starts, [one.target for one in chosen])
    )
    weight = {name: torch.tensor([one.terms[name] for one in chosen]) for name in OWN_TERMS}
    return Batch(packed([one.classes for one in chosen]), pos, target, weight)


def batches(examples: Sequence[Example], rng: np.random.Generator) -> Iterator[list[Example]]:
    """All examples again and again, in batches of nearly the same size."""
    sizes = np.array([len(one.target) for one in examples])
    while True:
        order = np.argsort(sizes + 2 * rng.random(len(sizes)))
        for start in rng.permutation(np.arange(0, len(order), BATCH)):
            yield [examples[place] for place in order[start : start + BATCH]]


def _drawn(loaded: LoadedModel, n: int, seed: int) -> list[tuple[Molecule, Molecule]]:
    """Undecoded and decoded molecules of the presets that the weights have."""
    known = {steps: PRESET_SHARES.get(steps, 0.0) for steps in loaded.info.presets}
    total = sum(known.values())
    pairs: list[tuple[Molecule, Molecule]] = []
    for steps, share in known.items():
        if share:
            tally = drawn(loaded, steps, max(1, round(n * share / total)), seed)
            pairs += zip(tally.raw, tally.molecules, strict=True)
    return pairs


def _own(
    loaded: LoadedModel,
    raw: Molecule,
    made: Molecule,
    before: Molecule,
    target: NDArray[np.float64],
) -> Example:
    vocabulary, scale = loaded.info.vocabulary, loaded.model.scales.pos
    classes = classes_of(made, graph_of(raw, made), vocabulary)
    starts = [made.pos.astype(np.float64)]
    if before.n_atoms == made.n_atoms and not np.array_equal(before.pos, made.pos):
        starts.append(before.pos.astype(np.float64))
    centred = [(pos - pos.mean(axis=0)) / scale for pos in (*starts, target)]
    return Example(classes, tuple(centred[:-1]), centred[-1], OWN_TERMS)


@torch.inference_mode()
def _estimates(
    model: DeNovo,
    teacher: DeNovo,
    chosen: Sequence[Molecule],
    elements: Sequence[NDArray[np.int64]],
    sigma: float,
    generator: torch.Generator,
) -> list[NDArray[np.float64]]:
    """Positions in units of the model, after noise of ``sigma`` of these and one last call."""
    sizes = np.array([one.n_atoms for one in chosen])
    n = int(sizes.max())
    mask = torch.from_numpy(np.arange(n) < sizes[:, None])
    pos, element = torch.zeros(len(chosen), n, 3), torch.zeros(len(chosen), n, dtype=torch.long)
    for row, (one, classes, k) in enumerate(zip(chosen, elements, sizes, strict=True)):
        pos[row, :k] = torch.from_numpy((one.pos - one.pos.mean(axis=0)) / model.scales.pos)
        element[row, :k] = torch.from_numpy(classes)
    one_hot = functional.one_hot(element, model.network.sizes.n_elements).float()
    clean = ELEMENT.project(model.clean_elements(one_hot), mask)
    lam = -math.log(sigma)

    def noised(clean: Tensor, noise: Tensor, lam: float) -> Tensor:
        a = 1 / math.sqrt(1 + math.exp(-2 * lam))
        return a * clean + math.sqrt(1 - a * a) * noise

    noise = torch.randn(*mask.shape, 3 + clean.shape[-1], generator=generator)
    state = {
        "pos": noised(pos, POS.prior(noise[..., :3], mask), lam),
        "element": noised(
            clean, ELEMENT.prior(noise[..., 3:], mask), lam + model.scales.element_lead
        ),
    }
    level = torch.full((len(chosen),), lam)
    self_cond = model.self_cond(teacher(state, level, mask))
    estimate = model(state, level, mask, self_cond, None, torch.full_like(level, math.inf), True)
    return [estimate.pos[row, :k].double().numpy() for row, k in enumerate(sizes)]


def _kekulised(molecule: Molecule) -> NDArray[np.integer]:
    """Bond classes of a Kekulé form of a molecule."""
    bonds = bond_matrix(molecule)
    if not (bonds == AROMATIC).any():
        return bonds
    mol = Chem.Mol(build_mol(molecule).mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    return bond_matrix(molecule_of(mol))

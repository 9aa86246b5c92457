"""Real molecules as a distilled model estimates them from a little noise: lengths to learn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from rest_examples import BATCH, Example
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from molgen.checkpoint import LoadedModel
from molgen.chem.elements import AROMATIC
from molgen.chem.mol import build_mol, molecule_of
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.data.store import MoleculeStore
from molgen.models.denovo import ELEMENT, POS, DeNovo
from molgen.models.graph_fit import classes_of, places

SIGMAS = (0.05, 0.08, 0.12, 0.16, 0.25, 0.35, 0.45)
"""Å of noise: from much more, another conformer may come, or another molecule."""

KEKULE = 0.3
"""How often aromatic bonds are written as single and double ones, as a decoder leaves them."""

FARTHEST = 1.0
"""Å, root mean square, from which on an estimate is of something else."""

TEACHES = {"length": 1.0, "rule": 0.5, "turn": 0.0, "rise": 0.5}
"""What real molecules teach: lengths, angles, and which atoms are flat. Their torsions are those of
another method than the one that rest is measured by."""


def real_examples(
    loaded: LoadedModel, teacher: DeNovo, store: MoleculeStore, n: int, seed: int
) -> Iterator[Example]:
    """Real molecules, and what a last call makes of them and a little noise.

    Args:
        loaded: Distilled weights.
        teacher: Their teacher, whose estimate stands for the calls before.
        store: Real molecules, of which the training split is drawn from.
        n: Molecules, at most.
        seed: Of the choice and of the noise.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    drawn = [store[int(index)] for index in rng.permutation(store.split("train"))[:n]]
    drawn.sort(key=lambda one: one.n_atoms)
    vocabulary, scale = loaded.info.vocabulary, loaded.model.scales.pos
    for first in track(range(0, len(drawn), BATCH), "real molecules"):
        chosen = drawn[first : first + BATCH]
        sigma = float(rng.choice(SIGMAS)) / scale
        elements = [places(one.atomic_numbers, vocabulary.atomic_numbers) for one in chosen]
        for one, estimate in zip(
            chosen,
            _estimates(loaded.model, teacher, chosen, elements, sigma, generator),
            strict=True,
        ):
            rest = (one.pos - one.pos.mean(axis=0)) / scale
            far = scale * math.sqrt(np.square(estimate - rest).sum(axis=1).mean())
            if far < FARTHEST:
                graph = _kekule(one) if rng.random() < KEKULE else bond_matrix(one)
                classes = classes_of(one, graph, vocabulary)
                yield Example(classes, (estimate,), rest, TEACHES)


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
    hint = model.hint(teacher(state, level, mask))
    estimate = model(state, level, mask, hint, None, torch.full_like(level, math.inf), True)
    return [estimate.pos[row, :k].double().numpy() for row, k in enumerate(sizes)]


def _kekule(molecule: Molecule) -> NDArray[np.integer]:
    """Bond classes of a Kekulé form of a molecule."""
    bonds = bond_matrix(molecule)
    if not (bonds == AROMATIC).any():
        return bonds
    mol = Chem.Mol(build_mol(molecule).mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    return bond_matrix(molecule_of(mol))

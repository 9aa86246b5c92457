"""Molecules near given ones: noise is put on, and the model takes it off again.

SDEdit (Meng et al. 2022, arXiv 2108.01073), with the noise transported onto the molecule as in
training. Every modality starts from the given molecule, noised to a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.chem.atom_classes import element_classes
from molgen.chem.molecule import Molecule
from molgen.flow.coupling import AtomOT
from molgen.flow.schedule import unit_tv
from molgen.flow.state import expand_like, level
from molgen.models.denovo import DeNovo
from molgen.models.info import ModelInfo
from molgen.tasks.task import PRIOR, Modality

POS, ELEMENT = Modality.POS, Modality.ELEMENT


@dataclass(frozen=True)
class CleanBatch:
    """Given molecules in the units of a model, padded.

    Attributes:
        state: Centred positions and element vectors, ``[B, N, F]`` each, on the model's device.
        mask: Real atoms, ``[B, N]``.
        sizes: Number of atoms, ``[B]``.
        origins: Mean of the atoms in Å, ``[B, 3]``.
    """

    state: dict[str, Tensor]
    mask: Tensor
    sizes: tuple[int, ...]
    origins: NDArray[np.float64]


def clean_batch(model: DeNovo, info: ModelInfo, molecules: Sequence[Molecule]) -> CleanBatch:
    """Lay out molecules of the model's elements as a batch."""
    device = next(model.parameters()).device
    sizes = tuple(molecule.n_atoms for molecule in molecules)
    origins = np.stack([one.pos.astype(np.float64).mean(axis=0) for one in molecules])
    pos = np.zeros((len(sizes), max(sizes), 3), dtype=np.float32)
    one_hot = np.zeros((*pos.shape[:2], info.vocabulary.n_elements), dtype=np.float32)
    for row, (molecule, n) in enumerate(zip(molecules, sizes, strict=True)):
        pos[row, :n] = (molecule.pos - origins[row]) / model.scales.pos
        classes = element_classes(info.vocabulary, molecule.atomic_numbers, molecule.hydrogens)
        one_hot[row, np.arange(n), classes] = 1
    mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
    element = model.clean_elements(torch.from_numpy(one_hot))
    state = {
        POS.value: PRIOR[POS].project(torch.from_numpy(pos), mask),
        ELEMENT.value: PRIOR[ELEMENT].project(element, mask),
    }
    return CleanBatch(_to(state, device), mask.to(device), sizes, origins)


def coupled_noise(batch: CleanBatch, raw: Sequence[NDArray[np.floating]]) -> dict[str, Tensor]:
    """Noise of every molecule, relabelled and turned onto it as in training.

    The network has only seen noise that was transported onto the data, so it reads from the noise
    of an atom what the atom is. Each molecule is coupled alone, in its own size: another batch
    cannot tip the assignment.

    Args:
        batch: The molecules.
        raw: Standard normal numbers of each, ``[n, 3 + K]``: positions, then elements.
    """
    clean = batch.state[POS].cpu()
    noise = {name: torch.zeros(x.shape) for name, x in batch.state.items()}
    for row, (values, n) in enumerate(zip(raw, batch.sizes, strict=True)):
        drawn = torch.from_numpy(np.asarray(values, dtype=np.float32))[None]
        pairing = AtomOT().pair(clean[row : row + 1, :n], PRIOR[POS].prior(drawn[..., :3]))
        noise[POS][row, :n] = pairing.noise[0]
        noise[ELEMENT][row, :n] = pairing.follow(drawn[..., 3:])[0]
    return _to(noise, batch.mask.device)


def noised(
    model: DeNovo, clean: dict[str, Tensor], noise: dict[str, Tensor], lam: float
) -> dict[str, Tensor]:
    """State of the model at the main half log-SNR ``lam``."""
    state = {}
    for name, x0 in clean.items():
        a, b = unit_tv(level(model.offsets[name], lam))
        state[name] = expand_like(a, x0) * x0 + expand_like(b, x0) * noise[name]
    return state


def _to(state: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in state.items()}

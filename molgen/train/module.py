"""The Lightning module of molecules: one step of joint denoising."""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.config import Config
from molgen.data.loader import Batch
from molgen.flow.masking import ModalityMasking, Task
from molgen.models.denovo import DeNovo
from molgen.train.levels import Levels, Range, levels_of
from molgen.train.loss import Corrupted, corrupt, per_molecule, total
from molgen.train.molecules import MoleculeModule
from molgen.train.pace import Pace
from molgen.train.parts import balance_of, coupling_of


def noise_levels(config: Config) -> Levels:
    """The training noise levels that a recipe asks for."""
    within = Range(config.lam_min, config.lam_max, config.model.pos_scale)
    return levels_of(config.times, within, config.curriculum, config.rows)


def masking_of(config: Config) -> ModalityMasking | None:
    """Which modalities are given or absent; None diffuses all of them."""
    if not config.tasks:
        return None
    tasks = (Task(frozenset(one.given), frozenset(one.absent), one.weight) for one in config.tasks)
    return ModalityMasking({"pos": 0.0, "element": config.model.element_lead}, tuple(tasks))


def noisiest(lam: Tensor, mask: Tensor) -> Tensor:
    """Lowest level of each molecule, ``[B]``, from levels ``[B]`` or ``[B, N]``."""
    return lam if lam.dim() == 1 else lam.masked_fill(~mask, torch.inf).amin(dim=1)


class DenoisingModule(MoleculeModule):
    """Trains a `DeNovo` model; everything random follows from the recipe's seed and the step.

    Args:
        model: The model.
        config: The recipe.
        pace: Progress of the run.
    """

    def __init__(self, model: DeNovo, config: Config, pace: Pace) -> None:
        super().__init__(model, config, pace, balance_of(config.loss.balance))
        self.coupling = coupling_of(config.coupling)
        self.levels, self.masking = noise_levels(config), masking_of(config)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Noise a batch, estimate it (half of the time with a hint), and compare."""
        generator = self.generator(self.device)
        with torch.autocast(self.device.type, enabled=False):
            noised = self._corrupt(batch, generator)
        known = (noised.state, noised.lam, batch.mask)
        hint = None
        if self.happens(self.config.train.self_condition, generator):
            with torch.no_grad():
                hint = self.model.hint(self.compiled(*known, None, noised.lam_element))
            # Older versions of torch would use the weights rounded here again, without gradients.
            torch.clear_autocast_cache()
        estimate = self.compiled(*known, hint, noised.lam_element)
        scale = self.model.scales.pos
        with torch.autocast(self.device.type, enabled=False):
            terms = per_molecule(estimate, batch, noised, self.config.loss, scale)
        level = noisiest(noised.lam, batch.mask)
        if self.meter is not None:
            self.meter.add(torch.exp(-level) * scale, terms)
        if self.balance is not None:
            terms = {**terms, "pos": self.balance(terms["pos"], level)}
        return total(terms, self.config.loss)

    def _corrupt(self, batch: Batch, generator: torch.Generator) -> Corrupted:
        """Draw the levels of the present point of the run, and noise the batch to them."""
        sampler = self.levels.at(self.pace.progress(self.global_step))
        lam = sampler.levels(batch.pos, generator, batch.mask)
        if self.masking is None:
            return corrupt(self.model, batch, lam, self.coupling, generator)
        levels = self.masking.levels(lam, generator)
        return corrupt(
            self.model, batch, levels["pos"], self.coupling, generator, levels["element"]
        )

"""The Lightning module of molecules: one step of joint denoising."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from molgen.config import CompletionConfig, Config, TaskConfig
from molgen.data.loader import Batch
from molgen.modality import Modality
from molgen.models.denovo import DeNovo
from molgen.tasks.denovo import DENOVO
from molgen.tasks.mixture import TaskMixture
from molgen.tasks.scaffold import PER_ATOM
from molgen.tasks.task import Role, Task
from molgen.train.levels import Levels, Range, levels_of
from molgen.train.loss import Corrupted, corrupt, per_molecule, total
from molgen.train.molecules import MoleculeModule
from molgen.train.parts import balance_of, coupling_of
from molgen.train.time_budget import TimeBudget


def noise_levels(config: Config) -> Levels:
    """The training noise levels that a recipe asks for."""
    within = Range(config.lam_min, config.lam_max, config.model.pos_scale)
    return levels_of(config.times, within, config.curriculum, config.rows)


def tasks_of(config: Config) -> TaskMixture:
    """What a recipe asks of the network."""
    leads = {Modality.POS: 0.0, Modality.ELEMENT: config.model.element_lead}
    if not config.tasks:
        task = PER_ATOM if isinstance(config.rows, CompletionConfig) else DENOVO
        return TaskMixture(leads, (task,))
    tasks = tuple(_task_of(one) for one in config.tasks)
    return TaskMixture(leads, tasks, tuple(one.weight for one in config.tasks))


def _task_of(part: TaskConfig) -> Task:
    roles = dict(DENOVO.roles)
    roles.update((modality, Role.GIVEN) for modality in part.given)
    roles.update((modality, Role.PREDICTED) for modality in part.predicted)
    return replace(DENOVO, name="recipe", roles=roles)


def noisiest(lam: Tensor, mask: Tensor) -> Tensor:
    """Lowest level of each molecule, ``[B]``, from levels ``[B]`` or ``[B, N]``."""
    return lam if lam.dim() == 1 else lam.masked_fill(~mask, torch.inf).amin(dim=1)


class DenoisingModule(MoleculeModule):
    """Trains a `DeNovo` model; everything random follows from the recipe's seed and the step.

    Args:
        model: The model.
        config: The recipe.
        budget: Progress of the run.
    """

    def __init__(self, model: DeNovo, config: Config, budget: TimeBudget) -> None:
        super().__init__(model, config, budget, balance_of(config.loss.balance))
        self.coupling = coupling_of(config.coupling)
        self.levels, self.tasks = noise_levels(config), tasks_of(config)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Noise a batch, estimate it (half of the time with a self_cond), and compare."""
        generator = self.generator(self.device)
        with torch.autocast(self.device.type, enabled=False):
            noised = self._corrupt(batch, generator)
        weight = self.share.weight(len(batch.mask))
        batch, noised = self.share.of(batch), self.share.of(noised)
        known = (noised.state, noised.lam, batch.mask)
        self_cond = None
        if self.happens(self.config.train.self_condition, generator):
            with torch.no_grad():
                self_cond = self.model.self_cond(self.compiled(*known, None, noised.lam_element))
            # Older versions of torch would use the weights rounded here again, without gradients.
            torch.clear_autocast_cache()
        estimate = self.compiled(*known, self_cond, noised.lam_element)
        scale = self.model.scales.pos
        with torch.autocast(self.device.type, enabled=False):
            asked = self.tasks.losses
            terms = per_molecule(estimate, batch, noised, self.config.loss, scale, asked)
        level = noisiest(noised.lam, batch.mask)
        if self.meter is not None:
            self.meter.add(torch.exp(-level) * scale, terms)
        if self.balance is not None and "pos" in terms:
            terms = {**terms, "pos": self.balance(terms["pos"], level)}
        return weight * total(terms, self.config.loss)

    def _corrupt(self, batch: Batch, generator: torch.Generator) -> Corrupted:
        """Draw the levels of the present point of the run, and noise the batch to them."""
        sampler = self.levels.at(self.budget.progress(self.global_step))
        lam = sampler.levels(batch.pos, generator, batch.mask)
        if not self.config.tasks:
            return corrupt(self.model, batch, lam, self.coupling, generator)
        levels = self.tasks.levels(lam, generator)
        pos, element = levels[Modality.POS], levels[Modality.ELEMENT]
        return corrupt(self.model, batch, pos, self.coupling, generator, element)

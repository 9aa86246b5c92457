"""Training of the refiner of a conformer model, whose sampler stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from molgen.config.conformers import ConformerConfig, RefinerConfig
from molgen.config.recipe import TrainConfig
from molgen.data.conformer_batches import ConformerBatch, collate, padded
from molgen.data.conformer_store import ConformerStore
from molgen.flow.harmonic import turned_onto
from molgen.tasks.conformers import ConformerModel, refine_calls
from molgen.tasks.refiner import TERMS, loss_terms, rmsd
from molgen.train.base import TrainingModule
from molgen.train.time_budget import TimeBudget

VALIDATION_BATCH = 64


class RefinerModule(TrainingModule):
    """Trains the refiner on minimisation trajectories.

    Args:
        model: The model; its sampler is frozen.
        config: The recipe, with a section ``refiner``.
        budget: Progress of the run.
    """

    terms: ClassVar[tuple[str, ...]] = TERMS
    config: ConformerConfig
    model: ConformerModel

    def __init__(self, model: ConformerModel, config: ConformerConfig, budget: TimeBudget) -> None:
        super().__init__(model, config, budget)
        model.network.requires_grad_(requires_grad=False)
        self.options = cast("RefinerConfig", config.refiner)

    @property
    def averaged(self) -> ConformerModel:
        """The model with averaged weights."""
        return cast("ConformerModel", self.average.module)

    def training_step(self, batch: ConformerBatch, _batch_idx: int) -> Tensor:
        """Move starts by one call and compare."""
        start = cast("Tensor", batch.start)
        with torch.autocast(self.device.type, enabled=False):
            target = turned_onto(batch.pos, start)
        estimate = self.model.refined(start, batch.graph)
        with torch.autocast(self.device.type, enabled=False):
            terms = loss_terms(estimate.float(), target, batch.graph, self.options)
        if self.meter is not None:
            level = torch.ones(len(start), device=start.device)
            self.meter.add(level, {name: one.detach() for name, one in terms.items()})
        weights = {name: getattr(self.options, name) for name in TERMS}
        return torch.stack([weights[name] * terms[name].mean() for name in TERMS]).sum()


@dataclass(frozen=True)
class RefinerValidation:
    """Trajectories of molecules that training leaves out.

    Attributes:
        batches: The molecules, similar sizes together, with starts and minima.
    """

    batches: tuple[ConformerBatch, ...]

    @classmethod
    def of(cls, stores: list[ConformerStore], n: int, device: torch.device) -> RefinerValidation:
        """The first ``n`` trajectories held out of the stores."""
        chosen = [(one, int(row)) for one in stores for row in one.rows(held_out=True)]
        chosen = sorted(chosen[:n], key=lambda each: int(each[0].n_atoms[each[1]]))
        batches = []
        for first in range(0, len(chosen), VALIDATION_BATCH):
            part = chosen[first : first + VALIDATION_BATCH]
            graph = collate([store.graph(row) for store, row in part])
            size = graph.mask.shape[1]
            ends = [store.conformers(row)[[0, -1]] for store, row in part]
            start, pos = (padded([one[k] for one in ends], size) for k in (0, 1))
            batches.append(ConformerBatch(graph, pos, start).to(device))
        return cls(tuple(batches))

    @torch.no_grad()
    def scores(self, model: ConformerModel, train: TrainConfig) -> dict[str, float]:
        """RMSD to the minimum before, after one call and after those of a sample, Å."""
        steps = refine_calls(train.sample_steps)
        found: dict[str, list[Tensor]] = {"start": [], "one_call": [], "refined": []}
        for batch in self.batches:
            start = cast("Tensor", batch.start)
            for name, n_calls in (("start", 0), ("one_call", 1), ("refined", steps)):
                pos = model.refine(start, batch.graph, n_calls)
                found[name].append(rmsd(pos, batch.pos, batch.graph))
        return {f"rmsd_{name}": float(torch.cat(one).mean()) for name, one in found.items()}

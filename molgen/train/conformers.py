"""Training of a conformer model: its step, its record, and the way from a recipe to weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from molgen.checkpoint import find_model
from molgen.config.conformers import ConformerConfig
from molgen.config.reading import load_tree, validated
from molgen.config.recipe import TrainConfig
from molgen.data.conformer_batches import (
    ConformerBatch,
    ConformerStream,
    Source,
    TrajectoryStream,
    collate,
    padded,
)
from molgen.data.conformer_store import ConformerStore
from molgen.errors import UsageError
from molgen.nn.stereo import stereo_features
from molgen.tasks import refiner
from molgen.tasks.conformer_weights import ConformerInfo, load_conformer_model
from molgen.tasks.conformers import (
    TERMS,
    ConformerModel,
    build_conformer_model,
    draw_times,
    graph_input,
    loss_terms,
)
from molgen.tasks.refiner import rmsd
from molgen.train.base import TrainingModule
from molgen.train.fit import Job, RunOptions, fit, machine
from molgen.train.recorder import Counts, Recorder
from molgen.train.refiner import RefinerModule, RefinerValidation
from molgen.train.time_budget import TimeBudget
from molgen.weights_file import save_network

SIGMA_AT_NOISE = 5.0
"""Where the log of losses puts ``t = 1``, Å: its levels are ``t`` times this."""

VALIDATION_BATCH = 64


class ConformerModule(TrainingModule):
    """Trains a `ConformerModel`; everything random follows from the recipe's seed and the step.

    Args:
        model: The model.
        config: The recipe.
        budget: Progress of the run.
    """

    terms: ClassVar[tuple[str, ...]] = TERMS
    config: ConformerConfig
    model: ConformerModel

    def __init__(self, model: ConformerModel, config: ConformerConfig, budget: TimeBudget) -> None:
        super().__init__(model, config, budget)

    @property
    def averaged(self) -> ConformerModel:
        """The model with averaged weights."""
        return cast("ConformerModel", self.average.module)

    def training_step(self, batch: ConformerBatch, batch_idx: int) -> Tensor:
        """Noise a batch, estimate it (half of the time from an earlier estimate), and compare."""
        generator = self.generator(self.device)
        t = draw_times(self.config, len(batch.pos), generator)
        normal = torch.randn(batch.pos.shape, generator=generator, device=self.device)
        with torch.autocast(self.device.type, enabled=False):
            noised = self.model.noised(batch, t, normal)
        self_cond = None
        if self.happens(self.config.train.self_condition, generator):
            with torch.no_grad():
                self_cond = self.model(noised, batch.graph)
            torch.clear_autocast_cache()
        estimate = self.compiled(noised, batch.graph, self_cond)
        with torch.autocast(self.device.type, enabled=False):
            terms = loss_terms(estimate.float(), batch, t, self.config.loss)
        if self.meter is not None:
            self.meter.add(t * SIGMA_AT_NOISE, {name: one.detach() for name, one in terms.items()})
        weights = self.config.loss
        return weights.pos * terms["pos"].mean() + weights.distance * terms["distance"].mean()


@dataclass(frozen=True)
class Validation:
    """Molecules that training leaves out, each with its most stable conformer.

    Attributes:
        batches: The molecules, similar sizes together.
    """

    batches: tuple[ConformerBatch, ...]

    @classmethod
    def of(cls, stores: list[ConformerStore], n: int, device: torch.device) -> Validation:
        """The first ``n`` molecules held out of the stores, the last store first."""
        chosen = [(one, int(row)) for one in reversed(stores) for row in one.rows(held_out=True)]
        chosen = sorted(chosen[:n], key=lambda each: int(each[0].n_atoms[each[1]]))
        batches = []
        for first in range(0, len(chosen), VALIDATION_BATCH):
            part = chosen[first : first + VALIDATION_BATCH]
            graph = collate([store.graph(row) for store, row in part])
            best = [int(np.argmax(store.populations(row, 300.0))) for store, row in part]
            pos = [store.conformer(row, k) for (store, row), k in zip(part, best, strict=True)]
            batch = ConformerBatch(graph, padded(pos, graph.mask.shape[1]))
            batches.append(batch.to(device))
        return cls(tuple(batches))

    @torch.no_grad()
    def scores(self, model: ConformerModel, train: TrainConfig) -> dict[str, float]:
        """Quality of one conformer per molecule.

        Returns:
            ``rmsd`` to the stored conformer (Å, atoms as numbered), ``local`` root mean square
            error of distances over one and two bonds (Å), ``stereo`` share of molecules in which
            every labelled centre is right.
        """
        errors: list[Tensor] = []
        local: list[Tensor] = []
        stereo: list[Tensor] = []
        for number, batch in enumerate(self.batches):
            generator = torch.Generator().manual_seed(train.seed * 1000 + number)
            normal = torch.randn(batch.pos.shape, generator=generator).to(batch.pos)
            pos = model.sample(model.prior(normal, batch.graph), batch.graph, train.sample_steps)
            errors.append(rmsd(pos, batch.pos, batch.graph))
            near = (batch.graph.paths == 1) | (batch.graph.paths == 2)
            local.append((torch.cdist(pos, pos) - torch.cdist(batch.pos, batch.pos))[near])
            stereo.append(_right_stereo(pos, batch))
        return {
            "rmsd": float(torch.cat(errors).mean()),
            "local": float(torch.cat(local).square().mean().sqrt()),
            "stereo": float(torch.cat(stereo).mean()),
        }


def _right_stereo(pos: Tensor, batch: ConformerBatch) -> Tensor:
    """Whether all centres are right, of the molecules that have any."""
    centres = graph_input(batch.graph).centres
    molecule = centres.atoms[:, 0] // pos.shape[1]
    is_wrong = stereo_features(pos[..., None], centres).scalars[:, 0] <= 0
    wrong, some = torch.zeros(len(pos)).to(pos), torch.zeros(len(pos)).to(pos)
    wrong.index_add_(0, molecule, is_wrong.to(pos))
    some.index_add_(0, molecule, torch.ones_like(molecule).to(pos))
    return (wrong[some > 0] == 0).to(pos)


class ConformerRecorder(Recorder[ConformerModule | RefinerModule, ConformerInfo]):
    """Records a run of conformers.

    Args:
        info: What the weights' file says of itself.
        validation: Molecules to judge by.
        out: Folder of the run.
        first_step: Step from which the run goes on.
    """

    items: ClassVar[str] = "molecules"
    terms: ClassVar[tuple[str, ...]] = TERMS

    def __init__(
        self,
        info: ConformerInfo,
        validation: Validation | RefinerValidation,
        out: Path,
        first_step: int,
    ) -> None:
        super().__init__(info, out, first_step)
        self.validation = validation

    def write_weights(
        self, path: Path, module: ConformerModule | RefinerModule, info: ConformerInfo
    ) -> None:
        """Write the averaged weights with what they know of their origin."""
        save_network(path, module.averaged, info)

    def judge(self, module: ConformerModule | RefinerModule, counts: Counts) -> None:
        """Compare a conformer of every molecule left out with the stored one."""
        if not self.validation.batches:
            return
        train = module.config.train
        scores = self.validation.scores(module.averaged, train)
        rate = float(counts["molecules"]) / max(float(counts["seconds"]), 1e-9)
        self.write_scores(
            counts, {"nfe": train.sample_steps, "molecules_per_second": rate, **scores}
        )


class RefinerRecorder(ConformerRecorder):
    """Records a run of a refiner."""

    terms: ClassVar[tuple[str, ...]] = refiner.TERMS


def train(config: ConformerConfig, name: str, options: RunOptions) -> Path:
    """Train a conformer model; the same call with ``resume`` continues after a kill.

    Args:
        config: The recipe.
        name: Name of the model.
        options: How the run is made.

    Returns:
        Path of the averaged weights.

    Raises:
        OutputError: The folder holds a run already and ``resume`` is not set.
        UsageError: There is nothing to resume, or the weights to start from are of another network.
        CheckpointError: The checkpoint to resume is damaged.
        DataError: A store is missing, or the loss diverged.
    """
    return fit(
        config,
        options,
        job=partial(_job, config, name),
        is_same_model=partial(_is_same_model, config),
    )


def _job(config: ConformerConfig, name: str, where: torch.device) -> Job:
    stores = [ConformerStore.open(one.store) for one in config.data.sources]
    shares = [one.share for one in config.data.sources]
    sources = [Source(store, share) for store, share in zip(stores, shares, strict=True)]
    train, info = config.train, ConformerInfo(name, config).trained(**machine(where))
    if config.refiner is not None:
        begun = RefinerValidation.of(stores, train.sample_n, where)
        share = config.refiner.from_start
        return Job(
            stream=TrajectoryStream(sources, train.batch_size, train.seed, share, where),
            module=lambda budget: RefinerModule(_model(config), config, budget),
            recorder=partial(RefinerRecorder, info, begun),
        )
    validation = Validation.of(stores, train.sample_n, where)
    temperature = config.data.temperature
    return Job(
        stream=ConformerStream(sources, train.batch_size, train.seed, temperature, where),
        module=lambda budget: ConformerModule(_model(config), config, budget),
        recorder=partial(ConformerRecorder, info, validation),
    )


def _model(config: ConformerConfig) -> ConformerModel:
    """The model of a recipe, with fresh weights or those that it starts from.

    A refiner that these have not starts as a copy of their network.
    """
    model = build_conformer_model(config.model)
    if config.train.init is None:
        return model
    state = load_conformer_model(find_model(config.train.init), "cpu").model.state_dict()
    if model.refiner is not None and not any(name.startswith("refiner.") for name in state):
        own = {name.removeprefix("network."): one for name, one in state.items()}
        copied = {name: own[name] for name in model.refiner.state_dict() if name in own}
        state |= {f"refiner.{name}": one for name, one in copied.items()}
    try:
        missing, unknown = model.load_state_dict(state, strict=False)
    except RuntimeError:
        missing, unknown = ["sizes"], []
    if unknown or any(not one.startswith("network.noise_end.") for one in missing):
        raise UsageError(
            f"the weights of {config.train.init} are of another network",
            "Take the model section of the recipe from their run",
        )
    return model


def _is_same_model(config: ConformerConfig, started: Path) -> bool:
    """Whether the weights of a started run have this recipe's shape."""
    return validated(ConformerConfig, load_tree(started), str(started)).model == config.model

"""The Lightning module of few-step distillation of molecules.

The student is rolled out from noise on its own schedule, a call per step. At every state that it
visits the teacher takes several short steps to the level where the student's step ends. The student
learns to land where the teacher did. So it is trained at the states that it will meet
when it samples, with targets that answer to these states. Data are shown to its critic alone, if
it has one (`molgen.train.critic_loss`).
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from molgen.chem.elements import Vocabulary
from molgen.config import Config, DistilConfig
from molgen.data.distances import distances_of
from molgen.data.same_sizes import SameSizes
from molgen.flow.grid import TimeGrid
from molgen.flow.rollout import rollout_target
from molgen.flow.solvers import solver_named
from molgen.flow.solvers.base import Solver
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.models.rollout import Molecules, advance, call, noise
from molgen.nn.network import Estimate
from molgen.train.class_balance import ClassBalance
from molgen.train.compiled import compile_blocks
from molgen.train.critic_loss import Adversary
from molgen.train.distil_loss import DISTIL_TERMS, Comparison, Target, per_molecule
from molgen.train.loss import total
from molgen.train.molecules import MoleculeModule
from molgen.train.parts import coupling_of
from molgen.train.size_batches import SizeBatch
from molgen.train.student_schedule import StudentSchedule, class_balances_of, student_schedules_of
from molgen.train.target_decoder import TargetDecoder, target_decoder_of
from molgen.train.time_budget import TimeBudget

CLASS_BALANCES = "molgen_class_balances"
"""Where a checkpoint keeps what was counted of the elements."""

ADVERSARY = "molgen_adversary"
"""Where it keeps the critic."""

JUDGING = 1
"""Stream of random numbers for the molecules that the critic is shown."""

CHOOSING = 2
"""That for what a step does: which schedule it takes, what it compares there and with what."""


class DistillationModule(MoleculeModule):
    """Trains a student on what its teacher does from the student's own states.

    With ``distil.replay`` most steps learn from rollouts of the recent past, drawn at random. They
    live in memory alone, so a run that is resumed begins with new ones.

    Args:
        model: The student.
        teacher: The teacher, in evaluation mode, on the device of training; it is not saved.
        config: The recipe, with a section ``distil``.
        budget: Progress of the run.
        real: Molecules that the critic compares with, if the recipe has an adversary.

    Raises:
        ValueError: It has, and there are none.
    """

    terms: ClassVar[tuple[str, ...]] = DISTIL_TERMS

    def __init__(
        self,
        model: DeNovo,
        teacher: DeNovo,
        config: Config,
        budget: TimeBudget,
        real: SameSizes | None = None,
    ) -> None:
        super().__init__(model, config, budget)
        self.schedules, self.weights = student_schedules_of(config)
        self.part = cast("DistilConfig", config.distil)
        self.solver: Solver = solver_named(self.part.solver)
        vocabulary = Vocabulary.of(config.data.dataset)
        self.target_decoder = target_decoder_of(
            self.part,
            vocabulary,
            config.model.pos_scale,
            distances_of(config.data.dataset, config.data.folder),
        )
        self.class_balances = class_balances_of(self.part, self.schedules, vocabulary)
        if config.train.compile:
            compile_blocks(teacher)
        self.kept: deque[tuple[Comparison, ...]] = deque(maxlen=self.part.keep)
        self.adversary = self._adversary(teacher, real)
        # In a tuple, so that neither the checkpoints nor the optimiser hold the teacher.
        self._teacher = (teacher.requires_grad_(False),)

    def _adversary(self, teacher: DeNovo, real: SameSizes | None) -> Adversary | None:
        """What judges the states between the calls of the schedules."""
        if self.part.adversary is None:
            return None
        if real is None:
            raise ValueError("an adversary needs real molecules")
        levels = [lam for schedule in self.schedules for lam in schedule.grid.lam[1:]]
        coupling = coupling_of(self.config.coupling)
        return Adversary(self.part.adversary, teacher, real, coupling, levels)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep class balances and critic, so that a resumed run goes on from them."""
        super().on_save_checkpoint(checkpoint)
        if self.adversary is not None:
            checkpoint[ADVERSARY] = self.adversary.state()
        checkpoint[CLASS_BALANCES] = {
            steps: one.state() for steps, one in self.class_balances.items()
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take class_balances and critic up again."""
        super().on_load_checkpoint(checkpoint)
        if self.adversary is not None and ADVERSARY in checkpoint:
            self.adversary.restore(checkpoint[ADVERSARY])
        for steps, state in checkpoint.get(CLASS_BALANCES, {}).items():
            if steps in self.class_balances:
                self.class_balances[steps].restore(state)

    def on_fit_end(self) -> None:
        """End the processes that decide targets."""
        if self.target_decoder is not None:
            self.target_decoder.close()

    def training_step(self, batch: SizeBatch, batch_idx: int) -> Tensor:
        """Learn from a new rollout, or once more from an old one."""
        if self.kept and self.global_step % (1 + self.part.replay):
            choosing = self.generator(stream=CHOOSING)
            place = int(torch.randint(len(self.kept), (), generator=choosing))
            judging = self.generator(self.device, JUDGING)
            return torch.stack([self._learn(one, judging)[0] for one in self.kept[place]]).sum()
        return self._rollout(batch)

    def _rollout(self, batch: SizeBatch) -> Tensor:
        """Roll out one schedule from fresh noise, and compare steps with the teacher's."""
        generator, judging = self.generator(self.device), self.generator(self.device, JUDGING)
        choosing = self.generator(stream=CHOOSING)
        schedule = self.schedules[int(torch.multinomial(self.weights, 1, generator=choosing))]
        x = noise(self.model, batch.mask, generator)
        estimate: Estimate | None = None
        losses, rollout = [], []
        compared = self._compared(len(schedule.substeps), choosing)
        for place, step in enumerate(pairwise(schedule.grid.lam)):
            if place in compared:
                before = None if estimate is None else estimate.detached()
                comparison = self._comparison(x, before, schedule, place, batch.mask, choosing)
                loss, estimate = self._learn(comparison, judging)
                losses.append(loss)
                rollout.append(comparison)
            else:
                with torch.no_grad():
                    estimate = self._estimate(x, estimate, step, batch.mask)
            if math.isfinite(step[1]):
                with torch.no_grad():
                    x = advance(self.model, x, estimate, step, batch.mask)
        if self.part.replay:
            self.kept.append(tuple(rollout))
        return torch.stack(losses).sum()

    def _comparison(
        self,
        x: Molecules,
        before: Estimate | None,
        schedule: StudentSchedule,
        place: int,
        mask: Tensor,
        choosing: torch.Generator,
    ) -> Comparison:
        """A state that the student came to, and where it should get to from there."""
        step = schedule.grid.lam[place], schedule.grid.lam[place + 1]
        class_balance = self.class_balances.get(len(schedule.substeps))
        if math.isinf(step[1]) and self._is_self_target(choosing):
            target = self._self_target(x, before, step, mask, class_balance)
        else:
            target = self._target(x, before, schedule.substeps[place], mask, class_balance)
        return Comparison(x, before, step, mask, target)

    def _is_self_target(self, choosing: torch.Generator) -> bool:
        """Whether the last step of this rollout leads to the student's own molecules."""
        if self.budget.progress(self.global_step) < self.part.self_target_from:
            return False
        return self.happens(self.part.self_target_prob, choosing)

    def _learn(self, one: Comparison, judging: torch.Generator) -> tuple[Tensor, Estimate]:
        """Loss of one step of the schedule, and the student's present estimate."""
        estimate = self._estimate(one.x, one.before, one.step, one.mask)
        loss = self._compare(estimate, one)
        if self.adversary is not None and self.adversary.judges(one):
            loss = loss + self.adversary.pull(estimate, one, loss, judging)
        return loss, estimate

    def _estimate(
        self, x: Molecules, before: Estimate | None, step: tuple[float, float], mask: Tensor
    ) -> Estimate:
        """The student's call."""
        return call(self.model, x, before, step, mask, self.compiled)

    def _compared(self, n_steps: int, choosing: torch.Generator) -> set[int]:
        """Which steps of a rollout are compared with the teacher's: some, and the last."""
        if self.part.compared is None or n_steps <= self.part.compared:
            return set(range(n_steps))
        order = torch.randperm(n_steps - 1, generator=choosing).tolist()
        return {n_steps - 1, *order[: self.part.compared - 1]}

    @torch.no_grad()
    def _target(
        self,
        x: Molecules,
        before: Estimate | None,
        grid: TimeGrid,
        mask: Tensor,
        class_balance: ClassBalance | None = None,
    ) -> Target:
        """What the student should estimate at ``x``: where the teacher gets to from there."""
        teacher = SelfConditioned(self._teacher[0], mask)
        teacher.last = before
        offsets = self.model.offsets
        start = self._paired(x) if before is None else x
        end = self.solver.solve(teacher, start, grid, offsets=offsets)
        clean = rollout_target(x, end, grid.lam[0], grid.lam[-1], offsets)
        state = cast("dict[str, Tensor]", clean)
        target = Target.of(state, teacher.estimate, self.model.scales, self.part.sharpness)
        if self.target_decoder is not None and grid.ends_clean:
            target = self.target_decoder(target, mask, class_balance)
        return target

    def _paired(self, x: Molecules) -> Molecules:
        """Where the teacher starts: as wide as noise is together with data paired with it."""
        return {**x, "pos": self.part.paired * x["pos"]}

    @torch.no_grad()
    def _self_target(
        self,
        x: Molecules,
        before: Estimate | None,
        step: tuple[float, float],
        mask: Tensor,
        class_balance: ClassBalance | None,
    ) -> Target:
        """The molecule that the student's own last estimate is, once it is decided and mended.

        It is the sound molecule nearest to what the student makes anyway, so nothing has to be
        learned but soundness: not which of several molecules a teacher would have come to.
        """
        target_decoder = cast("TargetDecoder", self.target_decoder)
        estimate = self._estimate(x, before, step, mask)
        return target_decoder(Target.of_estimate(estimate), mask, class_balance)

    def _compare(self, estimate: Estimate, one: Comparison) -> Tensor:
        """Loss of one step of the schedule."""
        scale, pos = self.model.scales.pos, one.target.pos
        with torch.autocast(self.device.type, enabled=False):
            terms = per_molecule(estimate, one.target, one.step, one.mask, self.config.loss, scale)
        if self.meter is not None:
            sigma = pos.new_full((len(one.mask),), math.exp(-one.step[0]) * scale)
            self.meter.add(sigma, terms)
        return total(terms, self.config.loss)

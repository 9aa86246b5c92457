"""The Lightning module of few-step distillation of molecules.

The student walks its own ladder from noise, a call per step, and at every state that it visits
the teacher takes several short steps from there to the level where the student's step ends. The
student learns to land where the teacher did. So it is trained at the states that it will meet
when it samples, with targets that answer to these states. Data are shown to its critic alone, if
it has one (`molgen.train.adversary`).
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
from molgen.data.distances import shipped_distances
from molgen.data.same_sizes import SameSizes
from molgen.flow.grid import TimeGrid
from molgen.flow.rollout import rollout_target
from molgen.flow.solvers import solver_named
from molgen.flow.solvers.base import Solver
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.models.walk import Molecules, call, noise, onward
from molgen.nn.network import Estimate
from molgen.train.adversary import Adversary
from molgen.train.blank import Blank
from molgen.train.census import Census
from molgen.train.compiled import compile_blocks
from molgen.train.courses import Course, censuses_of, courses_of
from molgen.train.decided import Decider, decider_of
from molgen.train.distil_loss import DISTIL_TERMS, Comparison, Target, per_molecule
from molgen.train.loss import total
from molgen.train.molecules import MoleculeModule
from molgen.train.pace import Pace
from molgen.train.parts import coupling_of

CENSUSES = "molgen_censuses"
"""Where a checkpoint keeps what was counted of the elements."""

ADVERSARY = "molgen_adversary"
"""Where it keeps the critic."""

JUDGING = 1
"""Stream of random numbers for the molecules that the critic is shown."""

CHOOSING = 2
"""That for what a step does: which ladder it walks, what it compares there and with what."""


class DistillationModule(MoleculeModule):
    """Trains a student on what its teacher does from the student's own states.

    With ``distil.replay`` most steps learn from walks of the recent past, drawn at random. They
    live in memory alone, so a run that is resumed begins with new ones.

    Args:
        model: The student.
        teacher: The teacher, in evaluation mode, on the device of training; it is not saved.
        config: The recipe, with a section ``distil``.
        pace: Progress of the run.
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
        pace: Pace,
        real: SameSizes | None = None,
    ) -> None:
        super().__init__(model, config, pace)
        self.courses, self.weights = courses_of(config)
        self.part = cast("DistilConfig", config.distil)
        self.solver: Solver = solver_named(self.part.solver)
        vocabulary = Vocabulary(config.data.atomic_numbers, config.data.charges)
        self.decider = decider_of(
            self.part, vocabulary, config.model.pos_scale, shipped_distances("qm9")
        )
        self.censuses = censuses_of(self.part, self.courses, vocabulary)
        if config.train.compile:
            compile_blocks(teacher)
        self.kept: deque[tuple[Comparison, ...]] = deque(maxlen=self.part.keep)
        self.adversary = self._adversary(teacher, real)
        # In a tuple, so that neither the checkpoints nor the optimiser hold the teacher.
        self._teacher = (teacher.requires_grad_(False),)

    def _adversary(self, teacher: DeNovo, real: SameSizes | None) -> Adversary | None:
        """What judges the states between the calls of the ladders."""
        if self.part.adversary is None:
            return None
        if real is None:
            raise ValueError("an adversary needs real molecules")
        levels = [lam for course in self.courses for lam in course.grid.lam[1:]]
        coupling = coupling_of(self.config.coupling)
        return Adversary(self.part.adversary, teacher, real, coupling, levels)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep censuses and critic, so that a resumed run leans and judges where this one did."""
        super().on_save_checkpoint(checkpoint)
        if self.adversary is not None:
            checkpoint[ADVERSARY] = self.adversary.state()
        checkpoint[CENSUSES] = {steps: one.state() for steps, one in self.censuses.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take censuses and critic up again."""
        super().on_load_checkpoint(checkpoint)
        if self.adversary is not None and ADVERSARY in checkpoint:
            self.adversary.restore(checkpoint[ADVERSARY])
        for steps, state in checkpoint.get(CENSUSES, {}).items():
            if steps in self.censuses:
                self.censuses[steps].restore(state)

    def on_fit_end(self) -> None:
        """End the processes that decide targets."""
        if self.decider is not None:
            self.decider.close()

    def training_step(self, batch: Blank, batch_idx: int) -> Tensor:
        """Learn from a new walk, or once more from an old one."""
        if self.kept and self.global_step % (1 + self.part.replay):
            choosing = self.generator(stream=CHOOSING)
            place = int(torch.randint(len(self.kept), (), generator=choosing))
            judging = self.generator(self.device, JUDGING)
            return torch.stack([self._learn(one, judging)[0] for one in self.kept[place]]).sum()
        return self._walk(batch)

    def _walk(self, batch: Blank) -> Tensor:
        """Walk one ladder from fresh noise, and compare steps with the teacher's."""
        generator, judging = self.generator(self.device), self.generator(self.device, JUDGING)
        choosing = self.generator(stream=CHOOSING)
        course = self.courses[int(torch.multinomial(self.weights, 1, generator=choosing))]
        x = noise(self.model, batch.mask, generator)
        estimate: Estimate | None = None
        losses, walk = [], []
        compared = self._compared(len(course.substeps), choosing)
        for place, step in enumerate(pairwise(course.grid.lam)):
            if place in compared:
                before = None if estimate is None else estimate.detached()
                comparison = self._comparison(x, before, course, place, batch.mask, choosing)
                loss, estimate = self._learn(comparison, judging)
                losses.append(loss)
                walk.append(comparison)
            else:
                with torch.no_grad():
                    estimate = self._estimate(x, estimate, step, batch.mask)
            if math.isfinite(step[1]):
                x = onward(self.model, x, estimate, step, batch.mask)
        if self.part.replay:
            self.kept.append(tuple(walk))
        return torch.stack(losses).sum()

    def _comparison(
        self,
        x: Molecules,
        before: Estimate | None,
        course: Course,
        place: int,
        mask: Tensor,
        choosing: torch.Generator,
    ) -> Comparison:
        """A state that the student came to, and where it should get to from there."""
        step = course.grid.lam[place], course.grid.lam[place + 1]
        census = self.censuses.get(len(course.substeps))
        if math.isinf(step[1]) and self._is_on_its_own(choosing):
            target = self._own_end(x, before, step, mask, census)
        else:
            target = self._target(x, before, course.substeps[place], mask, census)
        return Comparison(x, before, step, mask, target)

    def _is_on_its_own(self, choosing: torch.Generator) -> bool:
        """Whether the last step of this walk leads to the student's own molecules."""
        if self.pace.progress(self.global_step) < self.part.own_from:
            return False
        return self.happens(self.part.own, choosing)

    def _learn(self, one: Comparison, judging: torch.Generator) -> tuple[Tensor, Estimate]:
        """Loss of one step of the ladder, and the student's present estimate."""
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
        """Which steps of a walk are compared with the teacher's: some, and the last."""
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
        census: Census | None = None,
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
        if self.decider is not None and grid.ends_clean:
            target = self.decider(target, mask, census)
        return target

    def _paired(self, x: Molecules) -> Molecules:
        """Where the teacher starts: as wide as noise is together with data paired with it."""
        return {**x, "pos": self.part.paired * x["pos"]}

    @torch.no_grad()
    def _own_end(
        self,
        x: Molecules,
        before: Estimate | None,
        step: tuple[float, float],
        mask: Tensor,
        census: Census | None,
    ) -> Target:
        """The molecule that the student's own last estimate is, once it is decided and mended.

        It is the sound molecule nearest to what the student makes anyway, so nothing has to be
        learned but soundness: not which of several molecules a teacher would have come to.
        """
        decider = cast("Decider", self.decider)
        estimate = self._estimate(x, before, step, mask)
        return decider(Target.of_estimate(estimate), mask, census)

    def _compare(self, estimate: Estimate, one: Comparison) -> Tensor:
        """Loss of one step of the ladder."""
        scale, pos = self.model.scales.pos, one.target.pos
        with torch.autocast(self.device.type, enabled=False):
            terms = per_molecule(estimate, one.target, one.step, one.mask, self.config.loss, scale)
        if self.meter is not None:
            sigma = pos.new_full((len(one.mask),), math.exp(-one.step[0]) * scale)
            self.meter.add(sigma, terms)
        return total(terms, self.config.loss)

"""What draws a student's states to those of real molecules: a critic, and its pull.

A student that is to land where its teacher does learns the mean of what the teacher may come to:
states between molecules, whose atoms lie too close to each other. The mean error does not see it;
a critic does, which is shown the states that the student's steps lead to and real molecules under
as much noise, and learns to tell them apart (adversarial distillation: Sauer et al. 2023, arXiv
2311.17042; 2024, arXiv 2403.12015). The student then learns to be taken for real, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.config import AdversaryConfig
from molgen.data.loader import Batch
from molgen.data.same_sizes import SameSizes
from molgen.flow.coupling import Coupling
from molgen.models.denovo import DeNovo
from molgen.models.rollout import Molecules, advance
from molgen.nn.critic import Critic
from molgen.nn.network import Estimate, Streams
from molgen.train.distil_loss import Comparison
from molgen.train.loss import corrupt

LARGEST = 3.0
"""Largest factor by which the critic's gradient is scaled."""


class Adversary:
    """Judges where the steps of a student lead.

    It sees positions alone. An estimate's elements are probabilities and a molecule's are not, so
    they would tell the two apart at once and teach nothing.

    Args:
        config: How strong it is and how it learns.
        teacher: Its blocks, which are not trained, are the eyes of the critic.
        real: Molecules to compare with.
        coupling: Pairs them with noise as the teacher's training did.
        levels: Half log-SNR at the ends of the steps that it may judge; ``inf`` ends clean.
    """

    def __init__(
        self,
        config: AdversaryConfig,
        teacher: DeNovo,
        real: SameSizes,
        coupling: Coupling,
        levels: Sequence[float],
    ) -> None:
        self.config, self.teacher, self.real, self.coupling = config, teacher, real, coupling
        sizes, device = teacher.network.sizes, real.order.device
        self.critic = Critic(teacher.network.dims, sizes.lam_min, sizes.lam_max, config.hidden)
        self.critic = self.critic.to(device)
        self.optimiser = torch.optim.AdamW(
            self.critic.parameters(), lr=config.lr, weight_decay=1e-2, betas=(0.5, 0.99)
        )
        self.n_seen = 0
        judged = {level for level in levels if config.last or math.isfinite(level)}
        self.told = {level: torch.zeros(2, device=device) for level in sorted(judged)}

    def judges(self, one: Comparison) -> bool:
        """Whether a step is judged.

        A step that ends on the way always is; one that ends with a molecule if the recipe says so,
        and if there was a call before it. From noise alone no single call lands on a molecule
        that could be taken for real, and being told so teaches it nothing.
        """
        return self._is_on_the_way(one) or (self.config.last > 0 and one.before is not None)

    def pull(
        self, estimate: Estimate, one: Comparison, loss: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Train the critic on a batch, and say where it draws the student: a scalar to add.

        Only its gradient has a meaning. At the estimated positions it is the critic's, as long as
        ``config.weight`` (of a last call, ``config.last``) of the gradient that the loss has there:
        so neither has to be weighed anew at each level and as the critic grows surer.

        Args:
            estimate: The student's, with its gradients.
            one: The step.
            loss: What the student's error there costs.
            generator: Which real molecules are shown, and under which noise.
        """
        with torch.autocast(estimate.pos.device.type, enabled=False):
            lam = self._levels(one, generator)
            state = self._made(estimate, one, lam, generator)
            molecules = self.real.draw(one.mask, generator)
            shown = corrupt(self.teacher, molecules, lam, self.coupling, generator).state
        # The blocks see both at the precision of the run.
        made = self._seen(state, lam, one.mask)
        with torch.no_grad():
            real = self._seen(shown, lam, one.mask)
        with torch.autocast(lam.device.type, enabled=False):
            self._learn(real, _detached(made), one, lam)
            if self.n_seen <= self.config.alone:
                return loss.new_zeros(())
            weight = self.config.weight if self._is_on_the_way(one) else self.config.last
            return weight * self._drawn(made, estimate.pos, one.mask, lam, loss)

    def _is_on_the_way(self, one: Comparison) -> bool:
        return math.isfinite(one.step[1])

    def _levels(self, one: Comparison, generator: torch.Generator) -> Tensor:
        """Half log-SNR at which the molecules are looked at, ``[B]``."""
        like = one.x["pos"].new_empty(len(one.mask), dtype=torch.float32)
        if self._is_on_the_way(one):
            return like.fill_(one.step[1])
        low, high = (math.log(sigma) for sigma in self.config.last_sigma)
        share = torch.rand(len(like), generator=generator, device=generator.device).to(like.device)
        return math.log(self.teacher.scales.pos) - (low + (high - low) * share)

    def _made(
        self, estimate: Estimate, one: Comparison, lam: Tensor, generator: torch.Generator
    ) -> Molecules:
        """Where the student got to: the end of its step, or its molecule under noise."""
        named = estimate.element.detach().float()
        if self._is_on_the_way(one):
            return advance(
                self.teacher, one.x, replace(estimate, element=named), one.step, one.mask
            )
        molecules = Batch(
            pos=estimate.pos.float() * self.teacher.scales.pos,
            element=named.argmax(dim=-1),
            charge=estimate.charge.detach().argmax(dim=-1),
            bond=estimate.bond.detach().argmax(dim=-1),
            mask=one.mask,
        )
        return corrupt(self.teacher, molecules, lam, self.coupling, generator).state

    def _drawn(self, made: Streams, pos: Tensor, mask: Tensor, lam: Tensor, loss: Tensor) -> Tensor:
        """Linear function of the positions whose gradient is the critic's, as long as the loss's.

        The critic's weights are held while it is taken through them.
        """
        doubt = -_held(self.critic)(made, lam, mask).mean()
        (its_own,) = torch.autograd.grad(loss, pos, retain_graph=True)
        (drawn,) = torch.autograd.grad(doubt, pos)
        ratio = its_own.float().norm() / drawn.float().norm().clamp_min(1e-8)
        return ratio.clamp(max=LARGEST) * (drawn.float() * pos.float()).sum()

    def _learn(self, seen: Streams, made: Streams, one: Comparison, lam: Tensor) -> None:
        """A step of the critic, with the hinge loss."""
        real, own = (self.critic(streams, lam, one.mask) for streams in (seen, made))
        loss = functional.relu(1 - real).mean() + functional.relu(1 + own).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.n_seen += 1
        right = (real.detach()[:, None] > own.detach()[None]).float().mean()
        self.told[one.step[1]] += torch.stack([right, torch.ones_like(right)])

    def _seen(self, state: Molecules, lam: Tensor, mask: Tensor) -> Streams:
        """What the teacher's blocks see in positions."""
        network, lead = self.teacher.network, self.teacher.scales.element_lead
        blind = torch.zeros_like(state["element"], dtype=torch.float32)
        nothing = self.teacher.no_self_cond(mask)
        pos = state["pos"].float()
        seen = network.streams(pos, blind, lam, lam + lead, nothing, mask)
        return Streams(seen.scalars.float(), seen.vectors.float(), seen.pairs.float())

    def read(self) -> dict[str, float]:
        """Share of pairs, one real and one made, that the critic puts in order, by level in Å.

        Since the last call; 0.5 is guessing. Levels that were not visited are left out.
        """
        scale, row = self.teacher.scales.pos, {}
        for level, sums in self.told.items():
            right, n = sums.tolist()
            sums.zero_()
            if n:
                row[_name_of(level, scale)] = right / n
        return row

    def columns(self) -> list[str]:
        """Names of all values that `read` can give."""
        return [_name_of(level, self.teacher.scales.pos) for level in self.told]

    def state(self) -> dict[str, Any]:
        """What to keep for a run that goes on later."""
        return {
            "critic": self.critic.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "n_seen": self.n_seen,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.critic.load_state_dict(state["critic"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.n_seen = int(state["n_seen"])


def _name_of(lam: float, pos_scale: float) -> str:
    """Column of a level: its noise in Å, or that a molecule is there."""
    return f"{math.exp(-lam) * pos_scale:.6g}" if math.isfinite(lam) else "molecule"


def _detached(streams: Streams) -> Streams:
    return Streams(streams.scalars.detach(), streams.vectors.detach(), streams.pairs.detach())


def _held(critic: nn.Module) -> Any:
    """The critic, of whose weights no gradient is kept."""
    weights = {name: value.detach() for name, value in critic.named_parameters()}
    return lambda *arguments: torch.func.functional_call(critic, weights, arguments)

"""The de novo model: coordinates and elements are diffused, bonds and charges are read off.

Positions are divided by ``pos_scale`` to unit variance and follow the Gaussian process with
zero centre of mass; elements are scaled, centred one-hot vectors that run ``element_lead`` of
half log-SNR ahead of the positions, so that in a few steps the composition is settled before
the geometry. The coordinate head predicts the velocity at unit total variance, the element
head classifies, and its softmax is the expected clean one-hot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from molgen.flow.asynchronous import is_given
from molgen.flow.grid import TimeGrid
from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.flow.parameterisation import V
from molgen.flow.process import Gaussian, ScaledOneHot, center
from molgen.flow.rollout import end_of_step
from molgen.flow.state import State, sent
from molgen.models.logit_bias import leaning
from molgen.nn.classes import Classes
from molgen.nn.network import EquivariantTransformer, Estimate, SelfCond
from molgen.nn.refine.refine import refined
from molgen.nn.valence_bp import ValenceBP

POS = Gaussian(zero_com=True)
ELEMENT = Gaussian(zero_com=False)


@dataclass(frozen=True)
class Scales:
    """Units of the diffused state.

    Attributes:
        pos: Å per unit of position.
        element: Height of the one-hot vectors.
        element_lead: Half log-SNR by which elements are ahead of positions.
    """

    pos: float
    element: float
    element_lead: float


class DeNovo(nn.Module):
    """A network with the meaning of its inputs and outputs.

    Args:
        network: The equivariant transformer.
        scales: Units of the diffused state.
        valence_bp: Brings the classes of a last call to terms with each other; None leaves them.
    """

    def __init__(
        self, network: EquivariantTransformer, scales: Scales, valence_bp: ValenceBP | None = None
    ) -> None:
        super().__init__()
        self.network, self.scales, self.valence_bp = network, scales, valence_bp

    @property
    def offsets(self) -> dict[str, float]:
        """Lead of every modality in half log-SNR, as solvers take it."""
        return {"pos": 0.0, "element": self.scales.element_lead}

    def clean_elements(self, probability: Tensor) -> Tensor:
        """Diffused form of element probabilities or one-hot vectors, ``[B, N, K]``."""
        return ScaledOneHot(scale=self.scales.element).encode(probability)

    def clean(self, estimate: Estimate, mask: Tensor) -> dict[str, Tensor]:
        """The clean state that an estimate expects, for solvers; mask as of `forward`."""
        probability = estimate.element.to(estimate.pos.dtype).softmax(dim=-1)
        element = ELEMENT.project(self.clean_elements(probability), mask)
        return {"pos": estimate.pos, "element": element}

    def no_self_cond(self, mask: Tensor, dtype: torch.dtype = torch.float32) -> SelfCond:
        """The self_cond of a first call: nothing is known yet."""
        batch, n = mask.shape
        sizes = self.network.sizes
        zeros = torch.zeros((), dtype=dtype, device=mask.device)
        return SelfCond(
            pos=zeros.expand(batch, n, 3),
            element=zeros.expand(batch, n, sizes.n_elements),
            bond=zeros.expand(batch, n, n, sizes.n_bonds),
        )

    def self_cond(self, estimate: Estimate) -> SelfCond:
        """Feed an estimate back into the next call."""
        return SelfCond(
            pos=estimate.pos.detach(),
            element=estimate.element.detach().softmax(dim=-1).to(estimate.pos.dtype),
            bond=estimate.bond.detach().softmax(dim=-1).to(estimate.pos.dtype),
        )

    def forward(
        self,
        state: dict[str, Tensor],
        lam: Tensor,
        mask: Tensor,
        self_cond: SelfCond | None = None,
        lam_element: Tensor | None = None,
        lam_end: Tensor | None = None,
        ends_clean: bool | None = None,
        logit_bias: LogitBias = NO_LOGIT_BIAS,
    ) -> Estimate:
        """Estimate the clean molecule.

        Levels may differ between the atoms of a molecule (Liu et al., arXiv 2410.03160, do so
        for frames of a video); equal ones give the bits of one level per molecule if that holds
        for every molecule of the batch. Atoms whose positions are at ``CLEAN_LEVEL`` are given:
        they fix the origin of their molecule, so its estimate is not centred but stays in the
        frame of the state, with those atoms where they are.

        Args:
            state: ``pos`` ``[B, N, 3]`` and ``element`` ``[B, N, K]`` at unit total variance.
            lam: Half log-SNR of the positions, ``[B]``, or per atom, ``[B, N]``.
            mask: Real atoms, ``[B, N]``.
            self_cond: An earlier estimate, if there is one.
            lam_element: Half log-SNR of the elements, shaped like ``lam`` or not; None puts
                them ahead of the positions by the lead of `Scales`.
            lam_end: Half log-SNR of the positions at which the step ends that the estimate is
                for, ``[B]``: the estimate is then the one that carries the state there. None,
                and every network that is not aware of it, estimates the expected molecule.
                Where it is infinite, the positions are fitted to distances by a network that
                believes in some, and atoms and bonds brought to terms by a model that does so.
            ends_clean: Whether ``lam_end`` is infinite for all, or for none, where the caller
                knows: what is not needed is not computed then, and no device has to be asked.
            logit_bias: How the estimated elements and bonds lean, before they are brought to terms.

        Returns:
            The estimate; ``pos`` is clean, scaled, and centred where no atom is given.
        """
        self_cond = self.no_self_cond(mask, state["pos"].dtype) if self_cond is None else self_cond
        if lam_element is None:
            lam_element = lam + self.scales.element_lead
        streams = self.network.streams(
            state["pos"], state["element"], lam, lam_element, self_cond, mask, lam_end
        )
        raw = self.network.read(streams, mask)
        pos = center(V.x0(center(raw.pos, mask), state["pos"], lam), mask)
        if lam.dim() == 2:
            has_given = (is_given(lam) & mask).any(dim=1)[:, None, None]
            pos = torch.where(has_given, V.x0(raw.pos, state["pos"], lam), pos)
        estimate = replace(raw, pos=pos)
        if lam_end is None or ends_clean is False:
            return leaning(estimate, logit_bias)
        # Before the last call an estimate is a place to aim at, not a molecule.
        is_last = None if ends_clean else torch.isinf(lam_end)
        if self.network.distances is not None:
            head, smacof_iterations = self.network.distances, self.network.sizes.smacof_iterations
            distances, evidence = head(streams.scalars, streams.pairs, raw.bond, pos, mask)
            estimate = replace(
                _named(estimate, estimate.heads.plus(evidence), is_last),
                pos=_where(
                    is_last, center(distances.fitted(pos, mask, smacof_iterations), mask), pos
                ),
                distances=distances,
            )
        estimate = leaning(estimate, logit_bias)
        if self.valence_bp is not None:
            estimate = _together(self.valence_bp, estimate, mask, is_last)
        return estimate

    def refined(self, estimate: Estimate, mask: Tensor) -> Estimate:
        """The estimate with refined positions; as it is where there is no network for that.

        Positions were estimated before atoms and bonds were named, so they need not suit them.

        Args:
            estimate: Of a last call.
            mask: Real atoms, ``[B, N]`` bool.
        """
        net = self.network.refine
        if net is None:
            return estimate
        return replace(estimate, pos=refined(net, estimate.classes, estimate.pos, mask))


def _together(
    valence_bp: ValenceBP, estimate: Estimate, mask: Tensor, is_last: Tensor | None
) -> Estimate:
    """The estimate with its classes brought to terms."""
    alone = estimate.heads
    agreed = Classes(*valence_bp(alone.element, alone.charge, alone.bond, mask))
    return replace(_named(estimate, agreed, is_last), alone=alone)


def _named(estimate: Estimate, classes: Classes, is_last: Tensor | None) -> Estimate:
    """The estimate with other classes where a call is the last."""
    element, charge, bond = (
        _where(is_last, getattr(classes, name), getattr(estimate, name))
        for name in ("element", "charge", "bond")
    )
    return replace(estimate, element=element, charge=charge, bond=bond)


def _where(chosen: Tensor | None, one: Tensor, other: Tensor) -> Tensor:
    """``one`` for the chosen molecules, ``[B]``, ``other`` for the rest; None chooses all."""
    if chosen is None:
        return one
    return torch.where(chosen.view(-1, *[1] * (one.dim() - 1)), one, other)


class SelfConditioned:
    """What a solver calls: state and noise level in, clean state out.

    Remembers the last estimate, feeds it to the next call, and leaves it for decoding.

    Args:
        model: The model.
        mask: Real atoms, ``[B, N]``.
        steps: The grid that is walked, whose next level is told to a network that wants to know
            where its step ends; None tells nothing.
        logit_bias: How estimates lean.
        refines: Whether the molecule of a last call is refined.
    """

    def __init__(
        self,
        model: DeNovo,
        mask: Tensor,
        steps: TimeGrid | None = None,
        logit_bias: LogitBias = NO_LOGIT_BIAS,
        *,
        refines: bool = True,
    ) -> None:
        self.refines = refines
        self.model, self.mask, self.steps, self.logit_bias = model, mask, steps, logit_bias
        self.last: Estimate | None = None

    @property
    def estimate(self) -> Estimate:
        """The last estimate.

        Raises:
            RuntimeError: There was no call yet.
        """
        if self.last is None:
            raise RuntimeError("the denoiser has not been called")
        return self.last

    def __call__(self, x: State, lam: Tensor, lam_element: Tensor | None = None) -> State:
        """Expected clean state at half log-SNR ``lam``: a scalar, or per atom, ``[B, N]``.

        ``lam_element`` is that of the elements, per atom; None puts them ahead by their lead.
        """
        if isinstance(x, Tensor):
            raise TypeError("a molecule's state has the modalities 'pos' and 'element'")
        level = sent(lam.to(x["pos"].dtype), x["pos"].device)
        level = level if level.dim() else level.expand(len(self.mask))
        ahead = None if lam_element is None else lam_element.to(x["pos"])
        self_cond = None if self.last is None else self.model.self_cond(self.last)
        end, ends_clean = None, None
        if self.steps is not None and not lam.dim():
            until = end_of_step(self.steps, float(lam))
            end, ends_clean = torch.full_like(level, until), math.isinf(until)
        estimate = self.model(
            x, level, self.mask, self_cond, ahead, end, ends_clean, self.logit_bias
        )
        if ends_clean and self.refines:
            estimate = self.model.refined(estimate, self.mask)
        self.last = estimate
        return dict(self.model.clean(estimate, self.mask))

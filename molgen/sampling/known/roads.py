"""The two roads by which a network hears of atoms that stay where they are.

`Noised`. A network that was trained with one noise level for all atoms of a molecule sees the
known values noised to the level that it expects, ``a x0 + b eps``, always with the same ``eps``:
the straight path that a perfect prediction of those rows would have walked. The noise of a row
says something about the atom that belongs there, because training pairs noise with data by
optimal transport (`molgen.flow.coupling`): hydrogens, for instance, come from noise far out. So
known positions get the noise that the transport of training would give them. With ``eps`` centred
over all atoms, centring the state gives the network what it was trained on, whatever the unknown
centre c of the molecule is: ``x = a x0 + b eps`` in the solver's frame is
``a (x0 - c) + b eps`` in the network's frame plus ``a c``.

`PerAtom`. A network that was trained to complete molecules (`molgen.flow.asynchronous.Completion`)
sees known rows as they are, at ``CLEAN_LEVEL``, and the others at the level of the solver, all in
the solver's own frame about the mean of the known atoms. Nobody knows where the centre of the
whole molecule will be, so noise is not centred here.

Rotations need no care on either road: the network is equivariant and reads the orientation off
the known rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, cast

import torch
from torch import Tensor

from molgen.config import CompletionConfig
from molgen.flow.asynchronous import CLEAN_LEVEL
from molgen.flow.coupling import AtomOT
from molgen.flow.process import Gaussian, center
from molgen.flow.schedule import unit_tv
from molgen.flow.state import State, expand_like, level
from molgen.models.denovo import ELEMENT, POS, SelfConditioned
from molgen.models.info import ModelInfo
from molgen.nn.network import Estimate
from molgen.sampling.known.parts import Known
from molgen.sampling.known.rows import KnownRows

FREE = Gaussian(zero_com=False)
"""Positions about an origin that is given: their noise has a centre of mass of its own."""


class Road(Protocol):
    """How a network is told what is known; without state, so one object serves every run."""

    def prior(self, noise: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Noise of the solver's state from standard normal numbers of both modalities."""

    def pair(self, rows: KnownRows) -> KnownRows:
        """The rows with their noise relabelled to suit known positions."""

    def ask(
        self, network: SelfConditioned, rows: KnownRows, x: dict[str, Tensor], lam: Tensor
    ) -> dict[str, Tensor]:
        """What the network predicts for the solver's state ``x`` at half log-SNR ``lam``."""

    def recall(self, rows: KnownRows, estimate: Estimate, pos: Tensor) -> Estimate:
        """What the next call is told of this one.

        Args:
            rows: What is known.
            estimate: Of the network.
            pos: Predicted positions in the solver's frame, ``[B, N, 3]``.
        """


@dataclass(frozen=True)
class Noised:
    """Known rows are noised to the level that all atoms share."""

    def prior(self, noise: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Noise with zero centre of mass."""
        return {
            "pos": POS.prior(noise["pos"], mask),
            "element": ELEMENT.prior(noise["element"], mask),
        }

    def pair(self, rows: KnownRows) -> KnownRows:
        """Noise relabelled and turned onto known positions; unknown ones, at 0, do not weigh."""
        pairing = AtomOT().pair(rows.clean["pos"], rows.noise["pos"], rows.mask)
        noise = {"pos": pairing.noise, "element": pairing.follow(rows.noise["element"])}
        return replace(rows, noise=noise)

    def ask(
        self, network: SelfConditioned, rows: KnownRows, x: dict[str, Tensor], lam: Tensor
    ) -> dict[str, Tensor]:
        """The prediction from the state with its known rows noised."""
        return cast("dict[str, Tensor]", network(self.view(rows, x, lam), lam))

    def recall(self, rows: KnownRows, estimate: Estimate, pos: Tensor) -> Estimate:
        """The estimate with what is known in it, centred as the network expects."""
        return rows.settle(estimate, pos)

    def view(self, rows: KnownRows, x: dict[str, Tensor], lam: Tensor) -> dict[str, Tensor]:
        """What the network sees of the solver's state ``x`` at half log-SNR ``lam`` (scalar)."""
        seen = {}
        for name, has in rows.has.items():
            clean = rows.clean[name]
            a, b = unit_tv(level(rows.leads[name], float(lam)))
            noisy = expand_like(a, clean) * clean + expand_like(b, clean) * rows.noise[name]
            seen[name] = torch.where(has[..., None], noisy, x[name])
        return {**seen, "pos": center(seen["pos"], rows.mask)}


@dataclass(frozen=True)
class PerAtom:
    """Known rows are clean, and the network is told so."""

    def prior(self, noise: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Noise as it is drawn."""
        return {
            "pos": FREE.prior(noise["pos"], mask),
            "element": ELEMENT.prior(noise["element"], mask),
        }

    def pair(self, rows: KnownRows) -> KnownRows:
        """Noise of known rows relabelled among these; only `Noised` ever reads it.

        That of the unknown rows must not depend on what is known, as it did not in training.
        """
        coupling = AtomOT(rotate=False)
        pairing = coupling.pair(rows.clean["pos"], rows.noise["pos"], rows.has_pos)
        noise = {"pos": pairing.noise, "element": pairing.follow(rows.noise["element"])}
        return replace(rows, noise=noise)

    def ask(
        self, network: SelfConditioned, rows: KnownRows, x: dict[str, Tensor], lam: Tensor
    ) -> dict[str, Tensor]:
        """The prediction from the state as it is, with levels per atom."""
        levels = {
            name: level(rows.leads[name], float(lam)).to(has.device).expand(has.shape)
            for name, has in rows.has.items()
        }
        pos, element = (
            levels[name].masked_fill(has, CLEAN_LEVEL) for name, has in rows.has.items()
        )
        return cast("dict[str, Tensor]", network(x, pos, element))

    def recall(self, rows: KnownRows, estimate: Estimate, pos: Tensor) -> Estimate:  # noqa: ARG002
        """The estimate as it is: training feeds it back untouched."""
        return estimate


NOISED, PER_ATOM = Noised(), PerAtom()


def has_per_atom_levels(info: ModelInfo) -> bool:
    """Whether a model was trained to complete molecules."""
    return isinstance(info.config.rows, CompletionConfig)


def road_for(info: ModelInfo, known: Known | None) -> Road:
    """The road of a run.

    Completion was trained with atoms that are given in full. A composition, whose atoms have no
    places yet, takes the road of one level on any model.
    """
    has_places = known is not None and not known.is_whole
    return PER_ATOM if has_places and has_per_atom_levels(info) else NOISED


class Unaware:
    """The same molecule without the knowledge: what guidance compares with.

    It sees known rows noised as if they were any others, and its own earlier estimates of them.
    Only its output is put where the known atoms are, so that the two predictions can be compared.

    Args:
        network: The network with a memory of its own.
        rows: What is known.
    """

    def __init__(self, network: SelfConditioned, rows: KnownRows) -> None:
        self.network, self.rows = network, rows

    def __call__(self, x: State, lam: Tensor) -> State:
        """Expected clean state at half log-SNR ``lam`` (scalar), exact where it is known."""
        state = cast("dict[str, Tensor]", x)
        return dict(self.rows.prediction(NOISED.ask(self.network, self.rows, state, lam)))

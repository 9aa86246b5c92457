"""The seam between one network and what it is asked for.

A task says of every modality whether it is given, noised or predicted; all else follows: which
loss terms apply, where sampling starts, which rows a solver must not move, and what is done with
the last prediction. A new task is one file with one `Task`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, NOISE_LEVEL
from molgen.flow.coupling import AtomOT, Coupling
from molgen.flow.process import Gaussian
from molgen.modality import Modality

__all__ = ["LOSSES", "PRIOR", "Finish", "Modality", "Role", "Task"]


class Role(Enum):
    """What becomes of a modality."""

    GIVEN = auto()
    """The network sees it clean; nothing is lost on it, and it comes out as it went in."""
    NOISED = auto()
    """It is noised in training and followed from noise by the solver."""
    PREDICTED = auto()
    """The network sees nothing of it and reads it off the rest."""


LOSSES: Final[Mapping[Modality, tuple[str, ...]]] = MappingProxyType(
    {
        Modality.POS: ("pos", "distance"),
        Modality.ELEMENT: ("element",),
        Modality.CHARGE: ("charge",),
        Modality.BOND: ("bond",),
        Modality.STEREO: (),
    }
)
"""Terms of the loss that a modality has as long as it is not given."""

PRIOR: Final[Mapping[Modality, Gaussian]] = MappingProxyType(
    {Modality.POS: Gaussian(zero_com=True), Modality.ELEMENT: Gaussian(zero_com=False)}
)
"""Noise of whole molecules: positions have no centre of mass."""

TRANSPORT: Final = AtomOT()
"""Noise is relabelled and turned onto the molecule."""


@dataclass(frozen=True)
class Finish:
    """What is done with the last prediction.

    Attributes:
        refine: Give decoded molecules positions that suit their bonds.
        logit_bias: Add the biases and input scales that were fitted for molecules of which
            nothing is given.
        restore: Put given positions back where they were.
    """

    refine: bool = True
    logit_bias: bool = True
    restore: bool = False


@dataclass(frozen=True)
class Task:
    """What is asked of the network.

    Attributes:
        name: Short name.
        roles: Role of each modality; those that are not named take no part.
        partial: Whether what is given is given of some atoms only, as of a scaffold.
        per_atom: Whether given atoms are shown clean, at a level of their own; else they are noised
            to the level of the others.
        prior: Noise of each noised modality.
        coupling: Which noise goes with which molecule in training.
        finish: What is done with the last prediction.

    Raises:
        UsageError: Every modality is given.
    """

    name: str
    roles: Mapping[Modality, Role]
    partial: bool = False
    per_atom: bool = False
    prior: Mapping[Modality, Gaussian] = field(default_factory=lambda: PRIOR)
    coupling: Coupling = TRANSPORT
    finish: Finish = Finish()

    def __post_init__(self) -> None:
        """Reject a task without a question."""
        if all(role is Role.GIVEN for role in self.roles.values()):
            raise UsageError("a task gives every modality", "Leave one to predict")

    def of(self, role: Role) -> tuple[Modality, ...]:
        """Modalities with a role."""
        return tuple(modality for modality, one in self.roles.items() if one is role)

    @property
    def losses(self) -> tuple[str, ...]:
        """Terms of the loss that apply."""
        open_ones = [one for one in LOSSES if one in self.roles and self._is_open(one)]
        return tuple(term for modality in open_ones for term in LOSSES[modality])

    def _is_open(self, modality: Modality) -> bool:
        """Whether a modality is left to the network, of some atoms at least."""
        return self.partial or self.roles[modality] is not Role.GIVEN

    def level(self, modality: Modality, lam: Tensor) -> Tensor:
        """Half log-SNR of a modality where it would be ``lam`` if it were noised."""
        role = self.roles.get(modality, Role.NOISED)
        if self.partial or role is Role.NOISED:
            return lam
        return lam.new_full((), CLEAN_LEVEL if role is Role.GIVEN else NOISE_LEVEL).expand_as(lam)

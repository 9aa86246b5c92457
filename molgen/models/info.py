"""What a weights file says of itself: recipe, data, training, and its best sampling grids."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from molgen.chem.elements import Vocabulary
from molgen.config import Config, parse_config

FORMAT = 1


@dataclass(frozen=True)
class Ladder:
    """The measured best way to sample with a given number of network calls.

    Attributes:
        solver: Name of the solver.
        sigma: Noise levels of the calls in Å, from large to small.
        plan: Solver and grid in full, as `molgen.flow.plan.Plan` stores them, where name and
            levels do not say all; other numbers of calls are derived from the two alone.
        scores: What the ladder was chosen by, and on how many molecules.
    """

    solver: str
    sigma: tuple[float, ...]
    plan: dict[str, Any] | None = None
    scores: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; what is not set is left out."""
        extra = {"plan": self.plan, "scores": self.scores}
        given = {name: value for name, value in extra.items() if value is not None}
        return {"solver": self.solver, "sigma": list(self.sigma), **given}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Ladder:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
        """
        extra = (tree.get("plan"), tree.get("scores"))
        return cls(tree["solver"], tuple(tree["sigma"]), *extra)


@dataclass(frozen=True)
class ErrorCurve:
    """Mean squared error of the model against noise level, as `molgen.flow.mmse` takes it.

    Attributes:
        lam: Increasing half log-SNR of the positions.
        mmse: Error per dimension of the state at each, in the model's units.
    """

    lam: tuple[float, ...]
    mmse: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"lam": list(self.lam), "mmse": list(self.mmse)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> ErrorCurve:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
        """
        return cls(tuple(tree["lam"]), tuple(tree["mmse"]))


@dataclass(frozen=True)
class ModelInfo:
    """Everything about a model but its weights; plain data, so it reads without torch.

    Attributes:
        name: Name of the model, such as ``qm9``.
        config: The recipe it was trained with.
        n_atoms: Molecules of the training data per number of atoms, from 0 on.
        ladders: Best measured grids, by number of network calls.
        training: Steps, molecules, seconds, hardware: how the weights came about.
        mmse: Error at every noise level, for grids that follow it; None if never measured.
    """

    name: str
    config: Config
    n_atoms: tuple[int, ...]
    ladders: dict[int, Ladder] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    mmse: ErrorCurve | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """Elements and charges of the model."""
        return Vocabulary(self.config.data.atomic_numbers, self.config.data.charges)

    @property
    def max_atoms(self) -> int:
        """Largest molecule of the training data."""
        return len(self.n_atoms) - 1

    def trained(self, **facts: Any) -> ModelInfo:
        """A copy with more facts about its training."""
        return replace(self, training={**self.training, **facts})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; what was not measured is left out."""
        measured = {} if self.mmse is None else {"mmse": self.mmse.to_dict()}
        return {
            "format": FORMAT,
            "name": self.name,
            "config": self.config.model_dump(mode="json"),
            "n_atoms": list(self.n_atoms),
            "ladders": {
                str(steps): ladder.to_dict() for steps, ladder in sorted(self.ladders.items())
            },
            "training": self.training,
            **measured,
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any], origin: str) -> ModelInfo:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
            ConfigError: The recipe does not fit this version's schema.
        """
        return cls(
            name=tree["name"],
            config=parse_config(tree["config"], origin),
            n_atoms=tuple(tree["n_atoms"]),
            ladders={
                int(steps): Ladder.from_dict(ladder) for steps, ladder in tree["ladders"].items()
            },
            training=tree["training"],
            mmse=ErrorCurve.from_dict(tree["mmse"]) if "mmse" in tree else None,
        )

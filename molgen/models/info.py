"""What a weights file says of itself: recipe, data, training, and its best sampling grids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeVar

from pydantic import Field, field_validator

from molgen.chem.elements import Vocabulary
from molgen.config import Config, DataConfig, Finite, Section, parse_config
from molgen.config.dataset import Dataset
from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.weights_file import MOLECULES, Header, HeaderSchema, Recipe, Text

Numbers = Annotated[tuple[Finite, ...], Field(max_length=1000)]
Sigma = Annotated[Finite, Field(gt=0)]
Calls = Annotated[int, Field(ge=1, le=1000)]


class PresetSchema(Section):
    """What a header says of a preset; `molgen.flow.plan.Plan.from_dict` checks its plan."""

    solver: Text
    sigma: Annotated[tuple[Sigma, ...], Field(min_length=1, max_length=1000)]
    plan: dict[Text, Any] | None = None
    scores: Annotated[dict[Text, Finite], Field(max_length=100)] | None = None
    input_scale: Numbers | None = None
    logit_bias: Annotated[dict[Text, Numbers], Field(max_length=10)] | None = None


class CurveSchema(Section):
    """What a header says of the model's error."""

    lam: Numbers
    mmse: Numbers


class MoleculeHeaderSchema(HeaderSchema):
    """What the header of any model of molecules holds."""

    n_atoms: Annotated[
        tuple[Annotated[int, Field(ge=0, le=10**12)], ...], Field(min_length=2, max_length=2001)
    ]

    @field_validator("config")
    @classmethod
    def _dataset_is_whole(cls, config: dict[str, Any]) -> dict[str, Any]:
        """A header brings its data set; it names no file of the reader's machine."""
        data = config.get("data")
        if isinstance(data, dict) and not isinstance(data.get("dataset", {}), dict):
            raise ValueError("data.dataset is no specification")  # noqa: TRY004 - pydantic takes ValueError
        return config


class ModelSchema(MoleculeHeaderSchema):
    """What the header of a model of molecules holds."""

    presets: Annotated[dict[Calls, PresetSchema], Field(max_length=100)]
    mmse: CurveSchema | None = None
    element_prior: Annotated[tuple[Finite, ...], Field(max_length=118)] = ()


if TYPE_CHECKING:
    from molgen.chem.distances import DistanceStatistics


@dataclass(frozen=True)
class SamplingPreset:
    """The measured best way to sample with a given number of network calls.

    Attributes:
        solver: Name of the solver.
        sigma: Noise levels of the calls in Å, from large to small.
        plan: Solver and grid in full, as `molgen.flow.plan.Plan` stores them, where name and
            levels do not say all; other numbers of calls are derived from the two alone.
        scores: What the preset was chosen by, and on how many molecules.
        input_scale: Total standard deviation of the positions at each call
            (`molgen.flow.input_scale`); None for 1, which is that of the process.
        logit_bias: What is added to the log-probabilities of elements and bonds in every estimate
            (`molgen.flow.logit_bias`), so that molecules have as many of each as real ones.
    """

    solver: str
    sigma: tuple[float, ...]
    plan: dict[str, Any] | None = None
    scores: dict[str, float] | None = None
    input_scale: tuple[float, ...] | None = None
    logit_bias: LogitBias = NO_LOGIT_BIAS

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; what is not set is left out."""
        input_scale = None if self.input_scale is None else list(self.input_scale)
        logit_bias = self.logit_bias.to_dict() or None
        extra = {
            "plan": self.plan,
            "scores": self.scores,
            "input_scale": input_scale,
            "logit_bias": logit_bias,
        }
        given = {name: value for name, value in extra.items() if value is not None}
        return {"solver": self.solver, "sigma": list(self.sigma), **given}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> SamplingPreset:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
        """
        input_scale = None if tree.get("input_scale") is None else tuple(tree["input_scale"])
        extra = (
            tree.get("plan"),
            tree.get("scores"),
            input_scale,
            LogitBias.from_dict(tree.get("logit_bias")),
        )
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


class MoleculeRecipe(Recipe, Protocol):
    """A recipe of molecules."""

    @property
    def data(self) -> DataConfig:
        """Which molecules."""


MoleculeRecipeT = TypeVar("MoleculeRecipeT", bound=MoleculeRecipe)


@dataclass(frozen=True)
class MoleculeHeader(Header[MoleculeRecipeT]):
    """Everything about a model of molecules of any domain but its weights.

    Attributes:
        n_atoms: Molecules of the training data per number of atoms, from 0 on.
    """

    n_atoms: tuple[int, ...]

    @property
    def dataset(self) -> Dataset:
        """The data set that the model was trained on."""
        return self.config.data.dataset

    @property
    def distances(self) -> DistanceStatistics | None:
        """Distances in that data set; None where neither the package nor its store has them."""
        from molgen.data.distances import distances_of  # noqa: PLC0415 - headers are read without

        return distances_of(self.dataset, self.config.data.folder)

    @property
    def vocabulary(self) -> Vocabulary:
        """Elements and charges of the model."""
        return Vocabulary.of(self.dataset)

    @property
    def counted_atoms(self) -> str:
        """What numbers of atoms count, in words."""
        return "heavy atoms" if self.dataset.hydrogens else "atoms, hydrogens included"

    @property
    def max_atoms(self) -> int:
        """Largest molecule of the training data."""
        return len(self.n_atoms) - 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**super().to_dict(), "n_atoms": list(self.n_atoms)}


@dataclass(frozen=True)
class ModelInfo(MoleculeHeader[Config]):
    """Everything about a model but its weights.

    Attributes:
        presets: Best measured grids, by number of network calls.
        mmse: Error at every noise level, for grids that follow it; None if never measured.
        element_prior: What a decoder adds to the logarithms of the probabilities of the elements,
            so that what it repairs has the shares of real molecules; empty for nothing.
    """

    domain: ClassVar[str] = MOLECULES
    schema: ClassVar[type[HeaderSchema]] = ModelSchema

    presets: dict[int, SamplingPreset] = field(default_factory=dict)
    mmse: ErrorCurve | None = None
    element_prior: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; what was not measured is left out."""
        presets = {str(steps): one.to_dict() for steps, one in sorted(self.presets.items())}
        measured: dict[str, Any] = {} if self.mmse is None else {"mmse": self.mmse.to_dict()}
        if self.element_prior:
            measured["element_prior"] = list(self.element_prior)
        return {**super().to_dict(), "presets": presets, **measured}

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
            presets={
                int(steps): SamplingPreset.from_dict(preset)
                for steps, preset in tree["presets"].items()
            },
            training=tree["training"],
            mmse=ErrorCurve.from_dict(tree["mmse"]) if "mmse" in tree else None,
            element_prior=tuple(tree.get("element_prior", ())),
        )

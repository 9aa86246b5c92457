"""The schema of a training recipe, and its reading from YAML with overrides.

Every section is frozen and refuses unknown keys, so that a typo is an error with a path and
a suggestion, not a silently ignored line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from molgen.errors import ConfigError
from molgen.names import nearest


class Section(BaseModel):
    """A part of the recipe: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Which molecules.

    Attributes:
        store: Folder of the prepared store.
        atomic_numbers: Elements that the model distinguishes.
        charges: Formal charges that the model distinguishes.
    """

    store: str = "data/qm9"
    atomic_numbers: tuple[int, ...] = (1, 6, 7, 8, 9)
    charges: tuple[int, ...] = (-1, 0, 1)


class WidthConfig(Section):
    """Sizes of the network's streams; see `molgen.nn.block.Width`."""

    scalar: int = Field(192, ge=8)
    vector: int = Field(24, ge=2)
    pair: int = Field(48, ge=8)
    pair_hidden: int = Field(64, ge=8)
    n_heads: int = Field(8, ge=1)
    n_frames: int = Field(8, ge=1)
    mlp: int = Field(384, ge=8)
    noise: int = Field(128, ge=8)

    @model_validator(mode="after")
    def _heads_share_the_scalars(self) -> WidthConfig:
        if self.scalar % self.n_heads:
            raise ValueError(f"scalar {self.scalar} is not a multiple of n_heads {self.n_heads}")
        return self


class ModelConfig(Section):
    """The denoiser.

    Attributes:
        n_layers: Number of blocks.
        n_radial: Radial functions per distance.
        pos_scale: Å per unit of the network's coordinates (the data's standard deviation).
        element_scale: Height of the one-hot elements that are diffused.
        element_lead: Half-log-SNR by which elements run ahead of coordinates.
        width: Sizes of the streams.
    """

    n_layers: int = Field(6, ge=1)
    n_radial: int = Field(32, ge=4)
    pos_scale: float = Field(2**0.5, gt=0)
    element_scale: float = Field(2.0, gt=0)
    element_lead: float = Field(1.0, ge=0)
    width: WidthConfig = WidthConfig()


class LogisticConfig(Section):
    """Half log-SNR from a logistic law: uniform time of an ISSNR schedule."""

    kind: Literal["logistic"] = "logistic"
    weight: float = Field(0.65, gt=0)
    mean: float = 0.7
    scale: float = Field(0.9, gt=0)


class LogUniformConfig(Section):
    """Half log-SNR uniform between two noise levels: in Å, or in the unit of an image's values."""

    kind: Literal["log_uniform"] = "log_uniform"
    weight: float = Field(0.35, gt=0)
    sigma_min: float = Field(0.015, gt=0)
    sigma_max: float = Field(0.4, gt=0)


NOISE_LEVELS: dict[str, Any] = {"logistic": LogisticConfig, "log_uniform": LogUniformConfig}
"""Densities of the noise level by their ``kind``."""

NoiseLevels = Annotated[LogisticConfig | LogUniformConfig, Field(discriminator="kind")]


class LossConfig(Section):
    """Weights of the loss terms.

    Attributes:
        snr_cap: Cap of the coordinates' weight 1 + SNR.
        pos: Weight of the coordinates' squared error, in units of unit variance.
        element: Weight of the elements' cross-entropy.
        charge: Weight of the charges' cross-entropy.
        bond: Weight of the bonds' cross-entropy.
        bonded: How much more a bonded pair counts than another in the bond loss.
        distance: Weight of the Huber loss on short distances.
        distance_sigma: Noise, in Å, above which the distance loss is off.
        distance_reach: Pairs closer than this in the clean molecule count, in Å.
    """

    snr_cap: float = Field(2000.0, gt=1)
    pos: float = Field(1.0, ge=0)
    element: float = Field(0.5, ge=0)
    charge: float = Field(0.2, ge=0)
    bond: float = Field(1.0, ge=0)
    bonded: float = Field(5.0, ge=1)
    distance: float = Field(1.0, ge=0)
    distance_sigma: float = Field(0.35, gt=0)
    distance_reach: float = Field(2.7, gt=0)


class OptimConfig(Section):
    """Optimiser and its schedule.

    Attributes:
        kind: ``adamw``, or ``muon``: Muon for hidden matrices and AdamW for the rest.
        lr: Peak learning rate of AdamW.
        muon_lr: Peak learning rate of Muon.
        weight_decay: Decoupled weight decay of matrices.
        warmup_steps: Steps of linear warm-up.
        decay_from: Fraction of the run after which the rate falls to zero (cosine).
        clip: Largest gradient norm.
        ema: Decay of the weight average.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    muon_lr: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup_steps: int = Field(300, ge=0)
    decay_from: float = Field(0.3, ge=0, lt=1)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)


class RunConfig(Section):
    """The run, whatever it trains.

    Attributes:
        batch_size: Molecules or images per step.
        max_steps: Steps of the run.
        max_time: Time box ``HH:MM:SS``; the schedule anneals within whichever ends first.
        precision: ``bf16-mixed`` or ``32-true``.
        compile: Compile the network (pays on a GPU).
        seed: Seed of data order, noise and initial weights.
        log_every: Steps between rows of the metrics CSV.
        sample_every: Steps between validations by sampling.
        sample_n: Molecules or images per validation.
        sample_steps: Network calls for each of them.
        checkpoint_every: Steps between checkpoints.
        init: Weights (safetensors) to start from, or none.
    """

    batch_size: int = Field(64, ge=1)
    max_steps: int = Field(30_000, ge=1)
    max_time: str | None = None
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    compile: bool = False
    seed: int = Field(0, ge=0, lt=2**32)
    log_every: int = Field(100, ge=1)
    sample_every: int = Field(2000, ge=1)
    sample_n: int = Field(128, ge=1)
    sample_steps: int = Field(8, ge=1)
    checkpoint_every: int = Field(500, ge=1)
    init: str | None = None

    @field_validator("max_time", mode="before")
    @classmethod
    def _clock(cls, value: Any) -> Any:
        """YAML 1.1 reads a bare 12:00:00 as a number to the base of 60."""
        if not isinstance(value, int):
            return value
        return f"{value // 3600:02}:{value // 60 % 60:02}:{value % 60:02}"


class TrainConfig(RunConfig):
    """The run of a recipe of molecules.

    Attributes:
        self_condition: Probability of training on the network's own earlier estimate.
    """

    self_condition: float = Field(0.5, ge=0, le=1)


class Config(Section):
    """A whole recipe of molecules: data, model, noise levels, loss, optimiser, run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    times: tuple[NoiseLevels, ...] = (LogisticConfig(), LogUniformConfig())
    lam_min: float = -4.0
    lam_max: float = 5.0
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    domain: Literal["molecules"] = "molecules"


SchemaT = TypeVar("SchemaT", bound=Section)


def _override(tree: dict[str, Any], assignment: str) -> None:
    """Set ``a.b=value`` in a nested dict; the value is read as YAML."""
    path, found, text = assignment.partition("=")
    if not found or not path:
        raise ConfigError(
            f"--set {assignment!r} is not key=value", "write e.g. --set optim.lr=1e-4"
        )
    *parents, leaf = path.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {assignment!r}: {parent!r} holds a value, not a section")
    try:
        tree[leaf] = _number(yaml.safe_load(text))
    except yaml.YAMLError:
        raise ConfigError(f"--set {assignment!r}: {text!r} is not a YAML value") from None


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as text; people mean a number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _keys_at(schema: type[Section], path: Sequence[str | int]) -> list[str]:
    """Known keys of the section that holds the last element of an error path."""
    model: Any = schema
    for part in path[:-1]:
        if part in NOISE_LEVELS:
            model = NOISE_LEVELS[str(part)]
        elif isinstance(part, str):
            field = getattr(model, "model_fields", {}).get(part)
            model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def _explain(error: ValidationError, schema: type[Section], origin: str) -> ConfigError:
    first = error.errors()[0]
    path = list(first["loc"])
    where = ".".join(str(part) for part in path if part not in NOISE_LEVELS) or "top level"
    if first["type"] == "extra_forbidden":
        known = _keys_at(schema, path)
        guess = nearest(str(path[-1]), known)
        hint = f"Did you mean {guess!r}?" if guess else f"Known keys: {', '.join(known)}"
        return ConfigError(f"{origin}: unknown key {where!r}", hint)
    return ConfigError(f"{origin}: {where}: {first['msg'].lower()}", f"got {first.get('input')!r}")


def validated(schema: type[SchemaT], tree: dict[str, Any], origin: str) -> SchemaT:
    """Read a nested dict by the schema of its domain.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, schema, origin) from None


def parse_config(tree: dict[str, Any], origin: str = "config") -> Config:
    """Validate a nested dict as a recipe of molecules.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    return validated(Config, tree, origin)


def recipes() -> dict[str, Path]:
    """The shipped recipes by name; in a checkout they lie beside the package."""
    package = Path(__file__).parent
    folders = (package / "configs", package.parent / "configs")
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML recipe of molecules; see `load_tree`.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not fit the schema.
    """
    return parse_config(load_tree(path, overrides), str(path))


def load_tree(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML recipe of any domain, not yet checked against a schema.

    Args:
        path: YAML file, or the name of a shipped recipe.
        overrides: Assignments such as ``optim.lr=1e-4``, applied in order.

    Raises:
        ConfigError: The file is missing or is not YAML, or an override says nothing.
    """
    shipped = recipes()
    file = shipped.get(str(path), Path(path))
    try:
        tree = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        known = ", ".join(shipped)
        raise ConfigError(f"no config file {str(path)!r}", f"Shipped recipes: {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from None
    except yaml.YAMLError as error:
        line = str(error).replace("\n", " ")
        raise ConfigError(f"{path}: not valid YAML: {line}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected sections such as 'model:' and 'train:'")
    for assignment in overrides:
        _override(tree, assignment)
    return tree

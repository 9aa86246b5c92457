"""The schema of a training recipe of molecules, and the sections that images share.

Every section is frozen and refuses unknown keys, so that a typo is an error with a path and
a suggestion, not a silently ignored line.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from molgen.config.calibrate import CalibrateConfig
from molgen.config.dataset import DEFAULT, Dataset, dataset_tree, load_dataset
from molgen.config.distil import DistilConfig
from molgen.config.levels import (
    CurriculumConfig,
    LogisticConfig,
    LogUniformConfig,
    NoiseLevels,
    Rows,
    TaskConfig,
    TogetherConfig,
)
from molgen.config.parts import (
    AtomOTConfig,
    BalanceConfig,
    CouplingParts,
    MinSNRConfig,
    WeightingParts,
)
from molgen.config.section import Section


class DataConfig(Section):
    """Which molecules.

    Attributes:
        dataset: What they are: a name, the path of a specification, or the specification.
        store: Folder of the prepared store; empty for ``data/NAME``.
    """

    dataset: Dataset = Field(default_factory=lambda: load_dataset(DEFAULT))
    store: str = ""

    @field_validator("dataset", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return dataset_tree(value) if isinstance(value, str) else value

    @property
    def atomic_numbers(self) -> tuple[int, ...]:
        """Elements that the model distinguishes."""
        return self.dataset.atomic_numbers

    @property
    def charges(self) -> tuple[int, ...]:
        """Formal charges that the model distinguishes."""
        return self.dataset.charges

    @property
    def folder(self) -> str:
        """Folder of the prepared store."""
        return self.store or f"data/{self.dataset.name}"


class DimsConfig(Section):
    """Sizes of the network's streams; see `molgen.nn.block.NetworkDims`."""

    scalar: int = Field(192, ge=8, le=8192)
    vector: int = Field(24, ge=2, le=1024)
    pair: int = Field(48, ge=8, le=2048)
    pair_hidden: int = Field(64, ge=8, le=4096)
    n_heads: int = Field(8, ge=1, le=256)
    n_frames: int = Field(8, ge=1, le=256)
    mlp: int = Field(384, ge=8, le=32768)
    noise: int = Field(128, ge=8, le=8192)

    @model_validator(mode="after")
    def _heads_share_the_scalars(self) -> DimsConfig:
        if self.scalar % self.n_heads:
            raise ValueError(f"scalar {self.scalar} is not a multiple of n_heads {self.n_heads}")
        return self


class ModelConfig(Section):
    """The denoiser.

    Attributes:
        n_layers: Number of blocks.
        n_radial: Radial functions per distance.
        cutoff: Largest distance that they resolve, in Å.
        pos_scale: Å per unit of the network's coordinates (the data's standard deviation).
        element_scale: Height of the one-hot elements that are diffused.
        element_lead: Half-log-SNR by which elements run ahead of coordinates.
        step_size_cond: Whether the network is told where the step ends that a call is for.
        smacof_iterations: Iterations that fit the positions of a last call to the distances that
            the network predicts, which needs ``step_size_cond``; 0 for a network without them.
        valence_bp_rounds: Rounds of belief propagation between atoms and bonds of a last call
            (`molgen.nn.valence_bp`), which needs ``step_size_cond``; 0 leaves each head's own
            probabilities.
        refine_layers: Layers of the network that refines the molecule of a last call
            (`molgen.nn.refine`), which needs ``step_size_cond``; 0 for none.
        dims: Sizes of the streams.
    """

    n_layers: int = Field(6, ge=1, le=256)
    n_radial: int = Field(32, ge=4, le=1024)
    cutoff: float = Field(10.0, gt=0, le=1000)
    pos_scale: float = Field(2**0.5, gt=0, le=1000)
    element_scale: float = Field(2.0, gt=0, le=1000)
    element_lead: float = Field(1.0, ge=0, le=100)
    step_size_cond: bool = False
    smacof_iterations: int = Field(0, ge=0, le=1000)
    valence_bp_rounds: int = Field(0, ge=0, le=1000)
    refine_layers: int = Field(0, ge=0, le=64)
    dims: DimsConfig = DimsConfig()

    @model_validator(mode="after")
    def _fits_last_calls(self) -> Self:
        """A network that is not told so does not know which call is the last.

        Raises:
            ValueError: Something is asked of last calls, and there is no telling.
        """
        for name in ("smacof_iterations", "valence_bp_rounds", "refine_layers"):
            if getattr(self, name) and not self.step_size_cond:
                raise ValueError(f"{name} needs step_size_cond: true")
        return self


class LossConfig(Section):
    """Weights of the loss terms.

    Attributes:
        weighting: Weight of the coordinates' error by level.
        balance: Weights of the coordinates' error learned by level, or none.
        pos: Weight of the coordinates' squared error, in units of unit variance.
        element: Weight of the elements' cross-entropy.
        charge: Weight of the charges' cross-entropy.
        bond: Weight of the bonds' cross-entropy.
        bonded: How much more a bonded pair counts than another in the bond loss.
        distance: Weight of the Huber loss on short distances.
        distance_sigma: Noise, in Å, above which the distance loss is off.
        distance_reach: Pairs closer than this in the clean molecule count, in Å.
        fit: Weight of the negative log-likelihood of the distances that a last call is fitted
            to (`ModelConfig.smacof_iterations`).
        graph: Weight of the cross-entropy of a last call's elements, charges and bonds after they
            went through belief propagation (`ModelConfig.valence_bp_rounds`); the terms above are
            of the heads by themselves.
    """

    weighting: WeightingParts = MinSNRConfig()
    balance: BalanceConfig | None = None
    pos: float = Field(1.0, ge=0)
    element: float = Field(0.5, ge=0)
    charge: float = Field(0.2, ge=0)
    bond: float = Field(1.0, ge=0)
    bonded: float = Field(5.0, ge=1)
    distance: float = Field(1.0, ge=0)
    distance_sigma: float = Field(0.35, gt=0)
    distance_reach: float = Field(2.7, gt=0)
    fit: float = Field(0.3, ge=0)
    graph: float = Field(0.5, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _cap_of_old(cls, tree: Any) -> Any:
        """Recipes in the headers of old weights give the cap of the one weighting there was."""
        if not isinstance(tree, dict) or "snr_cap" not in tree:
            return tree
        rest = {key: value for key, value in tree.items() if key != "snr_cap"}
        return {"weighting": {"kind": "min_snr", "cap": tree["snr_cap"]}, **rest}


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
    warmup_steps: int = Field(300, ge=0, le=10**9)
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
        init: Weights to start from, a file or the name of a shipped model, or none.
    """

    batch_size: int = Field(64, ge=1, le=100000)
    max_steps: int = Field(30_000, ge=1, le=10**9)
    max_time: str | None = None
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    compile: bool = False
    seed: int = Field(0, ge=0, lt=2**32)
    log_every: int = Field(100, ge=1, le=10**9)
    sample_every: int = Field(2000, ge=1, le=10**9)
    sample_n: int = Field(128, ge=1, le=100000)
    sample_steps: int = Field(8, ge=1, le=1000)
    checkpoint_every: int = Field(500, ge=1, le=10**9)
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
        batch_cost: Pairs of atoms per step, padding included, at most: batches of large molecules
            are smaller. None for any number.
    """

    self_condition: float = Field(0.5, ge=0, le=1)
    batch_cost: int | None = Field(None, ge=1)


class Config(Section):
    """A whole recipe of molecules.

    Attributes:
        data: Which molecules.
        model: The denoiser.
        times: Densities of the noise level.
        curriculum: Opening of the levels, noisiest first, or none.
        rows: How the atoms of a molecule get their levels.
        tasks: Which modalities are given or only predicted; none noises all of them.
        lam_min: Smallest half log-SNR of training.
        lam_max: Largest half log-SNR of training.
        coupling: Which noise goes with which molecule.
        loss: Weights of the loss terms.
        optim: Optimiser and its schedule.
        train: The run.
        distil: Training of a few-step student on a teacher's trajectories instead of data.
        calibrate: Fits after the training of a student.
        domain: What the recipe makes.
    """

    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = ModelConfig()
    times: tuple[NoiseLevels, ...] = Field(
        (LogisticConfig(), LogUniformConfig()), min_length=1, max_length=100
    )
    curriculum: CurriculumConfig | None = None
    rows: Rows = TogetherConfig()
    tasks: tuple[TaskConfig, ...] = Field((), max_length=100)
    lam_min: float = Field(-4.0, ge=-50, le=50)
    lam_max: float = Field(5.0, ge=-50, le=50)
    coupling: CouplingParts = AtomOTConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    distil: DistilConfig | None = None
    calibrate: CalibrateConfig = CalibrateConfig()
    domain: Literal["molecules"] = "molecules"

    @model_validator(mode="after")
    def _tasks_are_of_whole_molecules(self) -> Config:
        if self.tasks and not isinstance(self.rows, TogetherConfig):
            raise ValueError("tasks give whole modalities, so rows.kind must be together")
        return self

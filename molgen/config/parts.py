"""Sections that choose couplings and weights of the loss; `molgen.train.parts` builds them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from molgen.config.section import Section


class IndependentConfig(Section):
    """Noise as it is drawn."""

    kind: Literal["independent"] = "independent"


class BatchOTConfig(Section):
    """Whole samples of noise assigned to samples of data; see `molgen.flow.coupling.BatchOT`."""

    kind: Literal["batch_ot"] = "batch_ot"
    size: int | None = Field(None, ge=2, le=100_000)
    half: bool = False


class AtomOTConfig(Section):
    """Noise relabelled and turned within a molecule; see `molgen.flow.coupling.AtomOT`."""

    kind: Literal["atom_ot"] = "atom_ot"
    permute: bool = True
    rotate: bool = True


SingleCoupling = Annotated[
    IndependentConfig | BatchOTConfig | AtomOTConfig, Field(discriminator="kind")
]


class ChainConfig(Section):
    """Couplings one after the other; see `molgen.flow.coupling.Chain`."""

    kind: Literal["chain"] = "chain"
    parts: tuple[SingleCoupling, ...] = Field((BatchOTConfig(), AtomOTConfig()), max_length=10)


CouplingParts = Annotated[
    IndependentConfig | BatchOTConfig | AtomOTConfig | ChainConfig, Field(discriminator="kind")
]


class UnitConfig(Section):
    """The same weight at every level."""

    kind: Literal["unit"] = "unit"


class MinSNRConfig(Section):
    """``min(1 + SNR, cap)``; see `molgen.flow.weighting.MinSNR`."""

    kind: Literal["min_snr"] = "min_snr"
    cap: float = Field(2000.0, gt=1)


class CappedSNRConfig(Section):
    """``min(SNR, cap)``; see `molgen.flow.weighting.CappedSNR`."""

    kind: Literal["capped_snr"] = "capped_snr"
    cap: float = Field(5.0, gt=0)


class EDMWeightConfig(Section):
    """Unit weight of EDM's network; see `molgen.flow.weighting.EDMWeight`."""

    kind: Literal["edm"] = "edm"
    sigma_data: float = Field(1.0, gt=0)


class SigmoidConfig(Section):
    """A noise loss that fades out; see `molgen.flow.weighting.Sigmoid`."""

    kind: Literal["sigmoid"] = "sigmoid"
    bias: float = 0.0


WeightingParts = Annotated[
    UnitConfig | MinSNRConfig | CappedSNRConfig | EDMWeightConfig | SigmoidConfig,
    Field(discriminator="kind"),
]


class BalanceConfig(Section):
    """A weight learned for each interval of levels; see `molgen.flow.weighting.IntervalWeights`.

    Attributes:
        edges: Increasing half log-SNR between the intervals.
    """

    edges: tuple[float, ...] = Field((-1.0, 0.0, 1.0, 2.0, 3.0), min_length=1, max_length=100)

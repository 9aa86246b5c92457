"""The coupling and the weighting that a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from molgen.config import (
    AtomOTConfig,
    BalanceConfig,
    BatchOTConfig,
    CappedSNRConfig,
    ChainConfig,
    CouplingParts,
    EDMWeightConfig,
    IndependentConfig,
    MinSNRConfig,
    Section,
    SigmoidConfig,
    UnitConfig,
    WeightingParts,
)
from molgen.flow.coupling import AtomOT, BatchOT, Chain, Coupling, Independent
from molgen.flow.intervals import IntervalWeights
from molgen.flow.weighting import CappedSNR, EDMWeight, MinSNR, Sigmoid, Unit, Weighting

_COUPLINGS: Mapping[type[Section], Callable[[Any], Coupling]] = MappingProxyType(
    {
        IndependentConfig: lambda _: Independent(),
        BatchOTConfig: lambda part: BatchOT(part.size, part.half),
        AtomOTConfig: lambda part: AtomOT(part.permute, part.rotate),
        ChainConfig: lambda part: Chain(tuple(coupling_of(one) for one in part.parts)),
    }
)

_WEIGHTINGS: Mapping[type[Section], Callable[[Any], Weighting]] = MappingProxyType(
    {
        UnitConfig: lambda _: Unit(),
        MinSNRConfig: lambda part: MinSNR(part.cap),
        CappedSNRConfig: lambda part: CappedSNR(part.cap),
        EDMWeightConfig: lambda part: EDMWeight(part.sigma_data),
        SigmoidConfig: lambda part: Sigmoid(part.bias),
    }
)


def coupling_of(part: CouplingParts) -> Coupling:
    """Which noise goes with which data."""
    return _COUPLINGS[type(part)](part)


def weighting_of(part: WeightingParts) -> Weighting:
    """Weight of the squared error by level."""
    return _WEIGHTINGS[type(part)](part)


def balance_of(part: BalanceConfig | None) -> IntervalWeights | None:
    """Weights learned by level, or none.

    Raises:
        UsageError: Edges out of order.
    """
    return None if part is None else IntervalWeights(part.edges)

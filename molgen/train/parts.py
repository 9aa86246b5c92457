"""The coupling and the weighting that a recipe asks for: sections name classes and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from molgen.config import BalanceConfig, CouplingParts, WeightingParts
from molgen.flow.coupling import AtomOT, BatchOT, Chain, Coupling, Independent
from molgen.flow.weighting import (
    CappedSNR,
    EDMWeight,
    IntervalWeights,
    MinSNR,
    Sigmoid,
    Unit,
    Weighting,
)

_COUPLINGS: Mapping[str, type[Coupling]] = MappingProxyType(
    {"independent": Independent, "batch_ot": BatchOT, "atom_ot": AtomOT}
)
_WEIGHTINGS: Mapping[str, type[Weighting]] = MappingProxyType(
    {
        "unit": Unit,
        "min_snr": MinSNR,
        "capped_snr": CappedSNR,
        "edm": EDMWeight,
        "sigmoid": Sigmoid,
    }
)


def coupling_of(part: CouplingParts) -> Coupling:
    """Which noise goes with which data."""
    if part.kind == "chain":
        return Chain(tuple(coupling_of(one) for one in part.parts))
    return _COUPLINGS[part.kind](**part.model_dump(exclude={"kind"}))


def weighting_of(part: WeightingParts) -> Weighting:
    """Weight of the squared error by level."""
    return _WEIGHTINGS[part.kind](**part.model_dump(exclude={"kind"}))


def balance_of(part: BalanceConfig | None) -> IntervalWeights | None:
    """Weights learned by level, or none.

    Raises:
        UsageError: Edges out of order.
    """
    return None if part is None else IntervalWeights(part.edges)

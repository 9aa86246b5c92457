"""Sections that choose the network of a baseline; `molgen.baselines.build` builds them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from molgen.config.recipe import DimsConfig
from molgen.config.section import Section


class EGNNConfig(Section):
    """The network of equivariant diffusion; see `molgen.baselines.egnn.EGNN`."""

    kind: Literal["egnn"] = "egnn"
    n_layers: int = Field(9, ge=1, le=256)
    hidden: int = Field(256, ge=2, le=8192)


class TransformerConfig(Section):
    """The network of this package without hints and bonds; see `molgen.nn.network`."""

    kind: Literal["transformer"] = "transformer"
    n_layers: int = Field(6, ge=1, le=256)
    n_radial: int = Field(32, ge=4, le=1024)
    dims: DimsConfig = DimsConfig()


Networks = Annotated[EGNNConfig | TransformerConfig, Field(discriminator="kind")]

"""What all Lightning modules of molecules share."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import nn

from molgen.config import Config
from molgen.models.denovo import DeNovo
from molgen.train.base import TrainingModule
from molgen.train.compiled import compile_blocks
from molgen.train.loss import TERMS


class MoleculeModule(TrainingModule):
    """Trains a `DeNovo` model."""

    terms: ClassVar[tuple[str, ...]] = TERMS
    config: Config
    model: DeNovo

    @property
    def averaged(self) -> DeNovo:
        """The model with averaged weights."""
        return cast("DeNovo", self.average.module)

    @staticmethod
    def compiled_model(model: nn.Module) -> nn.Module:
        """The model with its blocks compiled in place; see `compile_blocks`."""
        compile_blocks(cast("DeNovo", model))
        return model

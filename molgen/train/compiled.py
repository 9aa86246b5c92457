"""Compiling a model of molecules for training."""

from __future__ import annotations

from torch._dynamo import config as dynamo_config

from molgen.models.denovo import DeNovo

PROGRAMS = 64
"""Compiled forms of a block before torch gives up: widths of batches times ways of calling."""


def compile_blocks(model: DeNovo) -> None:
    """Compile the network's blocks, which hold nearly all of its time, in place.

    They share one program for each width of a batch, with gradients and without, which takes a
    sixth of the time that compiling six of them together does.
    """
    dynamo_config.recompile_limit = max(dynamo_config.recompile_limit, PROGRAMS)
    for block in model.network.blocks:
        block.compile(dynamic=False)

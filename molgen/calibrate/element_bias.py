"""The decoder's element biases, so that repaired molecules have the element shares of real ones.

Molecules of the preset with fewest calls, where most is to be repaired, are decoded again and
again, while the bias of an element falls as long as there is too much of it
(`molgen.train.class_balance`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch

from molgen.calibrate.context import Context
from molgen.calibrate.last_calls import BATCH, last_calls
from molgen.checkpoint import LoadedModel
from molgen.chem.decode import Decoder
from molgen.chem.decode_relax import DecodeRelax
from molgen.metrics.distribution import element_counts
from molgen.train.class_balance import ClassBalance
from molgen.train.distil_loss import Target
from molgen.train.target_decoder import TargetDecoder, shares_of

LARGEST: Final = 3.5
"""Largest absolute value of a bias: certain atoms should not change for it."""

AVERAGED_FROM: Final = 0.5
"""Share of the decodings after which biases are averaged: the controller never settles."""


def calibrate(loaded: LoadedModel, context: Context) -> LoadedModel:
    """The weights with element biases for the decoder."""
    options, vocabulary = context.config.element_bias, loaded.info.vocabulary
    fewest = min(context.presets(loaded.info))
    balance = ClassBalance(shares_of(element_counts(context.held_out()), vocabulary))
    decode_relax = DecodeRelax(Decoder("geometry", distances=loaded.info.distances))
    decoder = TargetDecoder(decode_relax, vocabulary, loaded.model.scales.pos)
    seed, n_batches = context.config.seed, options.n // BATCH
    kept = []
    for call in last_calls(loaded, n_batches, seed, lambda n: float(n == fewest)):
        with torch.no_grad():
            kept.append((Target.of_estimate(call.repeat(loaded.model)), call.mask))
    biases = []
    for row in np.random.default_rng(seed).permutation(options.repeats * len(kept)):
        target, mask = kept[row % len(kept)]
        decoder(target, mask, balance)
        balance.log_prior = balance.log_prior.clip(-LARGEST, LARGEST)
        biases.append(balance.log_prior)
    bias = np.mean(biases[int(AVERAGED_FROM * len(biases)) :], axis=0)
    info = replace(loaded.info, element_prior=tuple(round(float(x), 3) for x in bias))
    named = dict(zip(vocabulary.atomic_numbers, info.element_prior, strict=True))
    context.report(f"element bias of the decoder: {named}")
    return replace(loaded, info=info)

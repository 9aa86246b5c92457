"""Find the prior of the elements by which repaired molecules get the shares of real ones.

    python scripts/fit_prior.py rested.safetensors --out qm9-few.safetensors

Molecules of one call, where most is to be repaired, are decoded again and again, while a prior
falls for elements of which there are too many (`molgen.train.census`). It is written beside the
weights, and `molgen.chem.finish` adds it to what a decoder believes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from last_calls import BATCH, last_calls
from rich.progress import track

from molgen.checkpoint import load_model, save_model
from molgen.chem.settle import Settler
from molgen.data.reference import load_reference
from molgen.errors import MolgenError
from molgen.nn.probability import probability
from molgen.train.census import Census
from molgen.train.decided import Decider, shares_of
from molgen.train.distil_loss import Target

LARGEST = 3.5
"""Largest absolute value of a prior: atoms that are certain should not change for it."""

SETTLED_AFTER = 0.5
"""Share of the decodings after which the prior is averaged: it never rests."""


def main() -> None:
    """Draw, decode, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="distilled, with n_fits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--walks", type=int, default=2000, help="molecules to decode")
    parser.add_argument("--times", type=int, default=8, help="how often each is decoded")
    parser.add_argument("--reference", default="qm9", help="whose elements are wanted")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.walks < BATCH or options.times < 1:
        raise SystemExit(f"fit_prior.py: give --walks {BATCH} or more, and --times 1 or more")
    loaded = load_model(options.weights, "cpu")
    part = loaded.info.config.distil
    if part is None or min(len(one.sigma) for one in part.ladders) > 1:
        raise SystemExit("fit_prior.py: give distilled weights with a ladder of one call")
    vocabulary = loaded.info.vocabulary
    census = Census(shares_of(load_reference(options.reference).element_counts, vocabulary))
    decider = Decider(Settler("geometry"), vocabulary, loaded.model.scales.pos)
    drawn = []
    for call in last_calls(loaded, options.walks // BATCH, options.seed, lambda n: float(n == 1)):
        with torch.no_grad():
            said = call.again(loaded.model)
        classes = (probability(x) for x in (said.element, said.charge, said.bond))
        drawn.append((Target(said.pos, *classes), call.mask))
    order = np.random.default_rng(options.seed).permutation(options.times * len(drawn))
    found = []
    for place in track(order, "decoding"):
        decider(*drawn[place % len(drawn)], census)
        census.log_prior = census.log_prior.clip(-LARGEST, LARGEST)
        found.append(census.log_prior)
    prior = np.mean(found[int(SETTLED_AFTER * len(found)) :], axis=0)
    info = replace(loaded.info, element_prior=tuple(round(float(x), 3) for x in prior))
    save_model(options.out, loaded.model, info)
    named = dict(zip(vocabulary.atomic_numbers, info.element_prior, strict=True))
    print(f"{options.out}: {named}")


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None

"""Measure the error of a model at every noise level and write it into the weights' header.

    python -m benchmarks error-curve molgen/weights/qm9.safetensors --n 512

The curve is what ``molgen sample --grid entropy`` spaces its calls by. Everything else in the
file stays as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from molgen.checkpoint import LoadedModel, load_model
from molgen.data.loader import Batch, DeviceData, load_split
from molgen.data.store import MoleculeStore
from molgen.flow.fit.trajectories import mmse_curve
from molgen.flow.state import State
from molgen.models.denovo import ELEMENT, POS, SelfConditioned
from molgen.models.info import ErrorCurve
from molgen.weights_file import read_tree, write

BATCH = 32


def batches(data: DeviceData, n: int) -> Iterator[Batch]:
    """Molecules evenly spread over a split, sorted by size."""
    chosen = torch.linspace(0, len(data.n_atoms) - 1, min(n, len(data.n_atoms))).round().long()
    by_size = chosen[data.n_atoms[chosen].argsort(stable=True)]
    for indices in by_size.split(BATCH):
        yield data.batch(indices)


def clean_state(model: LoadedModel, batch: Batch) -> State:
    """Molecules as the model sees them without noise."""
    net = model.model
    one_hot = functional.one_hot(batch.element, net.network.sizes.n_elements).to(batch.pos)
    return {
        "pos": POS.project(batch.pos / net.scales.pos, batch.mask),
        "element": ELEMENT.project(net.clean_elements(one_hot), batch.mask),
    }


def measure(model: LoadedModel, data: DeviceData, n: int, levels: int, seed: int) -> ErrorCurve:
    """Mean squared error per dimension over the range of levels of training.

    Args:
        model: The model, on the CPU.
        data: Molecules that it was not trained on.
        n: How many of them.
        levels: Noise levels, evenly spaced in half-log-SNR.
        seed: Seed of the noise, which is the same at every level.
    """
    net, config = model.model, model.info.config
    lams = np.linspace(config.lam_min, config.lam_max, levels).tolist()
    generator = torch.Generator().manual_seed(seed)
    total, n_real = np.zeros(levels), 0
    for batch in batches(data, n):
        width = 3 + net.network.sizes.n_elements
        raw = torch.randn(*batch.mask.shape, width, generator=generator)
        noise: State = {
            "pos": POS.prior(raw[..., :3], batch.mask),
            "element": ELEMENT.prior(raw[..., 3:], batch.mask),
        }
        begin = partial(SelfConditioned, net, batch.mask)
        curve = mmse_curve(begin, clean_state(model, batch), noise, lams, offsets=net.offsets)
        weight = int(batch.mask.sum()) * width
        total, n_real = total + weight * np.array(curve.mmse), n_real + weight
    return ErrorCurve(tuple(lams), tuple((total / n_real).tolist()))


def add_curve(path: Path, curve: ErrorCurve) -> None:
    """Put the curve into the header; tensors and the rest of the header stay bit for bit."""
    # The recipe is not parsed and dumped: that would write it in this version's schema.
    write(path, load_file(path), {**read_tree(path), "mmse": curve.to_dict()})


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path)
    parser.add_argument("--store", type=Path, default=Path("data/qm9"))
    parser.add_argument("--split", default="val")
    parser.add_argument("--n", type=int, default=512, help="molecules")
    parser.add_argument("--levels", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)


def main(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    model = load_model(options.weights, "cpu")
    store = MoleculeStore.open(options.store)
    data = load_split(store, options.split, model.info.vocabulary)
    curve = measure(model, data, options.n, options.levels, options.seed)
    for lam, error in zip(curve.lam, curve.mmse, strict=True):
        print(f"half log-SNR {lam:6.3f}  error {error:.5f}")
    add_curve(options.weights, curve)

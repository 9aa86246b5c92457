"""CPU milliseconds per molecule of joint decoding, on made-up beliefs or on a model's own.

    python -m benchmarks decode [STORE] [--n 150]
    python -m benchmarks decode --weights molgen/weights/qm9.safetensors --steps 4 8 20

Made-up beliefs come from real molecules: logits that favour the truth, bonds that also follow the
distances of a shaken geometry, and Gaussian noise on every logit. A model's own are those of its
samples; they are harder to decode than made-up ones with as many stable atoms.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from molgen.checkpoint import load_model
from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import decode_argmax, decode_map, is_consistent
from molgen.chem.elements import QM9
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.chem.valence import stable_atoms
from molgen.data.store import MoleculeStore
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw

NOISE_LEVELS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SHAKE = 0.05  # Å
RADII = np.zeros(10)
RADII[[1, 6, 7, 8, 9]] = 0.31, 0.76, 0.71, 0.66, 0.57  # Å; Cordero et al. 2008, Dalton Trans.


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", nargs="?", type=Path, default=Path("data/sample"))
    parser.add_argument("--n", type=int, default=150)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 20])
    parser.add_argument("--seed", type=int, default=0)


def main(arguments: argparse.Namespace) -> None:
    """Print one line per kind of beliefs."""
    print("beliefs    stable atoms  consistent: argmax    map   ms/molecule  ms/repair  slowest")
    if arguments.weights is None:
        store = MoleculeStore.open(arguments.store)
        chosen = np.linspace(0, len(store) - 1, arguments.n).astype(int)
        for noise in NOISE_LEVELS:
            rng = np.random.default_rng(arguments.seed)
            made_up = [beliefs_about(store[int(i)], noise, rng) for i in chosen]
            print(row(f"noise {noise}", made_up), flush=True)
    else:
        for steps in arguments.steps:
            own = sampled(arguments.weights, steps, arguments.n, arguments.seed)
            print(row(f"{steps} steps", own), flush=True)


def sampled(weights: Path, steps: int, n: int, seed: int) -> list[Beliefs]:
    loaded = load_model(weights)
    plan = default_plan(loaded.info, steps)
    return [one.beliefs for one in draw(loaded, range(n), plan=plan, seed=seed)]


def row(label: str, beliefs: list[Beliefs]) -> str:
    raw = [decode_argmax(one) for one in beliefs]
    for one in beliefs:  # the tables of each size are made once per process
        decode_map(one)
    seconds, decoded = zip(*(timed(one) for one in beliefs), strict=True)
    ms = 1e3 * np.array(seconds)
    right = np.array([is_consistent(molecule) for molecule in raw])
    stable = np.concatenate([stable_atoms(molecule) for molecule in raw]).mean()
    valid = np.mean([is_consistent(molecule) for molecule in decoded])
    repair = ms[~right].mean() if not right.all() else 0.0
    return (
        f"{label:10} {stable:12.3f} {right.mean():19.3f} {valid:6.3f} "
        f"{ms.mean():13.2f} {repair:10.2f} {ms.max():8.1f}"
    )


def timed(beliefs: Beliefs) -> tuple[float, Molecule]:
    start = time.process_time()
    molecule = decode_map(beliefs)
    return time.process_time() - start, molecule


def beliefs_about(truth: Molecule, noise: float, rng: np.random.Generator) -> Beliefs:
    z = truth.atomic_numbers.astype(int)
    elements = np.array(QM9.atomic_numbers)
    involves_h = np.equal.outer(z == 1, elements == 1)
    element = 5.0 * np.equal.outer(z, elements) - 5.0 * ~involves_h
    charge = 5.0 * np.equal.outer(truth.formal_charge, np.array(QM9.charges))
    bond = bond_logits(truth, rng)
    shake = rng.normal(scale=noise, size=bond.shape)
    return Beliefs(
        QM9,
        truth.pos,
        log_softmax(element + rng.normal(scale=noise, size=element.shape)),
        log_softmax(charge + rng.normal(scale=noise / 2, size=charge.shape)),
        log_softmax(bond + (shake + shake.transpose(1, 0, 2)) / np.sqrt(2)),
    )


def bond_logits(truth: Molecule, rng: np.random.Generator) -> NDArray[np.float64]:
    z, orders = truth.atomic_numbers.astype(int), bond_matrix(truth)
    pos = truth.pos + rng.normal(scale=SHAKE, size=truth.pos.shape)
    distance = np.linalg.norm(pos[:, None] - pos, axis=-1)
    excess = distance - np.add.outer(RADII[z], RADII[z])
    logits = np.zeros((*orders.shape, 5))
    logits[..., 1:] = (12.0 * (0.3 - excess) + np.where(orders > 0, 4.0, -4.0))[..., None]
    logits[..., 2:] -= 10.0 * np.logical_or.outer(z == 1, z == 1)[..., None]
    return np.asarray(
        logits + 4.0 * (np.equal.outer(orders, np.arange(5)) & (orders > 0)[..., None]),
        dtype=np.float64,
    )


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(normal, dtype=np.float32)

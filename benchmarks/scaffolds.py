"""Completion of parts of real molecules: the larger side of a bond of test molecules is given."""

from __future__ import annotations

import argparse
import csv
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from molgen.api import load
from molgen.chem.molecule import Molecule
from molgen.data.reference import load_reference
from molgen.data.store import MoleculeStore
from molgen.flow.plan_options import PlanOptions
from molgen.metrics.evaluate import evaluate
from molgen.models.info import ModelInfo
from molgen.sampling.plan import make_plan
from molgen.sampling.request import Request
from molgen.sampling.run import Run, Tally
from molgen.sampling.steering.steering import Steering
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.scaffold import scaffold_task

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel

ROOT = Path(__file__).resolve().parents[1]
SIZES = range(5, 13)
"""Atoms of a part that is given."""

RATES = ("perceived_valid", "connected_valid", "bond_graph_stable_raw", "edm_stable", "unique")
COLUMNS = ("model", "n", "n_parts", "steps", "seed", "guidance", *RATES, "moved", "seconds")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", nargs="+", default=["qm9"], help="names or files")
    parser.add_argument("--n", type=int, default=192)
    parser.add_argument("--parts", type=int, default=48, help="different parts that are given")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--reference", type=Path, default=ROOT / "data" / "qm9")
    parser.add_argument("--out", type=Path, default=Path("results/scaffolds.csv"))


def main(options: argparse.Namespace) -> None:
    """One row for each model, number of calls, strength of guidance and seed."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    store = MoleculeStore.open(options.reference)
    with options.out.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for name in options.model:
            model = load(name, "cpu").model
            known = known_parts(model.info, store, options.atoms)
            settings = product(options.steps, options.guidance, options.seeds)
            for steps, guidance, seed in settings:
                row = measure(model, known, options.n, steps, guidance, seed)
                table.writerow(row)
                file.flush()
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def known_parts(info: ModelInfo, store: MoleculeStore, n: int) -> Conditioning:
    """The larger sides of a bond of n test molecules, evenly spread over the split."""
    split = store.split("test")
    found: list[GivenAtoms] = []
    for index in split[np.linspace(0, len(split) - 1, 8 * n).round().astype(int)]:
        molecule = store[int(index)]
        rows = larger_side(molecule)
        if rows is not None:
            found.append(_part(info, molecule, rows))
        if len(found) == n:
            break
    return Conditioning(scaffold_task(info), tuple(found), label="parts of test molecules")


def larger_side(molecule: Molecule) -> NDArray[np.int64] | None:
    """Atoms on the larger side of the first single bond between heavy atoms that cuts well."""
    graph = nx.Graph((int(i), int(j)) for i, j, _ in molecule.bonds)
    for i, j, order in molecule.bonds.tolist():
        if order != 1 or 1 in molecule.atomic_numbers[[i, j]].tolist():
            continue
        cut = nx.restricted_view(graph, [], [(i, j)])
        sides = sorted(nx.connected_components(cut), key=len)
        if len(sides) == 2 and len(sides[1]) in SIZES:
            return np.array(sorted(sides[1]))
    return None


def _part(info: ModelInfo, molecule: Molecule, rows: NDArray[np.int64]) -> GivenAtoms:
    elements, charges = info.vocabulary.atomic_numbers, info.vocabulary.charges
    return GivenAtoms(
        element=np.array([elements.index(z) for z in molecule.atomic_numbers[rows].tolist()]),
        pos=molecule.pos[rows].astype(np.float64),
        charge=np.array([charges.index(q) for q in molecule.formal_charge[rows].tolist()]),
    )


def measure(
    model: LoadedModel, known: Conditioning, n: int, steps: int, guidance: float, seed: int
) -> dict[str, str]:
    """Complete the parts and check what came out; molecule i completes part i, round and round."""
    request = Request(n=n, steps=steps, seed=seed, decode="map")
    plan = make_plan(model.info, steps, PlanOptions())
    steering = None if guidance == 1 else Steering(scale=guidance)
    run = Run(model, request, plan, known, steering)
    began = time.perf_counter()
    samples = list(run.stream(Tally()))
    seconds = time.perf_counter() - began
    made = [one.molecule for one in samples]
    found = evaluate(
        made, load_reference("qm9"), raw=[one.raw for one in samples], relax=False, n_workers=1
    )
    moved = max(
        float(np.abs(one.pos[: known.of(i).n_atoms] - known.of(i).pos).max())
        for i, one in enumerate(made)
    )
    return {
        "model": model.info.name,
        "n": str(n),
        "n_parts": str(len(known.atoms)),
        "steps": str(steps),
        "seed": str(seed),
        "guidance": str(guidance),
        **{name: f"{getattr(found, name).value:.4f}" for name in RATES},
        "moved": f"{moved:.1e}",
        "seconds": f"{seconds:.1f}",
    }

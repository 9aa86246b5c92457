"""Variations of test molecules by strength."""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from scipy.spatial.transform import Rotation

from molgen.api import Generator, load
from molgen.chem.constitution import constitution
from molgen.chem.given import similarity
from molgen.chem.mol import build_mol, molecule_of
from molgen.chem.molecule import Molecule
from molgen.data.store import MoleculeStore
from molgen.metrics.agreement import check_graph, graphs_agree
from molgen.metrics.perception import perceive_all

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "what",
    "place",
    "steps",
    "n",
    "valid",
    "sound",
    "same",
    "new",
    "similarity",
    "similarity_changed",
    "rmsd",
    "same_formula",
    "distinct_new",
    "seconds",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="qm9", help="name or .safetensors file")
    parser.add_argument("--n", type=int, default=64, help="molecules that are varied")
    parser.add_argument("--each", type=int, default=2, help="variations of each")
    parser.add_argument(
        "--strengths", type=float, nargs="+", default=[0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[8])
    parser.add_argument("--reference", type=Path, default=ROOT / "data" / "qm9")
    parser.add_argument("--out", type=Path, default=Path("results/edits.csv"))


def main(options: argparse.Namespace) -> None:
    """One row for each strength."""
    rdBase.BlockLogs()
    generator = load(options.model, "cpu")
    store = MoleculeStore.open(options.reference)
    split = store.split("test")
    chosen = split[np.linspace(0, len(split) - 1, options.n).round().astype(int)]
    sources = [store[int(index)] for index in chosen]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for steps, strength in product(options.steps, options.strengths):
            row = varied(generator, sources, options.each, strength, steps)
            _tell(table, {"what": "vary", "place": f"{strength:g}", "steps": str(steps), **row})
            file.flush()


@dataclass(frozen=True)
class Outcome:
    """What became of one given molecule.

    Attributes:
        source: The given molecule.
        made: The new one.
    """

    source: Molecule
    made: Molecule


def varied(
    generator: Generator, sources: Sequence[Molecule], each: int, strength: float, steps: int
) -> dict[str, str]:
    """Scores of the variations of all molecules, and of each one's distinct new ones."""
    began = time.perf_counter()
    given = [build_mol(source).mol for source in sources]
    made = generator.vary(
        given, n=each, strength=strength, steps=steps, decode="map", progress=False
    )
    seconds = time.perf_counter() - began
    outcomes = [Outcome(sources[place // each], molecule_of(mol)) for place, mol in enumerate(made)]
    news = [set(_constitutions(outcomes[i : i + each])) for i in range(0, len(outcomes), each)]
    olds = _constitutions([Outcome(source, source) for source in sources])
    distinct = [len(new - {None, old}) for new, old in zip(news, olds, strict=True)]
    return _scores(outcomes) | {
        "distinct_new": f"{np.mean(distinct):.2f}",
        "seconds": f"{seconds:.1f}",
    }


def _scores(outcomes: Sequence[Outcome]) -> dict[str, str]:
    made = [one.made for one in outcomes]
    sound = [
        graphs_agree(check_graph(molecule), perceived)
        for molecule, perceived in zip(made, perceive_all(made, 1), strict=True)
    ]
    new, old = (
        _constitutions(outcomes),
        _constitutions([Outcome(o.source, o.source) for o in outcomes]),
    )
    same = [a == b for a, b in zip(new, old, strict=True)]
    alike = [
        similarity(_mol(one.source), _mol(one.made)) if code else None
        for one, code in zip(outcomes, new, strict=True)
    ]
    changed = [value for value, is_same in zip(alike, same, strict=True) if not is_same]
    return {
        "n": str(len(outcomes)),
        "valid": f"{np.mean([code is not None for code in new]):.3f}",
        "sound": f"{np.mean(sound):.3f}",
        "same": f"{np.mean(same):.3f}",
        "new": f"{np.mean([a and not b for a, b in zip(sound, same, strict=True)]):.3f}",
        "similarity": _mean(alike),
        "similarity_changed": _mean(changed),
        "rmsd": f"{np.median([_heavy_rmsd(one) for one in outcomes]):.3f}",
        "same_formula": f"{np.mean([o.source.formula == o.made.formula for o in outcomes]):.3f}",
    }


def _mol(molecule: Molecule) -> Chem.Mol:
    return build_mol(molecule).mol


def _constitutions(outcomes: Sequence[Outcome]) -> list[str | None]:
    """Of what was made; None for what is not valid."""
    built = (build_mol(one.made) for one in outcomes)
    return [constitution(one.mol) if one.is_valid else None for one in built]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else ""


def _heavy_rmsd(one: Outcome) -> float:
    """Å over heavy atoms of the given molecule by their numbers, after superposition (Kabsch)."""
    heavy = one.source.atomic_numbers > 1
    p, q = (molecule.pos[heavy].astype(np.float64) for molecule in (one.source, one.made))
    p, q = p - p.mean(axis=0), q - q.mean(axis=0)
    turn, _ = Rotation.align_vectors(p, q)
    return float(np.sqrt(np.square(p - turn.apply(q)).sum(axis=1).mean()))


def _tell(table: csv.DictWriter[str], row: dict[str, str]) -> None:
    table.writerow(row)
    print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)

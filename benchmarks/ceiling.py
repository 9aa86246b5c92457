"""Make molgen/reference/NAME_metrics.json: every metric on the real molecules of a test split.

    python -m benchmarks ceiling qm9 [--source SOURCE] [--store STORE]
    python -m benchmarks ceiling drugs [--store STORE]

STORE is the folder that `molgen data prepare NAME` wrote (data/NAME). Of QM9 the whole test split
is scored, too, by coordinates alone, from SOURCE, any form of QM9 that `molgen data prepare qm9`
reads: the store holds the part of it whose bonds are settled.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import rdkit

from molgen.chem.molecule import Molecule, from_geometry
from molgen.config.dataset import load_dataset
from molgen.config.evaluation import DEFAULT_CHECKS
from molgen.data.records import Source
from molgen.data.reference import load_reference
from molgen.data.sources.qm9 import find_source
from molgen.data.splits import SPLITS, split_codes
from molgen.data.store import MoleculeStore
from molgen.metrics.ceiling import quantiles
from molgen.metrics.evaluate import evaluate, score
from molgen.metrics.inspection import inspect

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"qm9": "QM9", "drugs": "drugs"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", choices=TITLES)
    parser.add_argument("--source", type=Path, help="any form of QM9; the installed one without it")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--n", type=int, help="molecules of the store, the first; all without it")


def main(options: argparse.Namespace) -> None:
    """Score, write."""
    name = options.dataset
    store = MoleculeStore.open(options.store or ROOT / "data" / name)
    training = load_reference(name)
    kept = [store[int(index)] for index in store.split("test")[: options.n]]
    found = inspect(kept, checks=DEFAULT_CHECKS)
    scores: dict[str, Any] = {
        "name": TITLES[name],
        "command": f"python -m benchmarks ceiling {name}",
        "rdkit": rdkit.__version__,
        "kept": present(score(found, training)),
        "distributions": {
            column: quantiles([one[column] for one in found.values if one[column] is not None])
            for column, value in found.values[0].items()
            if not isinstance(value, str)
        },
    }
    if name == "qm9":
        source = find_source(options.source, ROOT / "data" / "raw")
        whole = evaluate(geometries(source), training, has_bonds=False, relax=False)
        scores |= {"source": source.name, "whole": present(whole)}
    else:
        scores |= {"whole": scores.pop("kept")}
    out = ROOT / "molgen" / "reference" / f"{name}_metrics.json"
    out.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: n = {scores['whole']['n']}")


def geometries(source: Source) -> list[Molecule]:
    """The test split of a source, without bonds."""
    test = SPLITS.index("test")
    records = list(source.read())
    codes = split_codes(
        load_dataset("qm9"), np.array([record.source_index for record in records]), []
    )
    return [
        from_geometry(record.atomic_numbers, record.pos)
        for record, code in zip(records, codes, strict=True)
        if code == test
    ]


def present(evaluation: Any) -> dict[str, Any]:
    """The scores that apply."""
    return {name: score for name, score in evaluation.to_dict().items() if score is not None}

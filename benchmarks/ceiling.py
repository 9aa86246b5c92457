"""Make molgen/reference/qm9_metrics.json: every metric on real molecules, QM9's whole test split.

    python -m benchmarks ceiling [--source SOURCE] [--store STORE]

SOURCE is any form of QM9 that `molgen data prepare qm9` reads, STORE the folder that it wrote
(data/qm9). The whole test split is scored by coordinates alone; the part of it whose bonds are
settled, which is what STORE holds, by everything.
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
from molgen.data.records import Source
from molgen.data.reference import load_reference
from molgen.data.sources.qm9 import find_source
from molgen.data.splits import SPLITS, split_codes
from molgen.data.store import MoleculeStore
from molgen.metrics.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "molgen" / "reference" / "qm9_metrics.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", type=Path, help="any form of QM9; the installed one without it")
    parser.add_argument("--store", type=Path, default=ROOT / "data" / "qm9")


def main(options: argparse.Namespace) -> None:
    """Score, write."""
    source = find_source(options.source, ROOT / "data" / "raw")
    store = MoleculeStore.open(options.store)
    training = load_reference("qm9")
    kept = [store[int(index)] for index in store.split("test")]
    scores = {
        "name": "QM9",
        "command": "python -m benchmarks ceiling",
        "source": source.name,
        "rdkit": rdkit.__version__,
        "whole": present(evaluate(geometries(source), training, has_bonds=False, relax=False)),
        "kept": present(evaluate(kept, training)),
    }
    OUT.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(f"{OUT}: n = {scores['whole']['n']} and {scores['kept']['n']}")


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

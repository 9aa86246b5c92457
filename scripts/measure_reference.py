"""Make molgen/reference/qm9_metrics.json: every metric on real molecules, QM9's whole test split.

Run: python scripts/measure_reference.py [SOURCE] [STORE]

SOURCE is any form of QM9 that `molgen data prepare qm9` reads, STORE the folder that it wrote
(data/qm9). The whole test split is scored by coordinates alone; the part of it whose bonds are
settled, which is what STORE holds, by everything.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rdkit

from molgen.chem.molecule import Molecule, from_geometry
from molgen.data.qm9 import find_source
from molgen.data.records import Source
from molgen.data.reference import load_reference
from molgen.data.splits import SPLITS, qm9_split
from molgen.data.store import MoleculeStore
from molgen.eval.metrics import evaluate

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "molgen" / "reference" / "qm9_metrics.json"


def main() -> None:
    source = find_source(sys.argv[1] if len(sys.argv) > 1 else None, ROOT / "data" / "raw")
    store = MoleculeStore.open(sys.argv[2] if len(sys.argv) > 2 else ROOT / "data" / "qm9")
    training = load_reference("qm9")
    kept = [store[int(index)] for index in store.split("test")]
    scores = {
        "name": "QM9",
        "command": "python scripts/measure_reference.py SOURCE data/qm9",
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
    codes = qm9_split(np.array([record.source_index for record in records]))
    return [
        from_geometry(record.atomic_numbers, record.pos)
        for record, code in zip(records, codes, strict=True)
        if code == test
    ]


def present(evaluation: Any) -> dict[str, Any]:
    """The scores that apply."""
    return {name: score for name, score in evaluation.to_dict().items() if score is not None}


if __name__ == "__main__":
    main()

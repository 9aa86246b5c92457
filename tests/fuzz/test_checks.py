"""Files of checks, Parquet tables, bounds, and molecules to be exported or protonated."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from molgen.chem.parquet import write_parquet
from molgen.chem.read import read_records

from .conftest import Obeys
from .mutations import dice_of, examples, mutated_bytes, mutated_tree

pytestmark = pytest.mark.fuzz

CASES = Path(__file__).parent.parent / "cases"

CHECKS = {
    "checks": ["properties", "alerts", "brenk", "pains", "shape", "stereo"],
    "require": {"qed": {"min": 0.1, "max": 1.0}, "alerts": {"max": 0}},
    "relax": False,
    "charge": 0,
    "perception": "rdkit",
    "add_hydrogens": True,
}


def test_files_of_checks(obeys: Obeys, tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    for seed in examples(25):
        path.write_text(yaml.safe_dump(mutated_tree(CHECKS, dice_of(seed))))
        obeys(["evaluate", str(CASES / "glycine.sdf"), "--checks", str(path)])
    for seed in examples(15):
        path.write_bytes(mutated_bytes(yaml.safe_dump(CHECKS).encode(), dice_of(seed)))
        obeys(["evaluate", str(CASES / "glycine.sdf"), "--checks", str(path)])


def test_bounds_of_sampling(obeys: Obeys, tiny_weights: Path, tmp_path: Path) -> None:
    words = ["sample", "--model", str(tiny_weights), "--n", "1", "--steps", "1", "--workers", "1"]
    text = "qed >= 0.5, alerts == 0, weight<300"
    for seed in examples(20):
        bounds = mutated_bytes(text.encode(), dice_of(seed)).decode("latin-1").replace("\0", "")
        obeys([*words, "--filter", bounds, "--out", str(tmp_path / "a.sdf"), "--force"])


def test_tables_of_molecules(obeys: Obeys, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    records = list(read_records(CASES / "drugs20.sdf"))[:3]
    write_parquet(path, ((one.mol, one.title, one.tags) for one in records))
    content = path.read_bytes()
    for seed in examples(40):
        path.write_bytes(mutated_bytes(content, dice_of(seed)))
        obeys(["evaluate", str(path), "--json", str(tmp_path / "a.json"), "--force"])


@pytest.mark.parametrize("to", ["mol", "pdb", "xyz", "parquet", "sdf"])
def test_molecules_to_be_exported(obeys: Obeys, tmp_path: Path, to: str) -> None:
    path = tmp_path / "in.sdf"
    content = b"".join(
        part + b"$$$$\n" for part in (CASES / "drugs20.sdf").read_bytes().split(b"$$$$\n")[:3]
    )
    for seed in examples(10):
        path.write_bytes(mutated_bytes(content, dice_of(seed)))
        out = tmp_path / ("out" if to in {"mol", "pdb", "xyz"} else f"out.{to}")
        obeys(["export", str(path), "--to", to, "--ph", "7", "--out", str(out), "--force"])

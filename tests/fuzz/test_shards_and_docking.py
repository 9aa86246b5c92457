"""Generated manifests, parts, ligands and receptors: ``pytest -m fuzz``."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from molgen.bulk.folder import MANIFEST, Manifest, open_folder

from .conftest import Obeys
from .mutations import HOSTILE, dice_of, examples, mutated_bytes, mutated_tree

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "docking"
pytestmark = pytest.mark.fuzz

TEXTS = [str(value)[:3000] for value in HOSTILE if value not in (10**4, 10**6)]


def test_folders_of_shards(obeys: Obeys, tmp_path: Path) -> None:
    dice = dice_of("shards")
    folder = open_folder(tmp_path / "run", Manifest("sample", "qm9-few", "f", 7, 3, ".sdf.gz"))
    parts = {}
    for shard in folder.manifest.shards:
        text = b"".join(b"mol\n$$$$\n" for _ in range(shard.n_rows))
        parts[folder.part(shard)] = gzip.compress(text, mtime=0)
    place = tmp_path / "run" / MANIFEST
    manifest = place.read_bytes()
    for number in examples(60):
        for path, content in parts.items():
            path.write_bytes(content)
        place.write_bytes(manifest)
        kind = number % 3
        if kind == 0:
            place.write_bytes(mutated_bytes(manifest, dice))
        elif kind == 1:
            place.write_text(json.dumps(mutated_tree(json.loads(manifest), dice)))
        else:
            path = dice.choice(sorted(parts))
            path.write_bytes(mutated_bytes(parts[path], dice))
        obeys(["status", str(tmp_path / "run")], f"status {number}")
        merge = ["merge", str(tmp_path / "run"), "--to", str(tmp_path / "m.sdf"), "--force"]
        obeys([*merge, "--quiet"], f"merge {number}")


def test_options_of_shards(obeys: Obeys, tmp_path: Path) -> None:
    dice = dice_of("options of shards")
    options = ("--shards", "--shard", "--engine", "--address", "--workers", "--first", "--n")
    for number in examples(40):
        given = [part for _ in range(2) for part in (dice.choice(options), dice.choice(TEXTS))]
        out = ["--out", str(tmp_path / f"run{number}"), "--model", "none"]
        obeys(["sample", "--steps", "1", *out, *given], f"shards {number}")


@pytest.mark.skipif(find_spec("meeko") is None, reason="Meeko is missing")
def test_receptors_and_ligands(obeys: Obeys, tmp_path: Path) -> None:
    """An empty file of ligands, so that nothing is docked."""
    dice = dice_of("docking")
    ligand = (FIXTURES / "tyrosine.sdf").read_bytes()
    atom = b"ATOM      1  N   ALA A   1      30.677  -3.370  50.516  1.00  0.00     0.000 N \n"
    (tmp_path / "none.sdf").write_bytes(b"")
    for number in examples(30):
        receptor, box = tmp_path / "r.pdbqt", tmp_path / "box.sdf"
        receptor.write_bytes(mutated_bytes(atom, dice) if number % 2 else atom)
        box.write_bytes(ligand if number % 2 else mutated_bytes(ligand, dice))
        common = ["--receptor", str(receptor), "--out", str(tmp_path / "o.sdf"), "--force"]
        command = ["dock", str(tmp_path / "none.sdf"), *common, "--quiet"]
        if number % 3:
            obeys([*command, "--autobox", str(box)], f"dock {number}")
        else:
            given = ["--center", dice.choice(TEXTS), "--size", dice.choice(TEXTS)]
            obeys([*command, *given], f"dock {number}")


def test_pages_of_odd_files(obeys: Obeys, tmp_path: Path, sample_sdf: Path) -> None:
    dice = dice_of("pages")
    records = b"$$$$\n".join(sample_sdf.read_bytes().split(b"$$$$\n")[:3]) + b"$$$$\n"
    for number in examples(20):
        odd = tmp_path / "odd.sdf"
        odd.write_bytes(mutated_bytes(records, dice))
        written = ["--report", str(tmp_path / "p.html"), "--out", str(tmp_path / "o.sdf")]
        obeys(["evaluate", str(odd), *written, "--force"], f"page {number}")

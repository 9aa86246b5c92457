from __future__ import annotations

import math
import subprocess
import sys

from molgen.chem.molecule import Molecule
from molgen.metrics.evaluate import evaluate
from molgen.metrics.quick import quick_score

from .builders import NO_ATOMS, TWO_WATERS, noisy


def test_quick_scores_are_the_full_scores(real: list[Molecule]) -> None:
    molecules = [*noisy(real[:20], 0.03), NO_ATOMS, TWO_WATERS]
    scores = quick_score(molecules)
    full = evaluate(molecules, relax=False, n_workers=1).to_dict()
    assert scores == {name: full[name]["value"] for name in scores}


def test_an_empty_set_has_no_scores() -> None:
    assert all(math.isnan(score) for score in quick_score([]).values())


def test_training_machines_need_no_chemistry_library() -> None:
    code = (
        "import sys, molgen.metrics.quick; "
        "sys.exit(bool({'rdkit', 'torch', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

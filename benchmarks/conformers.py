"""Coverage of reference ensembles by a conformer model, beside ETKDGv3 and ETKDGv3 + MMFF94s.

python -m benchmarks conformers runs/conformers/model.safetensors ENSEMBLES --n 50
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rdkit import Chem

from molgen.metrics.conformer_benchmark import Maker, benchmark, etkdg, etkdg_mmff, references
from molgen.sampling.conformers import ConformerRequest, sample_conformers
from molgen.tasks.conformer_weights import LoadedConformerModel, load_conformer_model

COLUMNS = ("amr_r", "cov_r@0.75", "amr_p", "cov_p@0.75", "stereo", "failed", "ms")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path)
    parser.add_argument("ensembles", type=Path, help="folder of searched ensembles")
    parser.add_argument("--n", type=int, default=50, help="molecules")
    parser.add_argument("--most", type=int, default=10, help="references per molecule")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8], help="calls")
    parser.add_argument("--relaxed", type=int, default=4, help="calls before relaxing")
    parser.add_argument("--all", action="store_true", help="trained molecules, too")


def main(options: argparse.Namespace) -> None:
    loaded = load_conformer_model(options.weights, "cpu")
    chosen = list(
        references(options.ensembles, options.n, most=options.most, held_out=not options.all)
    )
    makers: dict[str, Maker] = {
        f"{steps} calls": maker_of(loaded, steps) for steps in options.steps
    }
    makers[f"{options.relaxed} calls + MMFF94s"] = maker_of(loaded, options.relaxed, relax=True)
    makers |= {"ETKDGv3": etkdg, "ETKDGv3 + MMFF94s": etkdg_mmff}
    print(f"{len(chosen)} molecules; the model saw {loaded.info.training.get('molecules')}\n")
    print("| 2K conformers |", " | ".join(COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name, maker in makers.items():
        row = benchmark({name: maker}, chosen)[name]
        print(f"| {name} |", " | ".join(f"{row[one]:.3f}" for one in COLUMNS), "|", flush=True)


def maker_of(loaded: LoadedConformerModel, steps: int, *, relax: bool = False) -> Maker:
    def make(smiles: str, n: int) -> Chem.Mol | None:
        request = ConformerRequest(n, steps, minimise="mmff94s" if relax else "none")
        return sample_conformers(loaded.model, [smiles], request)[0].mol

    return make

"""Measure a model at several numbers of network calls and write its card.

    python -m benchmarks card molgen/weights/qm9.safetensors --n 1000 --seed 0

Every score is over all molecules asked for and stands beside the same score of real QM9. The
card (Markdown) and the numbers (JSON) are written beside the weights.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from benchmarks.presets.levels import levels_of
from molgen.api import Generator
from molgen.checkpoint import load_model
from molgen.chem.elements import SYMBOLS
from molgen.data.reference import load_reference
from molgen.metrics.ceiling import load_ceiling
from molgen.metrics.evaluate import evaluate
from molgen.metrics.table import ROWS
from molgen.models.info import ModelInfo
from molgen.sampling.request import Request
from molgen.sampling.run import Tally

DECODER = Request(n=1).decode
"""How molecules are decoded: by default."""


def measure(generator: Generator, steps: int, n: int, seed: int) -> dict[str, Any]:
    """All scores of one step count, with the seconds that sampling and decoding took."""
    run = generator.run(Request(n=n, steps=steps, seed=seed))
    began = time.perf_counter()
    samples = list(run.stream(Tally()))
    seconds = time.perf_counter() - began
    evaluation = evaluate(
        [one.molecule for one in samples],
        load_reference("qm9"),
        raw=[one.raw for one in samples],
    )
    scale = generator.model.info.config.model.pos_scale
    return {
        "steps": steps,
        "seed": seed,
        "solver": run.plan.solver.name,
        "sigma": [round(scale * math.exp(-lam), 4) for lam in run.plan.grid.lam[:-1]],
        "levels": levels_of(run.plan, scale),
        "logit_bias": run.plan.logit_bias.to_dict(),
        "seconds": seconds,
        "molecules_per_second": n / seconds,
        **evaluation.to_dict(),
    }


def _value(score: Any) -> str:
    if isinstance(score, dict):
        score = score.get("value", score.get("median"))
    return "–" if score is None else f"{score:.3f}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: one row per score, one column per step count, real QM9 at the right."""
    ceiling = load_ceiling("qm9")
    steps = [str(result["steps"]) for result in results]
    lines = [
        "| score | " + " | ".join(steps) + " | QM9 all | QM9 kept | convention |",
        "|---|" + "---|" * (len(steps) + 3),
    ]
    for row in ROWS:
        cells = [_value(result[row.name]) for result in results]
        real = [_value(ceiling.whole.get(row.name)), _value(ceiling.kept.get(row.name))]
        cells = [row.label.strip() if row.label[0] != " " else "… " + row.label.strip(), *cells]
        lines.append("| " + " | ".join([*cells, *real, row.convention]) + " |")
    return "\n".join(lines)


def data_of(info: ModelInfo) -> str:
    """What the weights have seen."""
    n_train = sum(info.n_atoms)
    data = f"QM9 (CC0), train split of `molgen data prepare qm9`, {n_train:,} molecules"
    if info.config.distil is None:
        return data
    refines = bool(info.config.model.refine_layers)
    taught = f"`{info.config.distil.teacher}` makes of noise; that saw {data}"
    if not refines:
        return f"none but what {taught}"
    return f"what {taught}, some of which the refinement saw (`refine_layers`)"


def levels_note(info: ModelInfo) -> str:
    """Where the noise levels of the calls come from, and what else a call has of its own."""
    origin = f" with the weights `{info.training['from']}`" if "from" in info.training else ""
    note = f"searched on other seeds{origin}; `python -m benchmarks presets` goes on"
    if info.config.distil is not None:
        note = "those that were trained; other numbers of calls stretch the nearest"
    if any(preset.input_scale for preset in info.presets.values()):
        note += (
            "; × is by what the positions are scaled that a call sees (`molgen.flow.input_scale`)"
        )
    if any(preset.logit_bias for preset in info.presets.values()):
        note += (
            ". Estimates have a bias (`molgen.flow.logit_bias`), so that molecules have as many "
            "atoms of each element, and rings, as real ones"
        )
    return note


def knowing_of(info: ModelInfo) -> str:
    """What of chemistry the network knows that others leave to a decoder."""
    model, known = info.config.model, ""
    if model.valence_bp_rounds:
        known = ", whose last call knows the valences (`valence_bp_rounds`)"
    if model.refine_layers:
        known += "; a network that sees its graph refines it, after decoding too"
        known += " (`refine_layers`)"
    if info.element_prior:
        known += "; repairs lean towards the elements of real molecules"
    return known


def _grid_row(result: dict[str, Any], *, leans: bool) -> str:
    """Solver, levels and leans of a number of calls."""
    levels, more = result["levels"], ", …" if len(result["levels"]) > 20 else ""
    cells = [str(result["steps"]), result["solver"], ", ".join(levels[:20]) + more]
    if leans:
        bond, element = (result["logit_bias"].get(name, [0.0]) for name in ("bond", "element"))
        cells.append(f"{bond[0]:g}; {', '.join(f'{one:g}' for one in element)}")
    return f"| {' | '.join(cells)} |"


def card(generator: Generator, results: list[dict[str, Any]], command: str) -> str:
    """The model card."""
    info = generator.model.info
    training = info.training
    n_million = sum(p.numel() for p in generator.model.model.parameters()) / 1e6
    n = results[0]["n"]
    start = f", from the weights `{training['from']}`" if "from" in training else ""
    n_seen, hours = training["molecules"], training["seconds"] / 3600
    leans = any(preset.logit_bias for preset in info.presets.values())
    grids = "\n".join(_grid_row(result, leans=leans) for result in results)
    names = ", ".join(SYMBOLS[number] for number in info.vocabulary.atomic_numbers)
    heading = (
        f"| added to no bond; to {names} |\n|---|---|---|---|" if leans else "|\n|---|---|---|"
    )
    return f"""# Model card: {info.name}

De novo generation of small molecules (H, C, N, O, F; up to {info.max_atoms} atoms with hydrogens)
in 3D: coordinates, elements, bonds and formal charges, jointly.

| | |
|---|---|
| Network | E(3)-equivariant transformer over the complete graph, {n_million:.2f} M parameters |
| Training data | {data_of(info)} |
| Training | {training["steps"]:,} steps, {n_seen:,} molecules seen, {hours:.2f} h{start} |
| Hardware | {training["hardware"]} |
| Software | PyTorch {training["torch"]} |
| Recipe | `configs/{info.name}.yaml`; the file's header holds it whole |
| Licence | MIT, as the package |

## Scores

Over all {n:,} molecules of seed {results[0]["seed"]}, default sampler, decoding `{DECODER}`;
columns are network calls per molecule. Lines that say "before decoding" are the plain
argmax of the network's output{knowing_of(info)}. The command was `{command}`. "QM9 all" is the
whole test split judged by its coordinates alone, "QM9 kept" the test molecules whose bonds could
be settled.

{table(results)}

## Sampling grids

Noise levels of the calls (Å), {levels_note(info)}.

| calls | solver | sigma / Å {heading}
{grids}

## Limits

Only molecules like QM9's: at most nine heavy atoms of C, N, O, F, neutral in total. Decoding
(`{DECODER}`) repairs valences, so a valid graph does not prove a good geometry: read "connected
validity" together with "validity from coordinates" and "agreement of the graphs". Not trained on
drug-like molecules; not a force field; no property is predicted.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 20, 50])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)


def main(options: argparse.Namespace) -> None:
    """Measure and write."""
    generator = Generator(load_model(options.weights))
    results = []
    for steps in options.steps:
        results.append(measure(generator, steps, options.n, options.seed))
        print(steps, {row.name: _value(results[-1][row.name]) for row in ROWS}, flush=True)
    given = " ".join(map(str, options.steps))
    command = (
        f"python -m benchmarks card {options.weights} --n {options.n} --seed {options.seed}"
        f" --steps {given}"
    )
    text = card(generator, results, command)
    options.weights.with_suffix(".md").write_text(text, encoding="utf-8")
    scores = json.dumps({"command": command, "results": results}, indent=1)
    options.weights.with_suffix(".json").write_text(scores, encoding="utf-8")

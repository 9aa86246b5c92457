"""Find the noise levels at which a model should be called, for each number of calls.

    python scripts/tune_ladders.py runs/qm9/model.safetensors --steps 1 2 3 4 6 8 12 20

The first call stands at pure noise. The others fall from a second level to a last one along a
curve in log sigma with one bend; solver, second level, last level and bend are drawn at random,
and the best candidates are compared again on more molecules. All candidates of a step count see
the same noise. Seeds are far from those that reports use. The result goes into the weights'
header.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from molgen.checkpoint import LoadedModel, load_model, save_model
from molgen.chem.decode import decode_argmax, decode_map
from molgen.chem.valence import is_stable
from molgen.data.reference import load_reference
from molgen.eval.distribution import element_counts, total_variation
from molgen.eval.perception import perceive_all
from molgen.models.info import Ladder
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw

FIRST = 20.0
"""Å: the molecule is gone here (signal-to-noise ratio 0.07)."""


ELEMENT_PRICE = 5.0
"""What a ladder pays in score for shifting the composition away from the data's."""


def candidate(rng: np.random.Generator, steps: int) -> Ladder:
    """A random ladder."""
    solver = str(rng.choice(["ddim", "dpm++2m", "unipc2"] if steps > 2 else ["ddim"]))
    second = math.exp(rng.uniform(math.log(1.2), math.log(6.0)))
    lowest, highest = (0.15, 2.0) if steps <= 3 else (0.04, 0.4)
    last = math.exp(rng.uniform(math.log(lowest), math.log(highest)))
    bend = math.exp(rng.uniform(-0.3, 0.9))
    return ladder(solver, second, last, bend, steps)


def ladder(solver: str, second: float, last: float, bend: float, steps: int) -> Ladder:
    """Levels from pure noise, then from ``second`` to ``last``; above 1, ``bend`` lingers high."""
    if steps == 1:
        return Ladder(solver, (FIRST,))
    if steps == 2:
        return Ladder(solver, (FIRST, last))
    places = (np.arange(steps - 1) / (steps - 2)) ** bend
    levels = math.log(second) + places * (math.log(last) - math.log(second))
    return Ladder(solver, (FIRST, *(float(level) for level in np.exp(levels))))


def score(model: LoadedModel, steps: int, chosen: Ladder, n: int, seed: int) -> dict[str, float]:
    """Validity from coordinates, raw stability of the graph, and what they cost in elements."""
    info = replace(model.info, ladders={steps: chosen})
    tuned = LoadedModel(model.model, info, model.path)
    plan = default_plan(info, steps)
    beliefs = [one.beliefs for one in draw(tuned, range(n), plan=plan, seed=seed)]
    decoded = [decode_map(one) for one in beliefs]
    perceived = sum(one.is_valid for one in perceive_all(decoded, 2)) / n
    stable = sum(is_stable(decode_argmax(one)) for one in beliefs) / n
    reference = load_reference("qm9")
    elements = total_variation(element_counts(decoded), reference.element_counts)
    return {
        "perceived_valid": perceived,
        "bond_graph_stable_raw": stable,
        "element_tv": elements,
        "total": perceived + 0.5 * stable - ELEMENT_PRICE * elements,
    }


def tune(model: LoadedModel, steps: int, options: argparse.Namespace) -> Ladder:
    """The best of ``options.candidates`` ladders."""
    rng = np.random.default_rng(options.seed + steps)
    n_random = 1 if steps == 1 else options.candidates
    ladders = [candidate(rng, steps) for _ in range(n_random)]
    if steps > 1 and steps in model.info.ladders:
        ladders.append(model.info.ladders[steps])
    ranked = sorted(
        ladders, key=lambda one: -score(model, steps, one, options.n, options.seed)["total"]
    )
    final = [(score(model, steps, one, 4 * options.n, options.seed + 1), one) for one in ranked[:4]]
    for scores, one in final:
        levels = " ".join(f"{sigma:.3g}" for sigma in one.sigma)
        row = " ".join(f"{name} {value:.3f}" for name, value in scores.items())
        print(f"{steps:3d} {one.solver:8s} {row}  [{levels}]", flush=True)
    return max(final, key=lambda pair: pair[0]["total"])[1]


def main() -> None:
    """Tune every step count and write the result into the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3, 4, 6, 8, 12, 20])
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--n", type=int, default=192, help="molecules per candidate")
    parser.add_argument("--seed", type=int, default=10_000)
    options = parser.parse_args()
    model = load_model(options.weights)
    ladders = dict(model.info.ladders)
    for steps in options.steps:
        ladders[steps] = tune(model, steps, options)
        info = replace(model.info, ladders=ladders)
        save_model(options.weights, model.model, info)
    sys.stdout.write(f"{options.weights}: {len(ladders)} ladders\n")


if __name__ == "__main__":
    main()

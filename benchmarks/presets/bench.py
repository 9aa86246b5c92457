"""Measure presets on a model, remembering every measurement; for `benchmarks.presets.search`."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.presets.record import Measured
from molgen.checkpoint import LoadedModel, load_model
from molgen.chem.decode import decode_argmax, decode_map
from molgen.chem.valence import is_stable
from molgen.data.reference import load_reference
from molgen.metrics.distribution import element_counts, total_variation
from molgen.metrics.perception import perceive_all
from molgen.models.info import SamplingPreset
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw

FIRST = 20.0
"""Å: the molecule is gone here (signal-to-noise ratio 0.07)."""

ELEMENT_PRICE = 5.0
"""What a preset pays in score for shifting the composition away from the data's."""

SPEED_SEED = 9_999
"""Seed of the molecules by which the speed is measured."""


@dataclass(frozen=True)
class Sheet:
    """What some molecules were found to be.

    Attributes:
        valid: Whether the coordinates alone make a molecule, one per molecule.
        stable: Whether the raw bond graph is stable.
        elements: Atoms by atomic number.
    """

    valid: list[bool]
    stable: list[bool]
    elements: dict[int, int]

    @property
    def each(self) -> np.ndarray:
        """The part of the score that belongs to single molecules."""
        return np.array(self.valid, float) + 0.5 * np.array(self.stable, float)

    @property
    def scores(self) -> dict[str, float]:
        """All that a report shows."""
        tv = total_variation(self.elements, load_reference("qm9").element_counts)
        return {
            "perceived_valid": float(np.mean(self.valid)),
            "bond_graph_stable_raw": float(np.mean(self.stable)),
            "element_tv": tv,
            "total": float(self.each.mean()) - ELEMENT_PRICE * tv,
            "n": len(self.valid),
        }


_LOADED: dict[Path, LoadedModel] = {}
"""The model of a worker process."""


def examine(
    path: Path, steps: int, preset: SamplingPreset, seed: int, indices: range
) -> tuple[list[bool], list[bool], dict[int, int]]:
    """Draw molecules and look at them."""
    if path not in _LOADED:
        torch.set_num_threads(1)
        _LOADED[path] = load_model(path, "cpu")
    model = _LOADED[path]
    plan = default_plan(replace(model.info, presets={steps: preset}), steps)
    beliefs = [one.beliefs for one in draw(model, indices, plan=plan, seed=seed)]
    decoded = [decode_map(one) for one in beliefs]
    valid = [one.is_valid for one in perceive_all(decoded, 1)]
    stable = [bool(is_stable(decode_argmax(one))) for one in beliefs]
    return valid, stable, element_counts(decoded)


@dataclass(frozen=True)
class Bench:
    """Where candidates are measured.

    Attributes:
        path: The weights.
        model: The same, loaded.
        measured: Earlier measurements.
        n_workers: Processes that share the molecules of one measurement.
        pool: These processes; None for one.
    """

    path: Path
    model: LoadedModel
    measured: Measured
    n_workers: int
    pool: ProcessPoolExecutor | None

    def sheet(self, steps: int, preset: SamplingPreset, n: int, seed: int) -> Sheet:
        """Measure a preset on the first ``n`` molecules of a seed."""

        def make() -> dict[str, Any]:
            parts = [range(first, n, self.n_workers) for first in range(self.n_workers)]
            # The same molecules in the same order for every number of workers.
            valid, stable = np.zeros(n, bool), np.zeros(n, bool)
            elements: Counter[int] = Counter()
            run = map if self.pool is None else self.pool.map
            jobs = ((self.path, steps, preset, seed, part) for part in parts)
            for part, (good, sound, atoms) in zip(parts, run(_examine, jobs), strict=True):
                valid[part.start :: self.n_workers], stable[part.start :: self.n_workers] = (
                    good,
                    sound,
                )
                elements.update(atoms)
            counts = {str(z): count for z, count in sorted(elements.items())}
            return {"valid": _packed(valid), "stable": _packed(stable), "elements": counts}

        row = self.measured.get(["sheet", steps, bare(preset), n, seed], make)
        elements = {int(z): count for z, count in row["elements"].items()}
        return Sheet(_unpacked(row["valid"]), _unpacked(row["stable"]), elements)

    def loss(self, steps: int, preset: SamplingPreset, n: int, seed: int) -> float:
        """The score, negative: lower is better."""
        return -self.sheet(steps, preset, n, seed).scores["total"]

    def seconds(self) -> tuple[float, float]:
        """Seconds of one network call and of everything else, per molecule."""

        def make() -> list[float]:
            times = []
            for steps in (1, 1, 9):  # the first one loads the model
                sigma = tuple(np.geomspace(FIRST, 0.2, steps))
                begin = time.perf_counter()
                examine(self.path, steps, SamplingPreset("ddim", sigma), SPEED_SEED, range(64))
                times.append((time.perf_counter() - begin) / 64)
            call = max(times[2] - times[1], 1e-4) / 8
            return [call, max(times[1] - call, 1e-4)]

        call, rest = self.measured.get(["seconds"], make)
        return call / self.n_workers, rest / self.n_workers


def _examine(
    job: tuple[Path, int, SamplingPreset, int, range],
) -> tuple[list[bool], list[bool], dict]:
    return examine(*job)


def _packed(flags: np.ndarray) -> str:
    return "".join("01"[int(flag)] for flag in flags)


def _unpacked(text: str) -> list[bool]:
    return [flag == "1" for flag in text]


def bare(preset: SamplingPreset) -> dict[str, Any]:
    """What a preset is, without what was measured of it."""
    return replace(preset, scores=None).to_dict()

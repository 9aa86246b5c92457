"""What is measured: weights at one number of network calls with one seed, or real molecules."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from benchmarks.presets.levels import levels_of
from benchmarks.results.scores import SCORE_COLUMNS, Made, Real, real_of, text

from molgen.api import Generator, load
from molgen.checkpoint import find_model, read_info
from molgen.chem.molecule import Molecule
from molgen.data.store import MoleculeStore
from molgen.errors import DataError
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.request import Request
from molgen.sampling.run import Run, Tally

DATA = "QM9 test"
"""How the row of real molecules is called."""

KEY = ("digest", "steps", "seed", "n", "relax", "departures")
"""Columns that say which measurement a row is."""

COLUMNS = (
    *("weights", "digest", "megabytes", "steps", "seed", "n", "relax", "departures", "calls"),
    *("solver", "sigma", *SCORE_COLUMNS),
    *("seconds_sampling", "molecules_per_second", "warm_up", "hardware", "workers", "command"),
)

WARM_UP_SEED = 2**32
"""Of molecules that are drawn before the clock starts and thrown away."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Setting:
    """What all cells share.

    Attributes:
        relax: Molecules of each cell that are relaxed in the force field.
        store: Folder of the real molecules.
        device: Where the network runs.
        warm_up: Molecules drawn before the clock starts.
        workers: Processes for the checks.
        plan: Departures from the default plan of the weights.
        heads_alone: Whether `molgen.nn.valence_bp` is left out.
    """

    relax: int
    store: Path
    device: str
    warm_up: int
    workers: int
    plan: PlanOptions
    heads_alone: bool = False

    @property
    def departures(self) -> dict[str, str]:
        """What was asked for other than the default."""
        classes = "heads" if self.heads_alone else None
        given = {"solver": self.plan.solver, "grid": self.plan.grid, "classes": classes}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class ModelCell:
    """One set of weights at one number of calls with one seed.

    Attributes:
        weights: How the weights are called in the tables.
        model: Name of a shipped model, or a file.
        steps: Network calls asked for.
        seed: Seed of the run.
        n: Molecules.
    """

    weights: str
    model: str
    steps: int
    seed: int
    n: int

    @property
    def title(self) -> str:
        """One line for logs."""
        return f"{self.weights}, {self.steps} calls, seed {self.seed}"

    def key(self, setting: Setting) -> tuple[str, ...]:
        """The values of `KEY`."""
        departures = " ".join(f"{name}={value}" for name, value in setting.departures.items())
        numbers = (self.steps, self.seed, self.n, setting.relax)
        return (digest_of(find_model(self.model)), *map(str, numbers), departures)

    def make(self, setting: Setting, advance: Advance) -> Made:
        """Draw the molecules, as ``molgen sample`` does."""
        generator = _loaded(self.model, setting.device, heads_alone=setting.heads_alone)
        run = self._run(generator, setting, self.seed, self.n)
        if setting.warm_up:
            _draw(self._run(generator, setting, WARM_UP_SEED, setting.warm_up), lambda _: None)
        began = time.perf_counter()
        tally = _draw(run, advance)
        seconds = time.perf_counter() - began
        scale = generator.model.info.config.model.pos_scale
        facts = dict(zip(KEY, self.key(setting), strict=True)) | {
            "weights": self.weights,
            "megabytes": f"{find_model(self.model).stat().st_size / 1e6:.1f}",
            "calls": str(run.network_calls),
            "solver": run.plan.solver.name,
            "sigma": " ".join(levels_of(run.plan, scale)),
            "seconds_sampling": text(seconds),
            "molecules_per_second": text(self.n / seconds),
            "warm_up": str(setting.warm_up),
            "hardware": _hardware(generator),
            "workers": str(setting.workers),
            "command": self._command(setting),
        }
        return Made(tally.molecules, tally.raw, facts, _real(setting.store, "test"), setting.relax)

    def _run(self, generator: Generator, setting: Setting, seed: int, n: int) -> Run:
        return generator.run(Request(n=n, steps=self.steps, seed=seed, plan=setting.plan))

    def _command(self, setting: Setting) -> str:
        model = str(self.model) if self.weights == self.model else f"{self.weights}={self.model}"
        words = ["measure", "--weights", model, "--steps", self.steps, "--n", self.n]
        words += ["--seeds", self.seed, "--relax", setting.relax]
        for name, value in setting.departures.items():
            words += ["--heads-alone"] if name == "classes" else [f"--{name}", value]
        return _spoken(words)


@dataclass(frozen=True)
class DataCell:
    """Real molecules, judged by the same code; their shapes are compared with the validation split.

    Attributes:
        store: Folder of the molecules.
    """

    store: Path

    @property
    def title(self) -> str:
        """One line for logs."""
        return DATA

    def key(self, setting: Setting) -> tuple[str, ...]:
        """The values of `KEY`."""
        n = len(MoleculeStore.open(self.store).split("test"))
        digest = digest_of(self.store / "manifest.json")
        return (digest, "", "", str(n), str(setting.relax), "")

    def make(self, setting: Setting, advance: Advance) -> Made:
        """Read the molecules, in random order: a store has the small ones first."""
        molecules = _split(self.store, "test")
        order = np.random.default_rng(0).permutation(len(molecules))
        advance(len(molecules))
        facts = dict(zip(KEY, self.key(setting), strict=True)) | {
            "weights": DATA,
            "workers": str(setting.workers),
            "command": _spoken(["measure", "--relax", setting.relax]),
        }
        shuffled = [molecules[place] for place in order]
        return Made(shuffled, None, facts, _real(self.store, "val"), setting.relax)

    @property
    def n(self) -> int:
        """Molecules."""
        return len(MoleculeStore.open(self.store).split("test"))


Cell = ModelCell | DataCell


def cells(
    weights: Sequence[str], steps: Sequence[int], seeds: Sequence[int], n: int, store: Path
) -> Iterator[Cell]:
    """Real molecules, then every cell; a run that is cut short has whole seeds.

    Args:
        weights: Names or files, with another name for the tables as ``NAME=FILE``.
        steps: Numbers of network calls.
        seeds: Seeds of each.
        n: Molecules of each.
        store: Folder of the real molecules.

    Raises:
        DataError: The store lacks the split to compare with.
        MolgenError: There are no such weights.
    """
    if not len(MoleculeStore.open(store).split("test")):
        raise DataError(f"{store} has no test split", "Run: molgen data prepare qm9")
    yield DataCell(store)
    named = [_named(one) for one in weights]
    for seed in seeds:
        for label, model in named:
            for count in steps:
                yield ModelCell(label, model, count, seed, n)


def _named(text_: str) -> tuple[str, str]:
    label, equals, model = text_.partition("=")
    if equals:
        return label, model
    return read_info(find_model(text_)).name, text_


@cache
def digest_of(path: Path) -> str:
    """Twelve hex digits that change when the file does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@cache
def _loaded(model: str, device: str, *, heads_alone: bool) -> Generator:
    generator = load(model, device)
    if heads_alone:
        generator.model.model.valence_bp = None
    return generator


@cache
def _real(store: Path, split: str) -> Real:
    return real_of(_split(store, split))


def _split(store: Path, name: str) -> list[Molecule]:
    molecules = MoleculeStore.open(store)
    return [molecules[int(index)] for index in molecules.split(name)]


def _draw(run: Run, advance: Advance) -> Tally:
    tally = Tally(keep=True)
    with np.errstate(all="ignore"):  # departures may leave the range of floats
        for _ in run.stream(tally):
            advance(tally.n_drawn)
    return tally


def _hardware(generator: Generator) -> str:
    device = next(generator.model.model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    n_threads = torch.get_num_threads()
    return f"CPU, {n_threads} thread{'s' * (n_threads > 1)}"


def _spoken(words: Sequence[object]) -> str:
    return "python -m benchmarks results " + shlex.join(map(str, words))


def key_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """The measurement that a row is."""
    return tuple(row[name] for name in KEY)

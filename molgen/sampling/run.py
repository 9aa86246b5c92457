"""One sampling run: molecules stream from the model to whoever asked for them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from molgen.chem.decode import Decoder
from molgen.chem.demands import Demands
from molgen.chem.finish import Finisher, Labels
from molgen.chem.formula import parse_formula
from molgen.chem.molecule import Molecule
from molgen.chem.relaxation import LABEL, Relaxation
from molgen.chem.render import Format, TagValue
from molgen.errors import ChemistryError, UsageError
from molgen.flow.plan import Plan
from molgen.models.graph_fit import GraphFit
from molgen.option import deciding
from molgen.sampling.finishing import Sample, samples, usual_workers
from molgen.sampling.request import Request
from molgen.sampling.sampler import device_of, draw_batches
from molgen.sampling.steering.steering import Steering
from molgen.tasks.denovo import DENOVO
from molgen.tasks.given import Conditioning
from molgen.tasks.task import Task

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel
    from molgen.sampling.completion import Completion

__all__ = ["PATIENCE", "Run", "Sample", "TagValue", "Tally", "as_asked"]

PATIENCE: Final = 10_000
"""Rejections in a row after which ``valid_only`` gives up."""


@dataclass
class Tally:
    """What a run has drawn so far, the rejected molecules included.

    Attributes:
        keep: Whether to keep the molecules, for the metrics.
        n_drawn: Molecules drawn.
        faults: Molecules with a fault, by reason without its place in the molecule.
        n_relaxed: Molecules that were relaxed; None where none was asked to be.
        molecules: The molecules as decoded, relaxed where that was asked for.
        raw: The same before decoding.
    """

    keep: bool = False
    n_drawn: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    n_relaxed: int | None = None
    molecules: list[Molecule] = field(default_factory=list)
    raw: list[Molecule] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Count one molecule."""
        self.n_drawn += 1
        if sample.reason:
            self.faults[sample.reason.partition(":")[0]] += 1
        if sample.relaxed is not None:
            self.n_relaxed = (self.n_relaxed or 0) + (sample.relaxed == LABEL)
        if self.keep:
            self.molecules.append(sample.molecule)
            self.raw.append(sample.raw)


@dataclass(frozen=True)
class Run:
    """A request, bound to a model and the plan that the two make.

    Attributes:
        model: The model, loaded.
        request: What was asked for.
        plan: Solver and grid.
        given: What the request gives of its molecules; None for nothing.
        steering: Guidance that the request asks for; None for none.
        workers: Processes that decode, build and check molecules; 1 is this one, None suits the
            device and the number of molecules. Changes speed, never the molecules.
        form: Format in which samples carry their record; None for no records.
        completion: Makes whole molecules of a model's heavy atoms; None where hydrogens are atoms.
    """

    model: LoadedModel
    request: Request
    plan: Plan
    given: Conditioning | None = None
    steering: Steering | None = None
    workers: int | None = None
    form: Format | None = None
    completion: Completion | None = None

    def __post_init__(self) -> None:
        """Reject a number of processes that there cannot be."""
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}", "Use 1 or more")

    @property
    def task(self) -> Task:
        """What the network is asked for."""
        return DENOVO if self.given is None else self.given.task

    @cached_property
    def network_calls(self) -> int:
        """Network calls per molecule, those of guidance included."""
        own = (self.steering or Steering()).network_calls(self.plan)
        return own if self.completion is None else own + self.completion.calls

    @property
    def n_records(self) -> int:
        """Number of records to make."""
        return self.request.n

    @property
    def first(self) -> int:
        """Number of the first molecule."""
        return self.request.first

    @property
    def leaves_gaps(self) -> bool:
        """Whether the numbers of the records may skip molecules."""
        return self.request.valid_only

    @property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that make the same molecules index by index."""
        content = as_asked(deciding(self.request))
        if self.given is not None:
            content["known"] = self.given.digest
        if self.steering is not None:
            content["steering"] = self.steering.identity
        content["plan"] = self.plan.to_dict()
        content["model"] = self.model.digest
        if self.completion is not None:
            content["conformers"] = self.completion.conformers.digest
        text = json.dumps(content, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @cached_property
    def relaxing(self) -> Relaxation | None:
        """How samples are relaxed, what is given in place kept there; None for not at all."""
        if not self.request.relax:
            return None
        if not self.task.finish.restore or self.given is None:
            return Relaxation()
        return Relaxation(tuple(one.n_atoms for one in self.given.atoms))

    @cached_property
    def fit(self) -> GraphFit | None:
        """How what is decoded anew gets its positions; None where some are given, or not at all."""
        if not self.task.finish.refine:
            return None
        return GraphFit.of(self.model.model, self.model.info.vocabulary)

    @cached_property
    def total_charge(self) -> int:
        """Of every molecule: that of the formula, else 0."""
        formula = self.request.formula
        return 0 if formula is None else parse_formula(formula).charge

    @property
    def finisher(self) -> Finisher:
        """What is made of samples."""
        # What is given is not to be repaired towards what is common.
        prior = self.model.info.element_prior if self.task.finish.logit_bias else ()
        decoder = Decoder(self.request.decode, self.total_charge, self.model.info.distances)
        return Finisher(
            decoder,
            self._labels,
            self.relaxing,
            self.fit,
            prior,
            self._demands,
            self.completion,
        )

    def title(self, index: int) -> str:
        """Unique name of one record, such as ``qm9-s0-k4-17``: model, seed, steps, index."""
        return f"{self._stem}-{index}"

    def tags(self, sample: Sample) -> dict[str, TagValue]:
        """What is stored beside one molecule."""
        return self._labels.of(sample.index, sample.reason, sample.name, sample.relaxed)

    @property
    def _demands(self) -> Demands:
        demands = demands_of(self.request.require)
        if self.steering is not None and self.steering.obstacle is not None:
            demands = replace(demands, off=self.steering.obstacle.heavy)
        part = self.given.atoms[0] if self.given is not None and self.given.task.partial else None
        if part is None or part.pos is None:
            return demands
        numbers = np.array(self.model.info.vocabulary.atomic_numbers)[part.element]
        demands = replace(demands, atomic_numbers=numbers, pos=part.pos)
        return demands if part.bonds is None else replace(demands, bonds=part.bonds)

    @property
    def _stem(self) -> str:
        return f"{self.model.name}-s{self.request.seed}-k{self.request.steps}"

    @cached_property
    def _labels(self) -> Labels:
        facts = {"seed": self.request.seed, "steps": self.request.steps}
        if self.network_calls != self.request.steps:
            facts["network_calls"] = self.network_calls
        named = tuple(facts.items())
        return Labels(self.model.name, named, self.fingerprint, self._stem, self.form)

    def stream(
        self, tally: Tally, *, first: int | None = None, n_done: int = 0
    ) -> Generator[Sample, None, None]:
        """Draw molecules until the request is fulfilled.

        Args:
            tally: Counts everything that is drawn.
            first: Number of the first molecule to draw; None for that of the request.
            n_done: Records that an earlier run has written already.

        Yields:
            ``request.n - n_done`` molecules in the order of their numbers.

        Raises:
            ChemistryError: If ``valid_only`` meets no valid molecule for a very long time.
        """
        n_left, n_in_vain = self.request.n - n_done, 0
        if n_left <= 0:
            return
        begin = self.first if first is None else first
        with closing(self._drawn(begin)) as drawn:
            for sample in drawn:
                tally.add(sample)
                if self.request.valid_only and sample.reason:
                    n_in_vain += 1
                    if n_in_vain == PATIENCE:
                        raise ChemistryError(
                            f"none of the last {PATIENCE} molecules is valid",
                            "Use more --steps, another --model, or leave out --valid-only",
                        )
                    continue
                n_in_vain = 0
                yield sample
                n_left -= 1
                if n_left == 0:
                    return

    def _drawn(self, first: int) -> Generator[Sample, None, None]:
        request, on_gpu = self.request, device_of(self.model.model).type == "cuda"
        batches = draw_batches(
            self.model,
            count(first) if request.valid_only else range(first, request.first + request.n),
            seed=request.seed,
            plan=self.plan,
            n_atoms=request.n_atoms,
            batch_size=request.batch_size,
            given=self.given,
            steering=self.steering,
            total_charge=self.total_charge,
        )
        workers = self.workers or usual_workers(request.first + request.n - first, on_gpu=on_gpu)
        finisher = self.finisher
        return samples(batches, self.model.info.vocabulary, finisher, workers)


def demands_of(require: str | None) -> Demands:
    """Bounds of a request, as what every molecule must obey."""
    if require is None:
        return Demands()
    from molgen.config.evaluation import parse_bounds  # noqa: PLC0415 - where it is asked for

    return Demands(bounds=parse_bounds(require))


def as_asked(content: dict[str, Any]) -> dict[str, Any]:
    """Options of a request, for a fingerprint.

    Relaxation is named as it is done, since another way would make other molecules, and left out
    where it is off, so that runs from before there was this option can be continued; so are bounds.
    """
    later = {"relax": LABEL if content["relax"] else None, "require": content["require"]}
    kept = {name: value for name, value in content.items() if name not in later}
    return {**kept, **{name: value for name, value in later.items() if value is not None}}

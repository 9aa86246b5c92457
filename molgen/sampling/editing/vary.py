"""A run of new molecules near given ones; `molgen.tasks.refine` says how they are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch
from torch import Tensor

from molgen.chem.decode import Decoder
from molgen.chem.finish import Finisher, Labels
from molgen.chem.given import similarity
from molgen.chem.relaxation import Relaxation
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.solvers import DPMpp2M
from molgen.models.denovo import SelfConditioned
from molgen.models.info import ModelInfo
from molgen.option import deciding
from molgen.rng import generator
from molgen.sampling.batching import Rows
from molgen.sampling.consistency import ValenceTable
from molgen.sampling.editing.originals import Original
from molgen.sampling.editing.requests import VaryRequest
from molgen.sampling.finishing import samples
from molgen.sampling.prediction import Prediction, fetch, read_out
from molgen.sampling.run import Sample, TagValue, Tally, as_asked, demands_of
from molgen.sampling.sampler import default_batch
from molgen.tasks.refine import clean_batch, coupled_noise, noised
from molgen.tasks.task import Modality

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel
    from molgen.sampling.completion import Completion

WEAKEST: Final = 0.25
"""Noise (Å) of strength 0: every molecule comes back."""

STRONGEST: Final = 20.0
"""Noise (Å) of strength 1: where sampling starts."""

LAST_CALL: Final = 0.17
"""Noise (Å) of the last network call, about that of the measured plans of sampling."""


def noise_level(strength: float) -> float:
    """Standard deviation of the noise in Å: uniform in its logarithm.

    Example:
        >>> [round(noise_level(strength), 2) for strength in (0.25, 0.5, 1.0)]
        [0.75, 2.24, 20.0]
    """
    return WEAKEST * (STRONGEST / WEAKEST) ** strength


def vary_plan(info: ModelInfo, strength: float, steps: int) -> Plan:
    """All calls at or below the noise of a strength, at equal ratios.

    Args:
        info: The model.
        strength: Above 0, up to 1.
        steps: Network calls.
    """
    first = noise_level(strength)
    last = min(LAST_CALL, first / 2)
    sigma = np.geomspace(first, last, steps) / info.config.model.pos_scale
    return Plan(DPMpp2M(), TimeGrid.from_sigma(sigma.tolist()), "vary")


@dataclass(frozen=True)
class Variations:
    """A request for variations, bound to a model; molecule i is of record ``i // n``.

    Attributes:
        model: The model, loaded.
        request: What was asked for.
        originals: The given molecules.
    """

    model: LoadedModel
    request: VaryRequest
    originals: tuple[Original, ...]

    @property
    def n_records(self) -> int:
        """Number of molecules to make."""
        return len(self.originals) * self.request.n

    @property
    def first(self) -> int:
        """Number of the first molecule."""
        return 0

    @property
    def leaves_gaps(self) -> bool:
        """Molecules are never left out."""
        return False

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that make the same molecules index by index."""
        content = {**as_asked(deciding(self.request)), "model": self.model.digest}
        state = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=4)
        for original in self.originals:
            state.update(original.title.encode() + b"\0")
            state.update(original.molecule.atomic_numbers.tobytes())
            state.update(original.molecule.pos.tobytes())
            state.update(original.molecule.bonds.tobytes())
            state.update(original.molecule.formal_charge.tobytes())
        return state.hexdigest()

    @cached_property
    def _completion(self) -> Completion | None:
        """Makes whole molecules of heavy atoms; None where hydrogens are atoms."""
        if not self.model.info.vocabulary.hydrogens:
            return None
        from molgen.sampling.completion import completion_of  # noqa: PLC0415 - loads conformers

        return completion_of(self.model, self.request.steps)

    def original(self, index: int) -> Original:
        """What molecule ``index`` is a variation of."""
        return self.originals[index // self.request.n]

    def title(self, index: int) -> str:
        """Unique name of one record, such as ``qm9-vary-s0-k8-17``."""
        return f"{self.model.name}-vary-s{self.request.seed}-k{self.request.steps}-{index}"

    def tags(self, sample: Sample) -> dict[str, TagValue]:
        """What is stored beside one molecule."""
        source, request = self.original(sample.index), self.request
        facts: dict[str, TagValue] = {
            "source": source.title,
            "strength": request.strength,
            "seed": request.seed,
            "steps": request.steps,
        }
        known = Labels(self.model.name, tuple(facts.items()), self.fingerprint)
        tags = known.of(sample.index, sample.reason, sample.name, sample.relaxed)
        if source.mol is None or sample.reason:
            return tags
        near = similarity(source.mol, sample.mol)
        return tags if near is None else {**tags, "molgen_similarity": round(near, 3)}

    def stream(
        self,
        tally: Tally,
        *,
        first: int | None = None,
        n_done: int = 0,  # noqa: ARG002
    ) -> Iterator[Sample]:
        """Draw molecules in the order of their numbers.

        Args:
            tally: Counts everything that is drawn.
            first: Number of the first molecule to draw.
            n_done: Records that are there; as none is left out, ``first`` says it, too.

        Yields:
            Molecules ``first`` to ``n_records - 1``.
        """
        decoder = Decoder(self.request.decode, distances=self.model.info.distances)
        relaxing = Relaxation() if self.request.relax else None
        finisher = Finisher(
            decoder,
            relaxing=relaxing,
            demands=demands_of(self.request.require),
            complete=self._completion,
        )
        vocabulary = self.model.info.vocabulary
        for sample in samples(self._batches(first or 0), vocabulary, finisher, n_workers=1):
            tally.add(sample)
            yield sample

    def _batches(self, first: int) -> Iterator[Prediction]:
        """Predictions of the molecules from ``first`` on."""
        done = self._completion
        calls = self.request.steps - (0 if done is None else done.calls)
        plan = vary_plan(self.model.info, self.request.strength, calls)
        size = self.request.batch_size or default_batch(self.model.model)
        for start in range(first, self.n_records, size):
            indices = range(start, min(start + size, self.n_records))
            yield self._batch(tuple(index - first for index in indices), tuple(indices), plan)

    @torch.inference_mode()
    def _batch(self, places: tuple[int, ...], indices: tuple[int, ...], plan: Plan) -> Prediction:
        """The prediction of some molecules of the run, placed where the given ones are."""
        model, info = self.model.model, self.model.info
        batch = clean_batch(model, info, [self.original(index).molecule for index in indices])
        width = 3 + info.vocabulary.n_elements
        raw = [
            self._generator(index).standard_normal((n, width))
            for index, n in zip(indices, batch.sizes, strict=True)
        ]
        start = noised(model, batch.state, coupled_noise(batch, raw), plan.grid.lam[0])
        memory = SelfConditioned(model, batch.mask)
        final = plan.solver.solve(memory, start, plan.grid, offsets=model.offsets)
        pos = cast("dict[str, Tensor]", final)[Modality.POS] * model.scales.pos
        table = ValenceTable.of(info.vocabulary, pos.device)
        rows = Rows(places, indices, np.array(batch.sizes))
        made = fetch(read_out(table, memory.estimate, pos, batch.mask), rows)()
        np.add(made.pos, batch.origins[:, None], out=made.pos, casting="same_kind")
        return made

    def _generator(self, index: int) -> np.random.Generator:
        """Randomness of one molecule; how many others its record gets does not matter."""
        record, variation = divmod(index, self.request.n)
        return generator(self.request.seed, variation, f"vary {record}")

"""Molecules between two given ones, by way of the noise that leads to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor

from molgen.chem.beliefs import Beliefs
from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.interpolation import Route, interpolate
from molgen.flow.state import State
from molgen.models.denovo import ELEMENT, POS, DeNovo, SelfConditioned
from molgen.models.info import ModelInfo
from molgen.nn.network import Estimate
from molgen.sampling.editing.matching import matched_molecule
from molgen.sampling.editing.originals import Original
from molgen.sampling.editing.requests import PathRequest
from molgen.sampling.editing.states import clean_batch, placed_beliefs
from molgen.sampling.run import Sample, TagValue, Tally, as_asked, decoded, labels

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel

HIGHEST: Final = 20.0
"""Noise (Å) up to which molecules are encoded: where sampling starts."""

LOWEST: Final = 0.1
"""Noise (Å) that a given molecule is taken to have."""

REFINEMENTS: Final = 2
"""Further network calls per step of the encoding."""

ROUTES: Final = {"pos": Route(process=POS), "element": Route(process=ELEMENT)}


@dataclass(frozen=True)
class Memoryless:
    """A denoiser that forgets its last estimate: an inversion must meet equal answers twice.

    Attributes:
        model: The model.
        mask: Real atoms, ``[B, N]``.
    """

    model: DeNovo
    mask: Tensor

    def __call__(self, x: State, lam: Tensor) -> State:
        """Expected clean state at half log-SNR ``lam`` (scalar)."""
        return SelfConditioned(self.model, self.mask)(x, lam)

    def look(self, x: State, lam: float) -> tuple[Tensor, Estimate]:
        """Expected clean positions at ``lam``, and the estimate as a whole."""
        memory = SelfConditioned(self.model, self.mask)
        x0 = memory(x, torch.tensor(lam, dtype=torch.float64))
        return cast("dict[str, Tensor]", x0)["pos"], memory.estimate


@dataclass(frozen=True)
class MoleculePath:
    """A request for the way between two molecules, bound to a model.

    Attributes:
        model: The model, loaded.
        request: What was asked for.
        ends: The two molecules, of the same number of atoms.

    Raises:
        UsageError: Their numbers of atoms differ.
    """

    model: LoadedModel
    request: PathRequest
    ends: tuple[Original, Original]

    def __post_init__(self) -> None:
        """Reject ends whose atoms cannot be matched."""
        first, second = self.ends
        n, m = first.molecule.n_atoms, second.molecule.n_atoms
        if n != m:
            raise UsageError(
                f"{first.title} has {n} atoms and {second.title} has {m}: every atom needs one to "
                "become",
                "Give two molecules with as many atoms, hydrogens included",
            )

    @property
    def n_records(self) -> int:
        """Number of molecules to make."""
        return self.request.frames

    @property
    def leaves_gaps(self) -> bool:
        """Molecules are never left out."""
        return False

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that make the same molecules index by index."""
        content = {**as_asked(asdict(self.request)), "model": self.model.name}
        state = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=4)
        for end in self.ends:
            state.update(end.molecule.atomic_numbers.tobytes() + end.molecule.pos.tobytes())
        return state.hexdigest()

    def weight(self, index: int) -> float:
        """How far a frame is on the way, from 0 to 1."""
        return index / (self.n_records - 1)

    def title(self, index: int) -> str:
        """Unique name of one record, such as ``qm9-path-k8-4``."""
        return f"{self.model.name}-path-k{self.request.steps}-{index}"

    def tags(self, sample: Sample) -> dict[str, TagValue]:
        """What is stored beside one molecule."""
        facts: dict[str, TagValue] = {
            "source": " to ".join(end.title for end in self.ends),
            "weight": round(self.weight(sample.index), 4),
            "steps": self.request.steps,
        }
        return labels(self.model, facts, self.fingerprint, sample)

    def stream(self, tally: Tally, *, first: int = 0, n_done: int = 0) -> Iterator[Sample]:  # noqa: ARG002
        """Frames in order; the first and the last are the reconstructed ends.

        Args:
            tally: Counts everything that is drawn.
            first: Number of the first frame to yield.
            n_done: Records that are there; as none is left out, ``first`` says it, too.

        Yields:
            Frames ``first`` to ``n_records - 1``.
        """
        indices = range(first, self.n_records)
        for index, beliefs in zip(indices, self._frames(indices), strict=True):
            sample = decoded(index, beliefs, self.request.decode, relax=self.request.relax)
            tally.add(sample)
            yield sample

    @torch.inference_mode()
    def _frames(self, indices: range) -> list[Beliefs]:
        """Beliefs of some frames, where the first end is."""
        model, info = self.model.model, self.model.info
        first = self.ends[0].molecule
        one = clean_batch(model, info, [first])
        other = clean_batch(model, info, [matched_molecule(first, self.ends[1].molecule)])
        denoise, grid = Memoryless(model, one.mask), path_grid(info, self.request.steps)
        states = interpolate(
            denoise,
            (one.state, other.state),
            [self.weight(index) for index in indices],
            grid,
            routes=ROUTES,
            mask=one.mask,
            refinements=REFINEMENTS,
            offsets=model.offsets,
        )
        looks = [denoise.look(state, grid.lam[-1]) for state in states]
        return [placed_beliefs(model, info, *look, one)[0] for look in looks]


def path_grid(info: ModelInfo, steps: int) -> TimeGrid:
    """Levels of the walks at equal ratios of noise, the last one finite.

    Args:
        info: The model.
        steps: Network calls of a walk; the one that reads off the molecule comes on top.
    """
    scale = info.config.model.pos_scale
    return TimeGrid.log_snr(LOWEST / scale, HIGHEST / scale, steps, to_data=False)

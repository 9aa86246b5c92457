"""From molecule numbers to beliefs: sizes, noise, network calls, in batches, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Required, TypedDict, TypeVar, Unpack, cast

import numpy as np
import torch
from torch import Tensor, nn

from molgen.chem.beliefs import Beliefs
from molgen.flow.plan import Plan
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import Offsets
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.nn.classes import Classes
from molgen.nn.refine.refine import refined
from molgen.sampling.batching import Rows, batched
from molgen.sampling.consistency import ValenceTable
from molgen.sampling.cuda_graph import captured, identity_of, is_static
from molgen.sampling.memory import in_parts
from molgen.sampling.noise import Streams, normal_noise
from molgen.sampling.prediction import Prediction, Readout, fetch, read_out
from molgen.sampling.sizes import sizes_of
from molgen.sampling.steering.steering import Steering, scene_of
from molgen.sampling.threads import side_by_side
from molgen.tasks.conditioning import Conditioned
from molgen.tasks.denovo import DENOVO
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.rows import given_rows
from molgen.tasks.task import Modality, Task

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel

T = TypeVar("T")

WINDOW = 512
"""Molecules that are drawn together and sorted by size, so that little of them is padding."""

CPU_BATCH, GPU_BATCH = 32, 1024
"""Molecules per network call: what stays in a core's cache, and what fills a GPU."""

GPU_WINDOW = 8
"""Batches that a GPU's window holds."""

LEAST_PADDED = 16
"""Smallest padded size: below it the order of sums depends on the padding, and with it rounding."""

GPU_PADDING = 4
"""Padded sizes on a GPU are multiples of this: few shapes, so few graphs to record."""


@dataclass(frozen=True)
class Draw:
    """What the network says of one molecule.

    Attributes:
        index: Its number in the run.
        beliefs: Coordinates in Å and log-probabilities of elements, charges and bonds.
    """

    index: int
    beliefs: Beliefs


@dataclass(frozen=True)
class Settings:
    """What all batches of a run share.

    Attributes:
        plan: Solver and grid.
        seed: Seed of the run.
        task: What the network is asked for.
        steering: Guidance; None for none.
    """

    plan: Plan
    seed: int
    task: Task = DENOVO
    steering: Steering | None = None


class Options(TypedDict, total=False):
    """What `draw_batches` takes by name, with its defaults."""

    plan: Required[Plan]
    seed: int
    n_atoms: tuple[int, int] | None
    batch_size: int | None
    given: Conditioning | None
    steering: Steering | None


def draw(loaded: LoadedModel, indices: Iterable[int], **options: Unpack[Options]) -> Iterator[Draw]:
    """Draw molecules by number, one by one; arguments as of `draw_batches`.

    Yields:
        Molecules in the order of ``indices``.

    Raises:
        UsageError: No training molecule has a size within ``n_atoms``.
    """
    batches, vocabulary = draw_batches(loaded, indices, **options), loaded.info.vocabulary
    return in_order(
        (batch.places[row], Draw(index, batch.beliefs(vocabulary, row)))
        for batch in batches
        for row, index in enumerate(batch.indices)
    )


def draw_batches(
    loaded: LoadedModel,
    indices: Iterable[int],
    *,
    plan: Plan,
    seed: int = 0,
    n_atoms: tuple[int, int] | None = None,
    batch_size: int | None = None,
    given: Conditioning | None = None,
    steering: Steering | None = None,
    total_charge: int | None = 0,
) -> Iterator[Prediction]:
    """Draw molecules by number, batch by batch.

    Size and noise of a molecule follow from the seed and its number alone, so it is the same
    whatever is drawn beside it; memory is bounded by the window of batches. A GPU has its next
    batch before the host waits for the one before. A batch for which a device's memory is too small
    is drawn in parts.

    Args:
        loaded: The model.
        indices: Numbers of the molecules; may be endless.
        plan: Solver and grid.
        seed: Seed of the run.
        n_atoms: Smallest and largest size; None follows the training data.
        batch_size: Molecules per network call; None suits the device.
        given: What is given of the molecules; None for nothing.
        steering: Guidance; None for none.
        total_charge: Of a molecule that needs no search; None for any.

    Yields:
        Batches in the order of their sizes, window after window.

    Raises:
        UsageError: No training molecule has a size within ``n_atoms``.
    """
    sizes = sizes_of(loaded.info, n_atoms, given, seed)
    settings = Settings(plan, seed, DENOVO if given is None else given.task, steering)
    size = batch_size or default_batch(loaded.model)
    on_gpu = device_of(loaded.model).type == "cuda"
    width = max(GPU_WINDOW * size if on_gpu else size, WINDOW)
    table = ValenceTable.of(loaded.info.vocabulary, device_of(loaded.model), total_charge)
    queued: deque[Callable[[], Prediction]] = deque()

    def sampled(rows: Rows) -> Readout:
        return _sample(loaded, table, rows, settings, given, is_full=len(rows.indices) == size)

    def parts(batch: Rows) -> list[tuple[Readout, Rows]]:
        return list(in_parts(batch, device_of(loaded.model), sampled))

    n_threads = torch.get_num_threads() if steering is None and not on_gpu else 1
    batches = batched(indices, sizes, size, first=size, window=width)
    for drawn in side_by_side(parts, batches, n_threads):
        for readout, rows in drawn:
            queued.append(fetch(readout, rows))
            if len(queued) > on_gpu:
                yield _restored(given, queued.popleft()())
    while queued:
        yield _restored(given, queued.popleft()())


def in_order(placed: Iterable[tuple[int, T]]) -> Iterator[T]:
    """What comes with its place, from 0, in the order of the places.

    Example:
        >>> list(in_order([(1, "b"), (0, "a"), (2, "c")]))
        ['a', 'b', 'c']
    """
    waiting: dict[int, T] = {}
    next_place = 0
    for place, value in placed:
        waiting[place] = value
        while next_place in waiting:
            yield waiting.pop(next_place)
            next_place += 1


def device_of(model: nn.Module) -> torch.device:
    """Where a model computes."""
    return next(model.parameters()).device


def default_batch(model: nn.Module) -> int:
    """Molecules per network call that suit the model's device."""
    return CPU_BATCH if device_of(model).type == "cpu" else GPU_BATCH


def _restored(given: Conditioning | None, batch: Prediction) -> Prediction:
    """The batch with molecules whose positions are given moved to where these are, in place."""
    if given is not None and given.task.finish.restore:
        for row, index in zip(batch.pos, batch.indices, strict=False):
            atoms = given.of(index)
            np.add(row, atoms.origin, out=row, casting="same_kind")
            row[: atoms.n_atoms] = atoms.pos
    return batch


@torch.inference_mode()
def _sample(
    loaded: LoadedModel,
    table: ValenceTable,
    rows: Rows,
    settings: Settings,
    given: Conditioning | None,
    *,
    is_full: bool,
) -> Readout:
    """Sample one batch; a full one on a GPU by a recorded graph where the plan allows it."""
    model, device = loaded.model, device_of(loaded.model)
    atoms = None if given is None else [given.of(index) for index in rows.indices]
    is_plain = atoms is None and settings.steering is None and is_static(settings.plan)
    on_gpu = device.type == "cuda" and not torch.is_autocast_enabled("cuda")
    by_graph = is_full and is_plain and on_gpu
    n = max(int(rows.sizes.max()), LEAST_PADDED)
    n = -(-n // GPU_PADDING) * GPU_PADDING if by_graph else n
    mask = _sent(torch.from_numpy(rows.mask(n)), device)
    width = 3 + loaded.info.vocabulary.n_elements

    def noise(stream: str) -> Tensor:
        streams = Streams(settings.seed, stream)
        return _sent(normal_noise(streams, rows.indices, rows.sizes, (n, width)), device)

    def trajectory(start: Tensor, mask: Tensor) -> Readout:
        return sample_batch(
            model,
            table,
            settings,
            start,
            mask,
            lambda step: noise(f"step {step}"),
            atoms,
            refines=not by_graph,
        )

    if not by_graph:
        return trajectory(noise("noise"), mask)
    task = settings.task.name
    key = settings.plan, task, model.scales, table.total_charge, identity_of(model)
    readout = captured(model).run(trajectory, key, noise("noise"), mask)
    # The index lists of the refinement have the sizes that the molecules have: no recording.
    if settings.plan.jumps is None or model.network.refine is None:
        return readout
    classes = Classes(readout.element_log_prob, readout.charge_log_prob, readout.bond_log_prob)
    pos = refined(model.network.refine, classes, readout.pos / model.scales.pos, mask)
    return readout._replace(pos=pos * model.scales.pos)


def sample_batch(
    model: DeNovo,
    table: ValenceTable,
    settings: Settings,
    noise: Tensor,
    mask: Tensor,
    fresh: Callable[[int], Tensor],
    atoms: Sequence[GivenAtoms] | None = None,
    *,
    refines: bool = True,
) -> Readout:
    """Sample one padded batch, with nothing but queueing work on the device.

    Args:
        model: The model.
        table: Of its vocabulary, on its device.
        settings: What all batches of the run share.
        noise: Standard normal numbers to start from, ``[B, N, 3 + K]``, zero in the padding.
        mask: Real atoms, ``[B, N]``.
        fresh: More such numbers for a step, where the solver asks for them.
        atoms: What is given of each molecule; None for nothing.
        refines: Whether the molecules are refined.
    """

    def prior(drawn: Tensor) -> dict[str, Tensor]:
        split = {Modality.POS: drawn[..., :3], Modality.ELEMENT: drawn[..., 3:]}
        priors = settings.task.prior
        return {name.value: priors[name].prior(values, mask) for name, values in split.items()}

    plan = settings.plan
    memory, start = (
        SelfConditioned(model, mask, plan.jumps, plan.logit_bias, refines=refines),
        prior(noise),
    )
    given, rows = None, None
    denoise: Denoiser = plan.called(memory, Modality.POS)
    offsets: Offsets = model.offsets
    if atoms is not None:
        given = Conditioned(memory, given_rows(atoms, model, mask, start), settings.task)
        denoise, rows = given, given.rows
        start, offsets = rows.start, rows.offsets
    if settings.steering is not None:
        denoise = settings.steering.steered(denoise, scene_of(model, mask, rows, atoms))
    final = plan.solver.solve(
        denoise, start, plan.grid, offsets=offsets, noise=lambda step: prior(fresh(step))
    )
    placed, estimate = cast("dict[str, Tensor]", final)[Modality.POS], memory.estimate
    if given is not None:
        placed, estimate = given.outcome(placed)
    return read_out(table, estimate, placed * model.scales.pos, mask)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device; to a GPU without waiting for what is queued there."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)

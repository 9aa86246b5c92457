"""Conformers of given molecules: many molecules and conformers in one batch, few calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
import torch
from numpy.typing import NDArray

from molgen.checkpoint import find_model
from molgen.chem.conformer_core import CorePattern, read_core
from molgen.chem.conformer_finishing import Drawn, Finished, finish
from molgen.chem.conformer_options import Finishing
from molgen.chem.conformer_results import ConformerResult, result_of
from molgen.chem.conformers import (
    Query,
    Refused,
    mirrored_where_it_helps,
    query,
    single,
    stereo_is_right,
)
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.data.conformer_batches import collate, padded
from molgen.data.conformer_store import StoredGraph
from molgen.errors import UsageError
from molgen.rng import generator
from molgen.sampling.conformer_core import keeper
from molgen.sampling.conformer_request import ConformerRequest, with_preset
from molgen.sampling.conformer_starts import Starts, starts_of
from molgen.tasks.conformer_weights import load_conformer_model
from molgen.tasks.conformers import MAX_REFINE, ConformerModel

if TYPE_CHECKING:
    from rdkit.Chem import Mol

__all__ = ["ConformerRequest", "ConformerResult", "conformers", "sample_conformers"]

MAX_PAIRS: Final = 48 * 32 * 32
"""Pairs of atoms in a batch; bounds memory, whatever the molecules' sizes."""

CHUNK: Final = 64
"""Molecules at most that are drawn together."""

CHUNK_DRAWS: Final = 2_000
"""Conformers that are drawn together, about, where one molecule does not ask for more."""

NO_LIMIT_S: Final = 1e7


@dataclass(frozen=True)
class _Draw:
    """One conformer to draw: of which molecule, its number, and which attempt it is."""

    molecule: int
    number: int
    attempt: int


@overload
def conformers(
    molecules: str | Mol,
    n: int = ...,
    *,
    preset: str | None = ...,
    model: str | Path = ...,
    device: str = ...,
    **options: Any,
) -> Mol: ...
@overload
def conformers(
    molecules: Iterable[str | Mol],
    n: int = ...,
    *,
    preset: str | None = ...,
    model: str | Path = ...,
    device: str = ...,
    **options: Any,
) -> Iterator[Mol]: ...
def conformers(
    molecules: str | Mol | Iterable[str | Mol],
    n: int | None = None,
    *,
    preset: str | None = None,
    model: str | Path = "conformers",
    device: str = "auto",
    **options: Any,
) -> Mol | Iterator[Mol]:
    """Conformers of molecules.

    Args:
        molecules: A SMILES or a molecule, or an iterable of these, which is read as results are
            taken.
        n: Conformers of each; unset, 20 or what the preset says.
        preset: ``rapid``, ``docking``, ``ensemble`` or ``accurate``; what is given besides wins.
        model: Name of a shipped model, or a ``.safetensors`` file.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        **options: The other fields of `ConformerRequest`.

    Returns:
        One molecule with hydrogens and ``n`` conformers, or an iterator over these, in order.
        Order of atoms, properties and isotopes are those given. Each conformer has the properties
        ``energy`` and ``relative_energy`` (kcal/mol), ``boltzmann_weight``, ``stereo`` and
        ``source``. The molecule has ``molgen_status`` and ``molgen_reason``; one of an iterable
        that no conformers can be made of comes without conformers, and the reason.

    Raises:
        UsageError: A single molecule of which no conformers can be made, or a number out of range.
        CheckpointError: The model's file is missing or damaged.
    """
    given = options if n is None else {**options, "n": n}
    try:
        request = with_preset(ConformerRequest(**given), preset, given)
    except TypeError as error:
        raise UsageError(str(error).partition(" ")[2], "See ConformerRequest") from None
    network = load_conformer_model(find_model(model), device).model
    one = single(molecules)
    if one is None:
        results = stream_conformers(network, molecules, request)
        return (each.as_mol for each in results)
    (result,) = sample_conformers(network, [one], request)
    if result.mol is None:
        raise UsageError(f"no conformers: {result.reason}", "Give another molecule")
    return result.as_mol


def sample_conformers(
    model: ConformerModel, given: Sequence[Mol | str], request: ConformerRequest
) -> list[ConformerResult]:
    """Conformers of molecules, in their order; see `stream_conformers`."""
    return list(stream_conformers(model, given, request))


def chunk_size(request: ConformerRequest) -> int:
    """Molecules that are drawn together: the same for the same request."""
    return max(1, min(CHUNK, CHUNK_DRAWS // request.n_draws))


def stream_conformers(
    model: ConformerModel,
    given: Iterable[Mol | str | Refused],
    request: ConformerRequest,
    skip: int = 0,
) -> Iterator[ConformerResult]:
    """Conformers of molecules, in their order, read a chunk ahead.

    The same molecule and seed give the same conformers, whatever else is asked for.

    Args:
        model: In evaluation mode.
        given: SMILES, molecules, or reasons why there is none, from the first of a chunk on.
        request: How many, in how many calls.
        skip: Results at the start that are there already; less than `chunk_size`.
    """
    if request.init != "noise" and model.refiner is None:
        raise UsageError(
            f"init is {request.init}, and the model has no refiner", "Use --init noise"
        )
    is_given = request.init == "input"
    waiting: deque[_Asked] = deque()
    jobs = _jobs(model, iter(given), request, skip, waiting)
    with closing(_finished(jobs, request)) as answers:
        for answer in answers:
            one = waiting.popleft()
            start = one.asked.given_pos if is_given and isinstance(one.asked, Query) else None
            yield result_of(one.given, one.asked, answer, one.redrawn, start)


@dataclass(frozen=True)
class _Asked:
    """A molecule on the way: the input, how it was read, how many were drawn again."""

    given: Mol | str | Refused
    asked: Query | Refused
    redrawn: int


def _jobs(
    model: ConformerModel,
    given: Iterator[Mol | str | Refused],
    request: ConformerRequest,
    skip: int,
    waiting: deque[_Asked],
) -> Iterator[Drawn | None]:
    """What is to be finished, one for every molecule; None where there is nothing."""
    how = request.finishing
    core = None if request.core is None else read_core(request.core)
    while chunk := list(islice(given, chunk_size(request))):
        asked = [_read(one, request, core) for one in chunk]
        known = {place: one for place, one in enumerate(asked) if isinstance(one, Query)}
        made = _drawn(model, known, request)
        for place in range(skip, len(chunk)):
            one = asked[place]
            heavy = made.get(place, _Heavy())
            waiting.append(_Asked(chunk[place], one, heavy.redrawn))
            if isinstance(one, Query):
                n = len(heavy.pos)
                yield Drawn(one, heavy.pos, heavy.wrong, _as_many(how, n, request), n)
            elif one.query is not None and how.fallback:
                yield Drawn(one.query, heavy.pos, heavy.wrong, how, request.n_draws)
            else:
                yield None
        skip = 0


def _as_many(how: Finishing, n: int, request: ConformerRequest) -> Finishing:
    """Conformers of the input are all kept, in their order."""
    return replace(how, n=n, by_energy=False) if request.init == "input" else how


def _read(
    given: Mol | str | Refused, request: ConformerRequest, core: CorePattern | None
) -> Query | Refused:
    if isinstance(given, Refused):
        return given
    asked = query(given, largest_fragment=request.largest_fragment, core=core)
    if request.init == "input" and isinstance(asked, Query) and not len(asked.given_pos):
        return Refused("no 3D coordinates to start from", asked)
    return asked


def _finished(
    jobs: Iterator[Drawn | None], request: ConformerRequest
) -> Generator[Finished | Unfinished | None, None, None]:
    """Answers in order: in this process, or in killable ones where a limit or more are wanted."""
    if not request.timeout and request.workers == 1:
        yield from map(finish, jobs)
        return
    limit = request.timeout or NO_LIMIT_S
    yield from run_with_limit(finish, jobs, limit, request.workers, chunk_size=1)


@dataclass(frozen=True)
class _Heavy:
    """Conformers of one molecule as drawn.

    Attributes:
        pos: Heavy atoms, Å, ``[P, N, 3]``.
        wrong: Whether the stereo is wrong after all redraws, ``[P]``.
        redrawn: How many were drawn more than once.
    """

    pos: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 0, 3)))
    wrong: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    redrawn: int = 0


def _drawn(
    model: ConformerModel, known: dict[int, Query], request: ConformerRequest
) -> dict[int, _Heavy]:
    """Conformers of several molecules, by their places; those of wrong stereo drawn again."""
    found: dict[tuple[int, int], NDArray[np.floating]] = {}
    right: dict[tuple[int, int], bool] = {}
    starts = {place: starts_of(one, request) for place, one in known.items()}
    draws = [_Draw(place, k, 0) for place in known for k in range(starts[place].n)]
    redrawn = dict.fromkeys(known, 0)
    for attempt in range(request.redraws + 1):
        for draw, drawn in _sampled(model, known, starts, draws, request):
            graph, key = known[draw.molecule].graph, (draw.molecule, draw.number)
            core = known[draw.molecule].core
            if core is None:
                pos = mirrored_where_it_helps(graph, drawn[None])
            else:
                pos = core.placed(drawn[None])
            is_right = bool(stereo_is_right(graph, pos)[0])
            if not is_right and starts[draw.molecule].is_given:
                pos, is_right = starts[draw.molecule].pos[[draw.number]], True
            found[key], right[key] = pos[0], is_right
        draws = [_Draw(*key, attempt + 1) for key, is_right in right.items() if not is_right]
        if not attempt:
            for draw in draws:
                redrawn[draw.molecule] += 1
        if not draws:
            break
    return {
        place: _Heavy(
            pos=np.stack([found[place, k] for k in range(one.n)]),
            wrong=np.array([not right[place, k] for k in range(one.n)]),
            redrawn=redrawn[place],
        )
        for place, one in starts.items()
    }


def _sampled(
    model: ConformerModel,
    known: dict[int, Query],
    starts: dict[int, Starts],
    draws: Sequence[_Draw],
    request: ConformerRequest,
) -> Iterator[tuple[_Draw, NDArray[np.float32]]]:
    """Heavy atoms of every draw, Å, ``[N, 3]``, batches of similar size."""
    device = next(model.parameters()).device
    begun = [one for one in draws if _has_start(one, starts)]
    fresh = [one for one in draws if not _has_start(one, starts)]
    for batch in (*_batches(known, begun), *_batches(known, fresh)):
        queries = [known[one.molecule] for one in batch]
        graphs = [one.graph for one in queries]
        graph = collate([StoredGraph(one.atoms, one.pairs, one.centres) for one in graphs])
        graph = graph.to(device)
        keep = keeper([one.core for one in queries if one.core is not None], graph.mask)
        with torch.no_grad():
            if _has_start(batch[0], starts):
                begin = [starts[one.molecule].pos[one.number] for one in batch]
                start = padded([one.astype(np.float32) for one in begin], graph.mask.shape[1])
                pos = model.refine(start.to(device), graph, min(request.steps, MAX_REFINE), keep)
            else:
                start = torch.from_numpy(_normal(batch, queries, graph.mask.shape[1], request))
                start = model.prior(start.to(device), graph)
                pos = model.sample(start, graph, request.steps, keep)
        for row, draw in enumerate(batch):
            yield draw, pos[row, : len(graphs[row].index)].cpu().numpy()


def _has_start(draw: _Draw, starts: dict[int, Starts]) -> bool:
    """Whether a draw starts from a geometry; one that is drawn again starts from noise."""
    return not draw.attempt and draw.number < len(starts[draw.molecule].pos)


def _normal(
    batch: Sequence[_Draw], queries: Sequence[Query], n: int, request: ConformerRequest
) -> NDArray[np.float32]:
    """Standard normal numbers of every draw, its own whatever else is in the batch."""
    normal = np.zeros((len(batch), n, 3), np.float32)
    for row, (draw, one) in enumerate(zip(batch, queries, strict=True)):
        stream = f"conformer {draw.number} {draw.attempt}"
        shape = (len(one.graph.index), 3)
        drawn = generator(request.seed, one.key, stream).standard_normal(shape)
        normal[row, : shape[0]] = drawn
    return normal


def _batches(known: dict[int, Query], draws: Sequence[_Draw]) -> Iterator[list[_Draw]]:
    def size(draw: _Draw) -> int:
        return len(known[draw.molecule].graph.index)

    batch: list[_Draw] = []
    for draw in sorted(draws, key=size):
        if batch and (len(batch) + 1) * size(draw) ** 2 > MAX_PAIRS:
            yield batch
            batch = []
        batch.append(draw)
    if batch:
        yield batch

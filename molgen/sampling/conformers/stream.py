"""Conformers of given molecules, in order and a chunk ahead: the interface from Python."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from molgen.checkpoint import find_model
from molgen.chem.conformers.core import CorePattern, read_core
from molgen.chem.conformers.finishing import Drawn, Finished, finish
from molgen.chem.conformers.options import Finishing
from molgen.chem.conformers.query import (
    Query,
    Refused,
    at_ph,
    query,
    single,
)
from molgen.chem.conformers.results import ConformerResult, result_of
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.errors import UsageError
from molgen.sampling.conformers.draw import Heavy, drawn
from molgen.sampling.conformers.request import ConformerRequest, with_preset
from molgen.tasks.conformer_weights import load_conformer_model
from molgen.tasks.conformers import ConformerModel

if TYPE_CHECKING:
    from rdkit.Chem import Mol

__all__ = ["ConformerRequest", "ConformerResult", "conformers", "sample_conformers"]

CHUNK: Final = 64
"""Molecules at most that are drawn together."""

CHUNK_DRAWS: Final = 2_000
"""Conformers that are drawn together, about, where one molecule does not ask for more."""

NO_LIMIT_S: Final = 1e7


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
    if model.refiner is None and request.init == "auto":
        request = replace(request, init="noise")
    if model.refiner is None and request.init != "noise":
        raise UsageError(
            f"init is {request.init}, and the model has no refiner", "Use --init noise"
        )
    is_given = request.init == "input"
    if request.ph is not None:
        given = (at_ph(one, request.ph) for one in given)
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
        made = drawn(model, known, request)
        for place in range(skip, len(chunk)):
            one = asked[place]
            heavy = made.get(place, Heavy())
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

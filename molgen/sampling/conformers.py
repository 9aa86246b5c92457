"""Conformers of given molecules: many molecules and conformers in one batch, few calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray

from molgen.checkpoint import find_model
from molgen.chem.conformers import (
    Query,
    Refused,
    mirrored_where_it_helps,
    query,
    relaxed_where_stereo_stays,
    single,
    stereo_is_right,
    with_conformers,
)
from molgen.data.conformer_batches import collate
from molgen.data.conformer_store import StoredGraph
from molgen.errors import UsageError
from molgen.rng import generator
from molgen.tasks.conformer_weights import load_conformer_model
from molgen.tasks.conformers import ConformerModel

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_PAIRS: Final = 48 * 32 * 32
"""Pairs of atoms in a batch; bounds memory, whatever the molecules' sizes."""

MAX_CONFORMERS: Final = 100_000
MAX_STEPS: Final = 1_000


@dataclass(frozen=True)
class ConformerRequest:
    """What is asked for, of every molecule.

    Attributes:
        n: Conformers.
        steps: Calls of the network for each.
        seed: Seed of the noise.
        redraws: How often a conformer of wrong stereo is drawn again.
        relax: Whether MMFF94s relaxes what the network made.
    """

    n: int = 20
    steps: int = 4
    seed: int = 0
    redraws: int = 5
    relax: bool = False

    def __post_init__(self) -> None:
        """Reject numbers that cannot be meant.

        Raises:
            UsageError: A number is out of range.
        """
        bounds = {
            "n": (1, MAX_CONFORMERS),
            "steps": (1, MAX_STEPS),
            "seed": (0, 2**63 - 1),
            "redraws": (0, 100),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}", f"Use an integer from {least} to {most}")


@dataclass(frozen=True)
class ConformerResult:
    """What became of one molecule.

    Attributes:
        mol: With hydrogens and conformers; None where there are none.
        reason: Why there are none, or why they are not relaxed; else empty.
        wrong: Conformers whose stereo is wrong after all redraws, ``[n]``.
        redrawn: Conformers that were drawn more than once.
    """

    mol: Mol | None
    reason: str = ""
    wrong: NDArray[np.bool_] | None = None
    redrawn: int = 0


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
    steps: int = ...,
    seed: int = ...,
    relax: bool = ...,
    model: str | Path = ...,
    device: str = ...,
) -> Mol: ...
@overload
def conformers(
    molecules: Iterable[str | Mol],
    n: int = ...,
    *,
    steps: int = ...,
    seed: int = ...,
    relax: bool = ...,
    model: str | Path = ...,
    device: str = ...,
) -> list[Mol | None]: ...
def conformers(
    molecules: str | Mol | Iterable[str | Mol],
    n: int = 20,
    *,
    steps: int = 4,
    seed: int = 0,
    relax: bool = False,
    model: str | Path = "conformers",
    device: str = "auto",
) -> Mol | list[Mol | None]:
    """Conformers of molecules.

    Args:
        molecules: A SMILES or a molecule, or several.
        n: Conformers of each.
        steps: Calls of the network for each.
        seed: The same molecule and seed give the same conformers.
        relax: Whether MMFF94s relaxes what the network made; it takes longer than the network.
        model: Name of a shipped model, or a ``.safetensors`` file.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        One molecule with hydrogens and ``n`` conformers, or a list of these, in which a molecule
        that no conformers can be made of is None. The property ``molgen_stereo_wrong`` names
        conformers whose stereo is wrong in spite of being drawn again.

    Raises:
        UsageError: A single molecule of which no conformers can be made, or a number out of range.
        CheckpointError: The model's file is missing or damaged.
    """
    request = ConformerRequest(n=n, steps=steps, seed=seed, relax=relax)
    network = load_conformer_model(find_model(model), device).model
    one = single(molecules)
    if one is None:
        several = cast("Iterable[str | Mol]", molecules)
        return [each.mol for each in sample_conformers(network, list(several), request)]
    (result,) = sample_conformers(network, [one], request)
    if result.mol is None:
        raise UsageError(f"no conformers: {result.reason}", "Give another molecule")
    return result.mol


def sample_conformers(
    model: ConformerModel, given: Sequence[Mol | str], request: ConformerRequest
) -> list[ConformerResult]:
    """Conformers of molecules, in their order.

    The same molecule and seed give the same conformers, whatever else is asked for.

    Args:
        model: In evaluation mode.
        given: SMILES or molecules.
        request: How many, in how many calls.
    """
    asked = [query(one) for one in given]
    found: dict[tuple[int, int], NDArray[np.floating]] = {}
    right: dict[tuple[int, int], bool] = {}
    known = {place: one for place, one in enumerate(asked) if isinstance(one, Query)}
    draws = [_Draw(place, k, 0) for place in known for k in range(request.n)]
    redrawn = dict.fromkeys(known, 0)
    for attempt in range(request.redraws + 1):
        for draw, drawn in _sampled(model, known, draws, request):
            graph, key = known[draw.molecule].graph, (draw.molecule, draw.number)
            pos = mirrored_where_it_helps(graph, drawn[None])
            found[key], right[key] = pos[0], bool(stereo_is_right(graph, pos)[0])
        draws = [_Draw(*key, attempt + 1) for key, is_right in right.items() if not is_right]
        if not attempt:
            for draw in draws:
                redrawn[draw.molecule] += 1
        if not draws:
            break
    results = []
    for place, one in enumerate(asked):
        if isinstance(one, Refused):
            results.append(ConformerResult(None, one.reason))
            continue
        pos = np.stack([found[place, k] for k in range(request.n)])
        wrong = np.array([not right[place, k] for k in range(request.n)])
        mol = with_conformers(one, pos, wrong)
        reason = _relaxed(one, mol) if request.relax else ""
        results.append(ConformerResult(mol, reason, wrong=wrong, redrawn=redrawn[place]))
    return results


def _relaxed(asked: Query, mol: Mol) -> str:
    """Relax the conformers; return why some are as they were, or nothing."""
    moved = relaxed_where_stereo_stays(asked, mol)
    if moved is None:
        return "no MMFF94s parameters: not relaxed"
    n = int((~moved).sum())
    return f"{n} of {len(moved)} not relaxed: their stereo would change" if n else ""


def _sampled(
    model: ConformerModel,
    known: dict[int, Query],
    draws: Sequence[_Draw],
    request: ConformerRequest,
) -> Iterator[tuple[_Draw, NDArray[np.float32]]]:
    """Heavy atoms of every draw, Å, ``[N, 3]``, batches of similar size."""
    device = next(model.parameters()).device
    for batch in _batches(known, draws):
        queries = [known[one.molecule] for one in batch]
        graphs = [one.graph for one in queries]
        graph = collate([StoredGraph(one.atoms, one.pairs, one.centres) for one in graphs])
        graph = graph.to(device)
        normal = np.zeros((*graph.mask.shape, 3), np.float32)
        for row, (draw, one) in enumerate(zip(batch, queries, strict=True)):
            stream = f"conformer {draw.number} {draw.attempt}"
            shape = (len(one.graph.index), 3)
            normal[row, : shape[0]] = generator(request.seed, one.key, stream).standard_normal(
                shape
            )
        with torch.no_grad():
            start = model.prior(torch.from_numpy(normal).to(device), graph)
            pos = model.sample(start, graph, request.steps).cpu().numpy()
        for row, draw in enumerate(batch):
            yield draw, pos[row, : len(graphs[row].index)]


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

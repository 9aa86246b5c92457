"""One sampling run: molecules stream from the model to whoever asked for them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

from molgen.chem.decode import DECODERS, decode_argmax
from molgen.chem.mol import BuiltMol, build_mol, smiles_of
from molgen.chem.molecule import Molecule
from molgen.errors import ChemistryError
from molgen.flow.plan import Plan
from molgen.sampling.known import Known
from molgen.sampling.request import Request
from molgen.sampling.sampler import draw

if TYPE_CHECKING:
    from rdkit import Chem

    from molgen.checkpoint import LoadedModel

PATIENCE: Final = 10_000
"""Rejections in a row after which ``valid_only`` gives up."""

TagValue = str | int | bool


@dataclass(frozen=True)
class Sample:
    """One molecule of a run.

    Attributes:
        index: Its number in the run; with the seed it decides the molecule.
        raw: Each head's argmax, before any decoding.
        molecule: The decoded molecule.
        built: The decoded molecule in RDKit, and what is wrong with it.
    """

    index: int
    raw: Molecule
    molecule: Molecule
    built: BuiltMol

    @property
    def mol(self) -> Chem.Mol:
        """The decoded molecule with one conformer."""
        return self.built.mol

    @property
    def reason(self) -> str:
        """The first fault found; empty for a valid molecule."""
        return self.built.reason


@dataclass
class Tally:
    """What a run has drawn so far, the rejected molecules included.

    Attributes:
        keep: Whether to keep the molecules, for the metrics.
        n_drawn: Molecules drawn.
        faults: Molecules with a fault, by reason without its place in the molecule.
        molecules: The molecules as decoded.
        raw: The same before decoding.
    """

    keep: bool = False
    n_drawn: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    molecules: list[Molecule] = field(default_factory=list)
    raw: list[Molecule] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Count one molecule."""
        self.n_drawn += 1
        if sample.reason:
            self.faults[sample.reason.partition(":")[0]] += 1
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
        known: What the request says of its molecules beforehand; None for nothing.
    """

    model: LoadedModel
    request: Request
    plan: Plan
    known: Known | None = None

    @property
    def fingerprint(self) -> str:
        """Eight hex digits, equal for runs that make the same molecules index by index."""
        content = asdict(self.request)
        for name in ("n", "batch_size", "formula", "like", "scaffold"):
            del content[name]
        if self.known is not None:
            content["known"] = self.known.digest
        content["plan"] = self.plan.to_dict()
        content["model"] = self.model.name
        text = json.dumps(content, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def title(self, index: int) -> str:
        """Unique name of one record, such as ``qm9-s0-k4-17``: model, seed, steps, index."""
        return f"{self.model.name}-s{self.request.seed}-k{self.request.steps}-{index}"

    def tags(self, sample: Sample) -> dict[str, TagValue]:
        """What is stored beside one molecule."""
        return {
            "molgen_model": self.model.name,
            "molgen_seed": self.request.seed,
            "molgen_index": sample.index,
            "molgen_steps": self.request.steps,
            "molgen_run": self.fingerprint,
            "molgen_valid": not sample.reason,
            "molgen_reason": sample.reason,
            "smiles": "" if sample.reason else smiles_of(sample.mol),
        }

    def stream(self, tally: Tally, *, first: int = 0, n_done: int = 0) -> Iterator[Sample]:
        """Draw molecules until the request is fulfilled.

        Args:
            tally: Counts everything that is drawn.
            first: Number of the first molecule to draw.
            n_done: Records that an earlier run has written already.

        Yields:
            ``request.n - n_done`` molecules in the order of their numbers.

        Raises:
            ChemistryError: If ``valid_only`` meets no valid molecule for a very long time.
        """
        n_left, n_in_vain = self.request.n - n_done, 0
        if n_left <= 0:
            return
        for sample in self._drawn(first):
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

    def _drawn(self, first: int) -> Iterator[Sample]:
        request = self.request
        decode = DECODERS[request.decode]
        drawn = draw(
            self.model,
            count(first) if request.valid_only else range(first, request.n),
            seed=request.seed,
            plan=self.plan,
            n_atoms=request.n_atoms,
            batch_size=request.batch_size,
            known=self.known,
        )
        for one in drawn:
            raw = decode_argmax(one.beliefs)
            molecule = raw if decode is decode_argmax else decode(one.beliefs)
            yield Sample(one.index, raw, molecule, build_mol(molecule))

"""The package from Python: load a model, make molecules, check them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import update_wrapper
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from rdkit import Chem

from molgen.checkpoint import load_model
from molgen.chem.elements import SYMBOLS
from molgen.sampling.conditioning import find_conditioning
from molgen.sampling.editing.originals import Original, originals_of
from molgen.sampling.editing.requests import VaryRequest
from molgen.sampling.editing.vary import Variations
from molgen.sampling.plan import make_plan
from molgen.sampling.progress import progress_bar
from molgen.sampling.quantised import quantised
from molgen.sampling.recording import Recordable
from molgen.sampling.request import FEW_MODEL, Request
from molgen.sampling.run import Run, Sample, Tally
from molgen.sampling.steering.wanted import find_steering

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel
    from molgen.metrics.evaluation import Evaluation


Chem.SetDefaultPickleProperties(Chem.PropertyPickleOptions.AllProps)
"""Titles and labels of molecules outlive pickling, hence process pools."""

P = ParamSpec("P")
A = TypeVar("A")
C = TypeVar("C", bound=Callable[..., Any])
R = TypeVar("R")
RequestT = TypeVar("RequestT")


def _takes(
    schema: Callable[P, RequestT],
) -> Callable[[Callable[[Generator, RequestT], R]], Callable[Concatenate[Generator, P], R]]:
    """A method with the arguments of a request's constructor."""

    def wrap(
        method: Callable[[Generator, RequestT], R],
    ) -> Callable[Concatenate[Generator, P], R]:
        def called(self: Generator, /, *args: P.args, **options: P.kwargs) -> R:
            return method(self, _of_plain(schema)(*args, **options))

        return _called_as(called, method, schema)

    return wrap


def _of_plain(schema: Callable[P, RequestT]) -> Callable[P, RequestT]:
    """The same for numbers of NumPy too, which neither JSON nor seeds take."""

    def made(*args: P.args, **options: P.kwargs) -> RequestT:
        given: Any = schema
        named = {name: _plain(value) for name, value in options.items()}
        request: RequestT = given(*map(_plain, args), **named)
        return request

    return made


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.number) else value


def _takes_mols(
    schema: Callable[P, RequestT],
) -> Callable[[Callable[[Generator, A, RequestT], R]], Callable[Concatenate[Generator, A, P], R]]:
    """The same for a method of molecules."""

    def wrap(
        method: Callable[[Generator, A, RequestT], R],
    ) -> Callable[Concatenate[Generator, A, P], R]:
        def called(self: Generator, mols: A, /, *args: P.args, **options: P.kwargs) -> R:
            return method(self, mols, _of_plain(schema)(*args, **options))

        return _called_as(called, method, schema)

    return wrap


def _called_as(called: C, method: Callable[..., Any], schema: Callable[..., Any]) -> C:
    """A wrapper with a method's name and docstring, and the arguments of a request."""
    update_wrapper(called, method)
    own = signature(method).parameters.values()
    before = [one.replace(kind=Parameter.POSITIONAL_ONLY) for one in own if one.name != "request"]
    after = signature(schema).parameters.values()
    called.__signature__ = Signature([*before, *after])  # type: ignore[attr-defined]
    return called


class Generator:
    """A loaded model that makes molecules; :func:`load` makes one.

    Attributes:
        model: The network with its vocabulary, sizes and default plans.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    def __repr__(self) -> str:
        vocabulary = self.model.info.vocabulary
        elements = " ".join(dict.fromkeys(SYMBOLS[z] for z in vocabulary.atomic_numbers))
        device = next(self.model.model.parameters()).device
        return f"<molgen Generator {self.name!r}: {elements}, on {device}>"

    @_takes(Request)
    def sample(self, request: Request) -> list[Chem.Mol]:
        """Make ``n`` molecules; arguments as of :class:`molgen.sampling.request.Request`.

        Returns:
            Molecules with explicit hydrogens, one conformer (Å), a title and the properties
            ``molgen_valid``, ``molgen_reason``, ``molgen_index``, ... A molecule that fails a
            check is returned too, unsanitised, with the reason.

        Raises:
            UsageError: If an option is out of range.
        """
        return _collected(self.run(request), request.progress)

    @_takes(Request)
    def stream(self, request: Request) -> Iterator[Chem.Mol]:
        """Make ``n`` molecules one after another, as :meth:`sample` does.

        Raises:
            UsageError: If an option is out of range.
        """
        run = self.run(request)
        return (_labelled(run, sample) for sample in run.stream(Tally()))

    @_takes_mols(VaryRequest)
    def vary(self, mols: Chem.Mol | Iterable[Chem.Mol], request: VaryRequest) -> list[Chem.Mol]:
        """Make molecules near given ones, of as many atoms and where they stand.

        Other arguments are those of :class:`molgen.sampling.editing.requests.VaryRequest`.

        Args:
            mols: One molecule or several, with a conformer (Å) and explicit hydrogens.
            request: What is asked for.

        Returns:
            ``n`` molecules for each given one, in order, as :meth:`sample` returns them, with
            ``molgen_source`` (title of the given one), ``molgen_strength`` and
            ``molgen_similarity`` (Tanimoto, Morgan fingerprints; valid molecules only).

        Raises:
            UsageError: If an option is out of range, or a molecule has no 3D coordinates, lacks
                hydrogens, or is of elements or of a size that the model does not know.
        """
        given = [mols] if isinstance(mols, Chem.Mol) else mols
        run = self.variations(originals_of(self.model.info, given), request)
        return _collected(run, request.progress)

    def variations(self, originals: tuple[Original, ...], request: VaryRequest) -> Variations:
        """Bind a request for molecules near given ones to this model."""
        return Variations(self.model, request, originals)

    def run(self, request: Request) -> Run:
        """Bind a request to this model.

        Raises:
            UsageError: If the request names an unknown solver or schedule, or atoms that the
                model does not know, or asks for guidance that has no effect or for integers on a
                GPU.
            DataError: If a file that the request names cannot be read.
        """
        info = self.model.info
        completion = None
        if info.vocabulary.hydrogens:
            from molgen.sampling.completion import completion_of

            completion = completion_of(self.model, request.steps)
        rest = request.steps - (0 if completion is None else completion.calls)
        plan = make_plan(info, rest, request.plan)
        given = find_conditioning(info, request)
        plan = plan if given is None or given.task.finish.logit_bias else plan.plain()
        steering = find_steering(info, request, given)
        model = quantised(self.model, plan) if request.int8 else self.model
        return Run(model, request, plan, given, steering, request.workers, completion=completion)


def load(name_or_path: str | Path = FEW_MODEL, device: str = "auto") -> Generator:
    """Load a model.

    Args:
        name_or_path: Name of a shipped model, or a ``.safetensors`` file. For a formula, a guide
            or a scaffold give ``Request.usual_model``, as ``molgen sample`` does where ``--model``
            is unset.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Returns:
        The generator.

    Raises:
        UsageError: If there is no model of that name.
        CheckpointError: If the weights are missing, truncated or of an unknown format.
    """
    return Generator(load_model(name_or_path, device))


def evaluate(
    molecules: str | Path | Chem.Mol | Iterable[Chem.Mol],
    reference: str | None = "qm9",
    *,
    checks: str | Path | Mapping[str, Any] | None = None,
    charge: int | None = None,
    xtb: int | None = None,
) -> Evaluation:
    """Check molecules; every rate is over all of them.

    Args:
        molecules: A file, an RDKit molecule or several; each conformer is one record.
        reference: Real molecules to compare with, by name or as a file; None for no comparison.
        checks: Which checks to make and which bounds to keep: the fields of
            `molgen.config.evaluation.EvaluationConfig`, or a YAML file of them.
        charge: Total charge of every molecule; None for that of each one's atoms.
        xtb: How many molecules, the first, to relax in GFN2-xTB too, a second or so each; None
            for none. Needs the extra ``molgen[xtb]``.

    Returns:
        The scores; ``records`` has the verdict on each molecule.

    Raises:
        DataError: If the file cannot be read or the reference is unknown.
        ConfigError: If ``checks`` is malformed.
        ChemistryError: If a molecule has no conformer.
        UsageError: If a check is unknown, or an extra that it needs is missing.
    """
    from molgen.config.evaluation import EvaluationConfig
    from molgen.config.reading import load_tree, validated
    from molgen.metrics.files import (
        check_config,
        evaluate_records,
        prepared,
        read_all,
        records_of,
    )
    from molgen.metrics.real import load_real

    tree = load_tree(checks) if isinstance(checks, str | Path) else dict(checks or {})
    tree |= {name: one for name, one in (("charge", charge), ("xtb", xtb)) if one is not None}
    config = validated(EvaluationConfig, tree, "checks")
    check_config(config)
    known = None if reference is None else load_real(reference, config).reference
    if isinstance(molecules, str | Path):
        return evaluate_records(read_all(molecules, config), known, config, name=str(molecules))
    return evaluate_records(prepared(records_of(molecules), config), known, config)


def _collected(run: Recordable, progress: bool | None) -> list[Chem.Mol]:
    """All molecules of a run, with their labels, under a bar."""
    mols = []
    with progress_bar("sampling", run.n_records, show=progress) as advance:
        for sample in run.stream(Tally()):
            mols.append(_labelled(run, sample))
            advance(len(mols))
    return mols


def _labelled(run: Recordable, sample: Sample) -> Chem.Mol:
    mol = sample.mol
    mol.SetProp("_Name", run.title(sample.index))
    for name, value in run.tags(sample).items():
        mol.SetProp(name, str(value).lower() if isinstance(value, bool) else str(value))
    return mol

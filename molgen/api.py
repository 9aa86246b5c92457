"""The package from Python: load a model, make molecules, check them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from rdkit import Chem

from molgen.checkpoint import load_model
from molgen.chem.mol import molecule_of
from molgen.sampling.given import find_known
from molgen.sampling.plan import make_plan
from molgen.sampling.progress import progress_bar
from molgen.sampling.quantised import quantised
from molgen.sampling.request import PlanOptions, Request
from molgen.sampling.run import Run, Sample, Tally

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel
    from molgen.eval.evaluation import Evaluation


class Options(TypedDict, total=False):
    """Keyword arguments of :meth:`Generator.sample` and :meth:`Generator.stream`.

    Attributes:
        steps: Network calls per molecule; 4 unless given.
        seed: Molecule i depends on the seed and on i alone; 0 unless given.
        n_atoms: Smallest and largest atom count, hydrogens included; None follows the data.
        batch_size: Molecules per network call; None suits the device.
        decode: ``"map"`` (the most probable state that obeys the valences) or ``"argmax"``.
        valid_only: Keep drawing until all molecules pass the checks.
        plan: Another solver or grid than the model's best.
        formula: Composition of every molecule, such as ``"C6H6O"``.
        like: File of molecules; molecule i gets the composition of record i, round and round.
        scaffold: 3D file whose first molecule is part of every molecule, atoms kept in place.
        int8: Compute in eight-bit integers; CPU only, faster, molecules differ slightly.
    """

    steps: int
    seed: int
    n_atoms: tuple[int, int] | None
    batch_size: int | None
    decode: str
    valid_only: bool
    plan: PlanOptions
    formula: str | None
    like: str | None
    scaffold: str | None
    int8: bool


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

    def sample(
        self, n: int, *, progress: bool | None = None, **options: Unpack[Options]
    ) -> list[Chem.Mol]:
        """Make ``n`` molecules.

        Args:
            n: Number of molecules.
            progress: Whether to show a bar; None shows it in a terminal or a notebook only.
            **options: See :class:`Options`.

        Returns:
            Molecules with explicit hydrogens, one conformer (Å), a title and the properties
            ``molgen_valid``, ``molgen_reason``, ``molgen_index``, ... A molecule that fails a
            check is returned too, unsanitised, with the reason.

        Raises:
            UsageError: If an option is out of range.
        """
        mols = []
        with progress_bar("sampling", n, show=progress) as advance:
            for mol in self.stream(n, **options):
                mols.append(mol)
                advance(len(mols))
        return mols

    def stream(self, n: int, **options: Unpack[Options]) -> Iterator[Chem.Mol]:
        """Make ``n`` molecules one after another, as :meth:`sample` does.

        Raises:
            UsageError: If an option is out of range.
        """
        run = self.run(Request(n=n, **options))
        return (_labelled(run, sample) for sample in run.stream(Tally()))

    def run(self, request: Request) -> Run:
        """Bind a request to this model.

        Raises:
            UsageError: If the request names an unknown solver or schedule, or atoms that the
                model does not know, or asks for integers on a GPU.
            DataError: If a file that the request names cannot be read.
        """
        info = self.model.info
        plan = make_plan(info, request.steps, request.plan)
        known = find_known(info, request)
        model = quantised(self.model, plan) if request.int8 else self.model
        return Run(model, request, plan, known)


def load(name_or_path: str | Path = "qm9", device: str = "auto") -> Generator:
    """Load a model.

    Args:
        name_or_path: Name of a shipped model, or a ``.safetensors`` file.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Returns:
        The generator.

    Raises:
        UsageError: If there is no model of that name.
        CheckpointError: If the weights are missing, truncated or of an unknown format.
    """
    return Generator(load_model(name_or_path, device))


def evaluate(
    molecules: str | Path | Iterable[Chem.Mol], reference: str | None = "qm9"
) -> Evaluation:
    """Check molecules; every rate is over all of them.

    Args:
        molecules: An SDF or XYZ file, or RDKit molecules with one conformer each.
        reference: Real molecules to compare with, by name; None for no comparison.

    Returns:
        The scores.

    Raises:
        DataError: If the file cannot be read or the reference is unknown.
        ChemistryError: If a molecule has no conformer.
    """
    from molgen.data.reference import load_reference
    from molgen.eval.files import evaluate_file
    from molgen.eval.metrics import evaluate as evaluate_molecules

    if isinstance(molecules, str | Path):
        return evaluate_file(molecules, reference)
    known = load_reference(reference) if reference is not None else None
    return evaluate_molecules([molecule_of(mol) for mol in molecules], known)


def _labelled(run: Run, sample: Sample) -> Chem.Mol:
    mol = sample.mol
    mol.SetProp("_Name", run.title(sample.index))
    for name, value in run.tags(sample).items():
        mol.SetProp(name, str(value).lower() if isinstance(value, bool) else str(value))
    return mol

"""The package from Python: load a model, make molecules, check them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from rdkit import Chem

from molgen.checkpoint import load_model
from molgen.chem.mol import molecule_of
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.editing.originals import Original, originals_of
from molgen.sampling.editing.requests import VaryRequest
from molgen.sampling.editing.vary import Variations
from molgen.sampling.known.given import find_known
from molgen.sampling.plan import make_plan
from molgen.sampling.progress import progress_bar
from molgen.sampling.quantised import quantised
from molgen.sampling.recording import Recordable
from molgen.sampling.request import Request
from molgen.sampling.run import Run, Sample, Tally
from molgen.sampling.steering.steering import Guide
from molgen.sampling.steering.wanted import find_steering

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
        decode: ``"geometry"`` (the most probable state that obeys the valences, with the
            distances' own evidence), ``"map"`` (without it) or ``"argmax"``.
        valid_only: Keep drawing until all molecules pass the checks.
        plan: Another solver or grid than the model's best.
        formula: Composition of every molecule, such as ``"C6H6O"``.
        like: File of molecules; molecule i gets the composition of record i, round and round.
        scaffold: 3D file whose first molecule is part of every molecule, atoms kept in place.
        guidance: How much to insist on the scaffold; 1, the default, is as the model does. Each
            guided network call costs another. For models with noise levels per atom.
        guidance_interval: Smallest and largest noise, in Å, at which to guide; None for all.
        avoid: 3D file (.sdf, .xyz, .pdb) in the frame of the scaffold; molecules keep away from
            its atoms.
        guide: Energy ``[B]`` in kT, to be lowered, of positions ``[B, N, 3]`` in Å (in the frame
            of the scaffold, else centred), element probabilities ``[B, N, K]`` and real atoms
            ``[B, N]``; differentiable by PyTorch.
        int8: Compute in eight-bit integers; CPU only, faster, molecules differ slightly.
        relax: Mend every geometry by a force field (MMFF94s) after the network; bonds and given
            atoms stay, the property ``molgen_relaxed`` says how, or ``no`` and why not. Neither
            ``avoid`` nor ``guide`` has a say in it.
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
    guidance: float | None
    guidance_interval: tuple[float, float] | None
    avoid: str | None
    guide: Guide | None
    int8: bool
    relax: bool


class VaryOptions(TypedDict, total=False):
    """Keyword arguments of :meth:`Generator.vary`.

    Attributes:
        n: New molecules per given one; 10 unless given.
        strength: How far they may go, above 0 up to 1; 0.5 unless given.
        steps: Network calls per molecule; 8 unless given.
        seed: Variation i of molecule k depends on the seed, i and k alone; 0 unless given.
        batch_size: Molecules per network call; None suits the device.
        decode: As in :class:`Options`.
        relax: As in :class:`Options`.
    """

    n: int
    strength: float
    steps: int
    seed: int
    batch_size: int | None
    decode: str
    relax: bool


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
        return _collected(self.run(Request(n=n, **options)), progress)

    def stream(self, n: int, **options: Unpack[Options]) -> Iterator[Chem.Mol]:
        """Make ``n`` molecules one after another, as :meth:`sample` does.

        Raises:
            UsageError: If an option is out of range.
        """
        run = self.run(Request(n=n, **options))
        return (_labelled(run, sample) for sample in run.stream(Tally()))

    def vary(
        self,
        mols: Chem.Mol | Iterable[Chem.Mol],
        *,
        progress: bool | None = None,
        **options: Unpack[VaryOptions],
    ) -> list[Chem.Mol]:
        """Make molecules near given ones, of as many atoms and where they stand.

        Args:
            mols: One molecule or several, with a conformer (Å) and explicit hydrogens.
            progress: As for :meth:`sample`.
            **options: See :class:`VaryOptions`.

        Returns:
            ``n`` molecules for each given one, in order, as :meth:`sample` returns them, with
            ``molgen_source`` (title of the given one), ``molgen_strength`` and
            ``molgen_similarity`` (Tanimoto, Morgan fingerprints; valid molecules only).

        Raises:
            UsageError: If an option is out of range, or a molecule has no 3D coordinates, lacks
                hydrogens, or is of elements or of a size that the model does not know.
        """
        given = [mols] if isinstance(mols, Chem.Mol) else mols
        request = VaryRequest(**options)
        return _collected(self.variations(originals_of(self.model.info, given), request), progress)

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
        plan = make_plan(info, request.steps, request.plan)
        known = find_known(info, request)
        # Tau and logit_bias were found for molecules of which nothing is known.
        plan = plan if known is None else plan.plain()
        steering = find_steering(info, request, known)
        model = quantised(self.model, plan) if request.int8 else self.model
        return Run(model, request, plan, known, steering)


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
    molecules: str | Path | Iterable[Chem.Mol],
    reference: str | None = "qm9",
    *,
    xtb: int | None = None,
) -> Evaluation:
    """Check molecules; every rate is over all of them.

    Args:
        molecules: An SDF or XYZ file, or RDKit molecules with one conformer each.
        reference: Real molecules to compare with, by name; None for no comparison.
        xtb: How many molecules, the first, to relax in GFN2-xTB too, a second or so each; None
            for none. Needs the extra ``molgen[xtb]``.

    Returns:
        The scores.

    Raises:
        DataError: If the file cannot be read or the reference is unknown.
        ChemistryError: If a molecule has no conformer.
        UsageError: If ``xtb`` is below 1, or tblite is missing.
    """
    from molgen.data.reference import load_reference
    from molgen.eval.files import evaluate_file
    from molgen.eval.metrics import evaluate as evaluate_molecules

    if isinstance(molecules, str | Path):
        return evaluate_file(molecules, reference, xtb=xtb)
    known = load_reference(reference) if reference is not None else None
    return evaluate_molecules([molecule_of(mol) for mol in molecules], known, xtb=xtb)


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

"""``molgen benchmark conformers``: a model beside other generators, on reference ensembles."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molgen.cli import options
from molgen.cli.console import bar_of_stages, emit, note
from molgen.sampling.destination import check_new

if TYPE_CHECKING:
    from rdkit.Chem import Mol

    from molgen.metrics.conformer_benchmark import Maker, Trial
    from molgen.metrics.conformer_references import Reference
    from molgen.tasks.conformers import ConformerModel

COLUMNS = (
    *("amr_r", "amr_r_median", "cov_r@0.75", "amr_p", "amr_p_median", "cov_p@0.75"),
    *("torsion", "diversity", "stereo", "failed", "strain"),
)
ON_REQUEST = {"gfn2": ("gfn2", "gfn2_rmsd"), "posebusters": ("posebusters",)}
THRESHOLDS = tuple(f"cov_{side}@{t}" for side in "rp" for t in ("0.5", "0.75", "1", "1.25"))
COMPARED = ("amr_r", "cov_r@0.75", "amr_p", "cov_p@0.75")
STEPS = (1, 2, 4, 8)
BASELINES = ("ETKDGv3", "ETKDGv3 + MMFF94s")


def conformers(
    references: Annotated[
        Path,
        typer.Argument(
            help="Folder of ensembles, as molgen data ensembles makes; or .sdf, .sdf.gz."
        ),
    ],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Molecules.")] = 100,
    most: Annotated[int, typer.Option(min=1, help="References per molecule at most.")] = 10,
    n_conformers: Annotated[
        int | None,
        typer.Option("--conformers", min=1, help="Of each molecule; unset, twice the references."),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Network calls; may be repeated. Default 1, 2, 4 and 8."),
    ] = None,
    pool: Annotated[
        int, typer.Option(min=1, help="Also choose by energy from this many times as many.")
    ] = 1,
    init: Annotated[
        list[str] | None,
        typer.Option(help="Also start at noise, etkdg or mixed, whatever suits; may be repeated."),
    ] = None,
    minimise: Annotated[bool, typer.Option(help="Also minimise by MMFF94s.")] = True,
    preset: Annotated[
        list[str] | None,
        typer.Option(help="In place of these, a preset of molgen conformers; may be repeated."),
    ] = None,
    gfn2: Annotated[
        int,
        typer.Option(min=0, help="Conformers of each molecule to relax in GFN2-xTB; seconds each."),
    ] = 0,
    posebusters: Annotated[bool, typer.Option("--posebusters", help="Run fast checks.")] = False,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only molecules that training left out by itself.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="Name of a shipped model, or a .safetensors file.")
    ] = "conformers",
    table: Annotated[
        Path | None, typer.Option("--csv", help="A row per generator and molecule.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: options.Force = False,
) -> None:
    """Compare conformers with reference ensembles, beside ETKDGv3, MMFF94s and CONFORGE.

    AMR in Å, COV at .5, .75, 1 and 1.25 Å, both over symmetric heavy-atom RMSD; failures count as
    uncovered. Torsion: Jensen-Shannon divergence per rotatable bond, bits. Diversity: mean RMSD of
    two conformers, Å. Strain: median energy above the next MMFF94s minimum, kcal/mol. Differences
    have 95 % intervals by a paired bootstrap over molecules. CONFORGE runs where CDPKit is
    installed.
    """
    from molgen.checkpoint import find_model
    from molgen.chem import gfn2 as xtb
    from molgen.errors import DataError
    from molgen.metrics.conformer_benchmark import Judges, trial
    from molgen.metrics.conformer_references import references as read
    from molgen.metrics.posebusters import check_posebusters
    from molgen.tasks.conformer_weights import load_conformer_model

    if table is not None:
        check_new(table, "--csv", force=force)
    check_posebusters("fast" if posebusters else None)
    if gfn2:
        xtb.calculator()
    judges = Judges(gfn2, posebusters)
    asked = [one for name, each in ON_REQUEST.items() if getattr(judges, name) for one in each]
    columns = (*COLUMNS, *asked, "ms")
    loaded = load_conformer_model(find_model(model), device)
    chosen = list(read(references, n, most=most, held_out=held_out))
    if not chosen:
        raise DataError(f"{references} holds no conformers", "Make them: molgen data ensembles")
    if preset:
        makers = {one: _maker(loaded.model, preset=one) for one in preset}
    else:
        makers = _own(loaded.model, steps or STEPS, pool, minimise=minimise)
        makers |= {
            f"{k} calls from {one}": _maker(loaded.model, steps=k, init=one)
            for one in init or ()
            for k in steps or STEPS
        }
    makers |= _others()
    trials: dict[str, list[Trial]] = {}
    emit(f"{len(chosen)} molecules, conformers: {n_conformers or 'twice the references'}\n")
    emit(f"| generator | {' | '.join(columns)} |")
    emit("|---" * (len(columns) + 1) + "|")
    with bar_of_stages() as advance:
        for name, make in makers.items():
            trials[name] = []
            for number, one in enumerate(chosen):
                advance(name, number, len(chosen))
                trials[name].append(trial(make, one, n_conformers, judges))
            emit(_line(name, trials[name], columns))
    emit(f"\n| coverage | {' | '.join(THRESHOLDS)} |")
    emit("|---" * (len(THRESHOLDS) + 1) + "|")
    for name, made in trials.items():
        emit(_line(name, made, THRESHOLDS))
    _compare(trials)
    if table is not None:
        _write(table, trials, chosen, columns)
        note(f"{table}: a row per generator and molecule")


def _own(
    model: ConformerModel, steps: Sequence[int], pool: int, *, minimise: bool
) -> dict[str, Maker]:
    makers = {f"{one} calls": _maker(model, steps=one) for one in steps}
    if pool > 1:
        makers |= {f"{k} calls, pool {pool}": _maker(model, steps=k, pool=pool) for k in steps}
    if minimise:
        last = max(steps)
        makers[f"{last} calls + MMFF94s"] = _maker(model, steps=last, minimise="mmff94s")
    return makers


def _others() -> dict[str, Maker]:
    from molgen.metrics import conforge
    from molgen.metrics.conformer_benchmark import etkdg, etkdg_mmff

    makers: dict[str, Maker] = dict(zip(BASELINES, (etkdg, etkdg_mmff), strict=True))
    if conforge.is_installed():
        makers["CONFORGE"] = conforge.conforge
    return makers


def _maker(model: ConformerModel, preset: str | None = None, **options: Any) -> Maker:
    """Conformers of a model: as many as asked for, or as a preset says."""
    from molgen.sampling.conformers.request import ConformerRequest, with_preset
    from molgen.sampling.conformers.stream import sample_conformers

    chosen = with_preset(ConformerRequest(**options), preset, {"timeout"})

    def make(smiles: str, n: int) -> Mol | None:
        request = chosen if preset else replace(chosen, n=n)
        return sample_conformers(model, [smiles], request)[0].mol

    return make


def _line(name: str, trials: Sequence[Trial], columns: Sequence[str]) -> str:
    from molgen.metrics.conformer_benchmark import table_row

    row = table_row(trials)
    return f"| {name} | " + " | ".join(f"{row[one]:.3f}" for one in columns) + " |"


def _compare(trials: Mapping[str, Sequence[Trial]]) -> None:
    from molgen.metrics.conformer_benchmark import paired_interval

    for baseline in BASELINES:
        emit(f"\nminus {baseline}, mean and 95 % interval:\n")
        emit(f"| generator | {' | '.join(COMPARED)} |")
        emit("|---" * (len(COMPARED) + 1) + "|")
        for name, one in trials.items():
            if name != baseline:
                found = [paired_interval(one, trials[baseline], score) for score in COMPARED]
                cells = [f"{mean:+.3f} ({low:+.3f} to {high:+.3f})" for mean, low, high in found]
                emit(f"| {name} | {' | '.join(cells)} |")


def _write(
    path: Path,
    trials: Mapping[str, Sequence[Trial]],
    chosen: Sequence[Reference],
    columns: Sequence[str],
) -> None:
    from molgen.atomic import atomic_path
    from molgen.metrics.conformer_benchmark import table_row

    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        columns = [*dict.fromkeys((*columns, *THRESHOLDS))]
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["generator", "smiles", "references", "conformers", *columns])
        for name, made in trials.items():
            for reference, one in zip(chosen, made, strict=True):
                row = table_row([one])
                cells = [f"{row[column]:.4g}" for column in columns]
                n_references = reference.mol.GetNumConformers()
                writer.writerow([name, reference.smiles, n_references, one.n, *cells])

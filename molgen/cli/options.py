"""The options that ``molgen sample`` takes, each said once."""

from __future__ import annotations

from typing import Annotated

import typer

_OUTPUT = "Output"
_KNOWN = "What is known beforehand (at most one)"
_AROUND = "Around a scaffold"
_PLAN = "Solver and grid (the defaults are those measured best for the model)"

Model = Annotated[str, typer.Option(help="Name of a shipped model, or a .safetensors file.")]
SuitedModel = Annotated[
    str | None,
    typer.Option(
        help="Name of a shipped model, or a .safetensors file; unset, qm9, or qm9-scaffold "
        "with --scaffold."
    ),
]
Steps = Annotated[int, typer.Option(help="Network calls per molecule.")]
Count = Annotated[int, typer.Option("--n", "-n", help="Number of records.")]
Seed = Annotated[int, typer.Option(help="Molecule i depends on the seed and on i alone.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
BatchSize = Annotated[
    int | None, typer.Option(help="Molecules per network call; unset, what suits the device.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes that decode, check and write; unset, what suits the device. 1 is none "
        "beside the main one."
    ),
]
Sizes = Annotated[
    str | None, typer.Option(metavar="N|MIN-MAX", help="Atom counts, hydrogens included.")
]
Decode = Annotated[
    str,
    typer.Option(
        help="geometry: the best state that obeys the valences and fits the distances; map: the "
        "same without the distances; argmax: of each head."
    ),
]
Relax = Annotated[
    bool,
    typer.Option(
        "--relax",
        help="Mend every geometry by a force field (MMFF94s) after the network: bonds and given "
        "atoms stay, the others move by some 0.3 Å. What --avoid names is not seen.",
    ),
]
ValidOnly = Annotated[
    bool, typer.Option("--valid-only", help="Keep drawing until N molecules pass the checks.")
]

Formula = Annotated[
    str | None, typer.Option(rich_help_panel=_KNOWN, help="Composition, such as C6H6O.")
]
Like = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_KNOWN,
        help="Composition of record i for molecule i: .sdf, .smi or .xyz.",
    ),
]
Scaffold = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_KNOWN,
        help="3D file: keep the atoms of its first molecule in place, add the others.",
    ),
]

Guidance = Annotated[
    float | None,
    typer.Option(
        metavar="SCALE",
        rich_help_panel=_AROUND,
        help="How much the scaffold counts: 1 is as the model does it, above 1 more. Each guided "
        "network call costs another one. For models with noise levels per atom.",
    ),
]
GuidanceInterval = Annotated[
    str | None,
    typer.Option(
        metavar="LOW-HIGH",
        rich_help_panel=_AROUND,
        help="Guide only where the noise, in Å, is within, such as 0.1-2.",
    ),
]
Avoid = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_AROUND,
        help="Keep away from the atoms of this 3D file (.sdf, .xyz, .pdb), in the same frame.",
    ),
]

Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help=".sdf, .sdf.gz, .smi or .xyz; - writes SDF to stdout.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", rich_help_panel=_OUTPUT, help="Write the numbers; - for stdout."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", rich_help_panel=_OUTPUT, help="Complete a killed run.")
]
Force = Annotated[
    bool, typer.Option("--force", rich_help_panel=_OUTPUT, help="Replace existing output.")
]
Metrics = Annotated[
    bool, typer.Option("--metrics/--no-metrics", rich_help_panel=_OUTPUT, help="Check the result.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="No bar, no table.")
]

Int8 = Annotated[
    bool, typer.Option("--int8", help="Eight-bit integers: faster on a CPU, slightly less exact.")
]
Schedule = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PLAN, help="Noise schedule, such as issnr, smld or otflow."),
]
Grid = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_PLAN,
        help="How calls are spaced, such as karras, log-snr or entropy; unset, in the schedule's "
        "time.",
    ),
]
Shift = Annotated[
    float | None,
    typer.Option(rich_help_panel=_PLAN, help="Factor of all noise levels; above 1 is noisier."),
]
Solver = Annotated[
    str | None, typer.Option(rich_help_panel=_PLAN, help="How to take a step, such as ddim.")
]
TotalVariance = Annotated[
    str | None,
    typer.Option(
        "--tv",
        rich_help_panel=_PLAN,
        help="Frame of euler, heun and rk45: const, ve, ot or native.",
    ),
]
Rho = Annotated[
    float | None, typer.Option(rich_help_panel=_PLAN, help="Noise of a stochastic solver.")
]
Eta = Annotated[float | None, typer.Option(rich_help_panel=_PLAN, help="Slope of ISSNR.")]
Kappa = Annotated[float | None, typer.Option(rich_help_panel=_PLAN, help="Offset of ISSNR.")]

Given = Annotated[
    str,
    typer.Argument(metavar="FILE", help="3D molecules with all hydrogens: .sdf, .sdf.gz or .xyz."),
]
Variants = Annotated[int, typer.Option("--n", "-n", help="New molecules per given one.")]
Strength = Annotated[
    float, typer.Option(help="How far from the given molecule: above 0 (itself) up to 1.")
]

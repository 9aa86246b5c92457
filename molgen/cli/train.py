"""``molgen train``: a configuration to a checkpoint, within a time box."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from molgen.cli.console import note
from molgen.did_you_mean import unknown
from molgen.errors import ConfigError


@dataclass(frozen=True)
class _Asked:
    """What the command line says of a run."""

    recipe: Path
    out: Path
    max_time: timedelta | None
    resume: bool
    device: str
    devices: int
    nodes: int


def train(
    config: Annotated[
        Path, typer.Argument(help="A recipe: a YAML file, or the name of a shipped one.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated."),
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="HH:MM:SS", help="Stop, annealed, within this time.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default runs/NAME.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="Processes of each machine that share every batch.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
) -> None:
    """Train a model; a killed run goes on with --resume."""
    from molgen.config import load_tree
    from molgen.train.time_budget import seconds_of

    tree = load_tree(config, overrides or [])
    domain = str(tree.get("domain", "molecules"))[:80]
    if domain not in _DOMAINS:
        raise ConfigError(*unknown("domain", domain, _DOMAINS))
    seconds = seconds_of(max_time)
    limit = timedelta(seconds=seconds) if seconds else None
    folder = out or Path("runs") / config.stem
    if devices * nodes > 1 and domain != "molecules":
        raise ConfigError(f"{domain} are trained on one device", "Leave out --devices, --nodes")
    _DOMAINS[domain](tree, _Asked(config, folder, limit, resume, device, devices, nodes))


def _molecules(tree: dict[str, Any], asked: _Asked) -> None:
    from molgen.config import parse_config

    recipe = parse_config(tree, str(asked.recipe))
    from molgen.train.parallel import Devices
    from molgen.train.run import train as run_training

    devices = Devices(asked.devices, asked.nodes)
    weights = run_training(
        recipe,
        name=asked.recipe.stem,
        max_time=asked.max_time,
        resume=asked.resume,
        out=asked.out,
        device=asked.device,
        devices=devices,
    )
    if devices.is_follower:
        return
    note(f"{weights} holds the averaged weights; use it: molgen sample --model {weights}")


def _images(tree: dict[str, Any], asked: _Asked) -> None:
    from molgen.images.config import parse_image_config

    recipe = parse_image_config(tree, str(asked.recipe))
    from molgen.cli.images import needs_extra

    with needs_extra():
        from molgen.images.run import train as run_training
    from molgen.train.fit import RunOptions

    options = RunOptions(asked.out, asked.max_time, asked.resume, asked.device)
    weights = run_training(recipe, asked.recipe.stem, options)
    note(f"{weights} holds the averaged weights; use it: molgen images sample --model {weights}")


def _baselines(tree: dict[str, Any], asked: _Asked) -> None:
    from molgen.baselines.config import parse_baseline_config

    recipe = parse_baseline_config(tree, str(asked.recipe))
    from molgen.baselines.run import train as run_training
    from molgen.train.fit import RunOptions

    options = RunOptions(asked.out, asked.max_time, asked.resume, asked.device)
    weights = run_training(recipe, asked.recipe.stem, options)
    compare = f"python -m benchmarks baselines {weights}"
    note(f"{weights} holds the averaged weights; compare it: {compare}")


def _conformers(tree: dict[str, Any], asked: _Asked) -> None:
    from molgen.config import validated
    from molgen.config.conformers import ConformerConfig

    recipe = validated(ConformerConfig, tree, str(asked.recipe))
    from molgen.train.conformers import train as run_training
    from molgen.train.fit import RunOptions

    options = RunOptions(asked.out, asked.max_time, asked.resume, asked.device)
    weights = run_training(recipe, asked.recipe.stem, options)
    note(f"{weights} holds the averaged weights; use it: molgen conformers --model {weights}")


_DOMAINS: Mapping[str, Callable[[dict[str, Any], _Asked], None]] = MappingProxyType(
    {
        "molecules": _molecules,
        "images": _images,
        "baselines": _baselines,
        "conformers": _conformers,
    }
)

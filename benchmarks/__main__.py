"""``python -m benchmarks COMMAND``: what was measured, and how to measure it again."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from types import MappingProxyType
from typing import Final

from molgen.errors import MolgenError

COMMANDS: Final = MappingProxyType(
    {
        "results measure": "results.measure",
        "results report": "results.report",
        "schedules measure": "schedules.measure",
        "schedules report": "schedules.report",
        "presets": "presets.search",
        "images measure": "images.measure",
        "images presets": "images.presets",
        "cost": "cost",
        "speed": "speed",
        "decode": "decode",
        "batches": "batches",
        "bulk": "bulk",
        "kills": "kills",
        "million": "million",
        "scaffolds": "scaffolds",
        "variations": "variations",
        "baselines": "baselines",
        "profile": "profiling.training",
        "error-curve": "error_curve",
        "card": "card",
        "ceiling": "ceiling",
        "crystals": "crystals",
        "conformers-plot": "conformers_plot",
        "sample-store": "sample_store",
        "gallery": "gallery",
        "trajectory": "trajectory",
        "training-curves": "training_curves",
        "mean-weights": "mean_weights",
        "gpu-road": "gpu_road",
    }
)
"""Module of every command: its ``add_options(parser)`` and ``main(options)``."""


def named(words: list[str]) -> tuple[str, list[str]]:
    """The command at the beginning of some words, and the rest of them; empty if there is none."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    return "", words


def main(words: list[str]) -> int:
    """Run a command; without one, list them all."""
    name, rest = named(words)
    if not name:
        usage = "usage: python -m benchmarks COMMAND [OPTIONS]\n\n"
        print(usage + "\n".join(COMMANDS), file=sys.stderr if words else sys.stdout)
        return 2 if words and words[0] not in ("-h", "--help") else 0
    module = import_module(f"benchmarks.{COMMANDS[name]}")
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_options(parser)
    try:
        return module.main(parser.parse_args(rest)) or 0
    except MolgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

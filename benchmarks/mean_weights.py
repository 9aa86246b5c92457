"""Make one small file of weights out of several runs from the same start: their mean, in halves.

    python -m benchmarks mean-weights qm9-few runs/a/model.safetensors runs/b/model.safetensors \
      --from qm9 --out molgen/weights/qm9-few.safetensors

Half precision halves the file; a network reads it into single precision again. Steps, molecules and
seconds of the runs are added up in the header, with those of stages before them if their files are
named by ``--after``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from molgen.checkpoint import LoadedModel, load_model, read_info
from molgen.models.denovo import DeNovo
from molgen.models.info import ModelInfo
from molgen.weights_file import save_network

COUNTED = ("steps", "molecules", "seconds")
"""Facts of training that runs add up to."""


def mean_of(runs: list[LoadedModel]) -> DeNovo:
    """The first model with the mean of all weights, taken in double precision.

    Raises:
        SystemExit: The runs' networks differ.
    """
    states = [run.model.state_dict() for run in runs]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(one != shapes[0] for one in shapes):
        raise SystemExit(
            "ship_weights.py: the runs have different networks; give runs of one recipe"
        )
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype)
        for name, value in states[0].items()
    }
    model: DeNovo = runs[0].model
    model.load_state_dict(mean)
    return model


def totals(infos: list[ModelInfo]) -> dict[str, Any]:
    """What runs and earlier stages counted, added up."""
    return {name: round(sum(one.training.get(name, 0) for one in infos)) for name in COUNTED}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--after", type=Path, nargs="+", default=[], help="weights of earlier stages"
    )
    parser.add_argument("--from", dest="origin", default="", help="what the first stage began with")
    parser.add_argument("--stages", default="", help="where the stages are told")
    parser.add_argument("--hardware", help="what to say instead of what the runs say")


def main(options: argparse.Namespace) -> None:
    """Read, average, write in one move."""
    runs = [load_model(path, "cpu") for path in options.runs]
    earlier = [read_info(path) for path in options.after]
    said = {"from": options.origin, "stages": options.stages, "hardware": options.hardware}
    facts = {name: value for name, value in said.items() if value}
    info = runs[0].info.trained(**totals([*earlier, *(run.info for run in runs)]), **facts)
    if options.origin:
        # Where a run began is a place on somebody's disk; where the first stage did, is not.
        config = info.config
        train = config.train.model_copy(update={"init": options.origin})
        info = replace(info, config=config.model_copy(update={"train": train}))
    save_network(options.out, mean_of(runs), replace(info, name=options.name), torch.float16)
    print(f"{options.out}: mean of {len(runs)}, {options.out.stat().st_size / 1e6:.2f} MB")

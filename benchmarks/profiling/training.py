"""How fast a recipe trains and where the time goes, on any device.

    python -m benchmarks profile configs/qm9.yaml --device cuda --set train.batch_size=1024

A short run on Lightning's road with the recipe's own data, noise, network and optimiser; nothing
of it is kept. On a GPU the stages are timed by its events, so that a stage that waits for the host
shows. Operations are those of matrix products; traffic is what all operations would move one by
one, so a compiled network needs less. A network that is compiled (--set train.compile=true) is so
at the first batch of each width: give it an epoch of warm-up.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.profiling.costs import cost_of, peak_gbps, peak_memory, peak_tflops
from benchmarks.profiling.stages import STAGES, Observer, Stopwatch, TimedStream, attach
from molgen.chem.elements import Vocabulary
from molgen.config import Config, load_config
from molgen.data.loader import BatchStream, load_split
from molgen.data.store import MoleculeStore
from molgen.device import keep_freed_memory, pick_device
from molgen.models.build import build
from molgen.train.fit import machine, quiet_trainer
from molgen.train.module import DenoisingModule
from molgen.train.time_budget import TimeBudget


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="YAML recipe or the name of a shipped one")
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--warmup", type=int, default=5, help="steps before the measurement")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--peak-tflops", type=float, help="default: measured")
    parser.add_argument("--peak-gbps", type=float, help="default: measured")
    parser.add_argument("--trace", type=Path, help="write a Chrome trace of two more steps")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")


def run(config: Config, device: torch.device, observer: Observer) -> dict[str, Any]:
    """Train for the observer's steps; the numbers that need the device's clock."""
    store = MoleculeStore.open(config.data.folder)
    vocabulary = Vocabulary(tuple(config.data.atomic_numbers), tuple(config.data.charges))
    data = load_split(store, "train", vocabulary, device)
    pl.seed_everything(config.train.seed, verbose=False)
    max_atoms = int(store.n_atoms.max())
    budget = TimeBudget(config.train.max_steps, None)
    module = DenoisingModule(build(config, max_atoms), config, budget)
    attach(module, observer.watch)
    batches = BatchStream(data, config.train.batch_size, config.train.seed)
    stream = TimedStream(batches, observer.watch, observer.warmup + observer.steps)
    trainer = quiet_trainer(config, device, [observer], max_steps=observer.n_steps)
    trainer.fit(module, train_dataloaders=stream)
    memory = peak_memory(device)
    plain = DenoisingModule(build(_plain(config), max_atoms), _plain(config), budget).to(device)
    measured = stream.kept[observer.warmup :]
    flops, traffic = cost_of(plain, measured)
    return {
        "molecules_per_second": sum(len(b.mask) for b in measured) / observer.seconds,
        "seconds": observer.watch.seconds(),
        "flops_per_molecule": flops,
        "traffic_per_molecule": traffic,
        "peak_memory_mib": memory,
        "widths": sorted({b.mask.shape[1] for b in measured}),
        "waits_per_step": sum(observer.waits.values()) if device.type == "cuda" else None,
        "waits": dict(observer.waits),
    }


def _plain(config: Config) -> Config:
    """The recipe without compilation, whose operations can be counted."""
    return config.model_copy(update={"train": config.train.model_copy(update={"compile": False})})


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Profile, and relate the rates to what the device can do."""
    keep_freed_memory()
    config, device = load_config(options.recipe, options.set), pick_device(options.device)
    observer = Observer(Stopwatch(device), options.warmup, options.steps, options.trace)
    found = run(config, device, observer)
    tflops = options.peak_tflops or peak_tflops(device)
    gbps = options.peak_gbps or peak_gbps(device)
    rate = found["molecules_per_second"]
    found |= {
        "recipe": str(options.recipe),
        "set": options.set,
        "batch_size": config.train.batch_size,
        "compile": config.train.compile,
        **machine(device),
        "steps": options.steps,
        "peak_tflops": tflops,
        "peak_gbps": gbps,
        "flop_utilisation": rate * found["flops_per_molecule"] / (tflops * 1e12),
        "arithmetic_bound": tflops * 1e12 / found["flops_per_molecule"],
        "bandwidth_bound": gbps * 1e9 / found["traffic_per_molecule"],
    }
    return found


def show(found: dict[str, Any]) -> None:
    """Print a table."""
    total = sum(found["seconds"].values())
    print(f"{found['hardware']}, torch {found['torch']}, batches of {found['batch_size']}")
    print(f"{'stage':<10} {'ms/step':>9} {'share':>6}")
    for stage in STAGES:
        spent = found["seconds"][stage]
        print(f"{stage:<10} {spent / found['steps'] * 1e3:9.2f} {spent / total:6.1%}")
    print(f"{'all':<10} {total / found['steps'] * 1e3:9.2f}")
    print(f"molecules/s        {found['molecules_per_second']:.5g}")
    print(f"  if arithmetic alone counted {found['arithmetic_bound']:.4g}")
    print(f"  if unfused traffic alone counted {found['bandwidth_bound']:.4g}")
    print(f"MFLOP/molecule     {found['flops_per_molecule'] / 1e6:.4g}")
    print(f"MB/molecule        {found['traffic_per_molecule'] / 1e6:.4g}")
    print(f"peak               {found['peak_tflops']:.4g} TFLOP/s, {found['peak_gbps']:.4g} GB/s")
    print(f"FLOP utilisation   {found['flop_utilisation']:.2%}")
    print(f"memory             {found['peak_memory_mib']:.0f} MiB")
    print(f"widths             {found['widths']}")
    if found["waits_per_step"] is not None:
        print(f"waits for device   {found['waits_per_step']} in a step")
    for place, count in sorted(found["waits"].items()):
        print(f"  {count} x {place}")


def main(options: argparse.Namespace) -> None:
    """Train for some steps, print where the time went."""
    found = report(options)
    show(found)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")

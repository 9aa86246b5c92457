"""A run in shards on a cluster of several nodes, while workers, actors and a node are killed.

    python -m benchmarks bulk --n 100000 --kills 20

Ray's own utility makes three nodes on this machine. The records of the shards are compared with
those of one process that nobody disturbs: titles, order, tags, atoms and bonds must be equal,
coordinates up to rounding, since batches begin elsewhere. Printed: records, kills, the rates of
both, the largest memory of a worker, and the largest difference of a coordinate. Rows, memory and
kills over time go to benchmarks/data/bulk.csv and docs/bulk.png.
"""

from __future__ import annotations

import argparse
import csv
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import psutil
import ray
from ray.cluster_utils import Cluster

from molgen.bulk.folder import open_folder
from molgen.bulk.jobs import SampleJob
from molgen.bulk.merge import merge
from molgen.bulk.ray_engine import RayEngine
from molgen.bulk.run import Work, in_this_process, run_shards
from molgen.chem.read import Record, read_records
from molgen.chem.render import SEAL
from molgen.sampling.request import Request, parse_sizes

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "data" / "bulk.csv"
PICTURE = ROOT / "docs" / "bulk.png"

N_NODES = 3

MOVED = 1e-3
"""Å and kcal/mol."""

FROM_COORDINATES = (
    *("molgen_energy", "molgen_relative_energy", "molgen_boltzmann_weight"),
    "molgen_moved",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--n-atoms", help="sizes as in molgen sample; unset, those of the data set")
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--expected-rate", type=float, default=150.0, help="molecules/s, to spread the kills"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", default="qm9-few")


@dataclass
class Watch:
    """What happened meanwhile.

    Attributes:
        kills: Processes that were killed.
        nodes: Nodes that were removed.
        peak: Largest resident memory of a worker, bytes.
        told: Seconds, finished shards, memory of the largest worker in GiB and kills so far.
    """

    kills: int = 0
    nodes: int = 0
    peak: int = 0
    told: list[tuple[float, int, float, int]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


def main(options: argparse.Namespace) -> int:
    sizes = None if options.n_atoms is None else parse_sizes(options.n_atoms)
    request = Request(options.n, steps=options.steps, seed=1, n_atoms=sizes)
    job = SampleJob(request, options.weights, "cpu")
    with tempfile.TemporaryDirectory() as name:
        whole = folder_of(job, Path(name, "whole"), 1)
        began = time.perf_counter()
        run_shards(whole, whole.folder.manifest.shards, in_this_process, lambda _: None)
        alone = options.n / (time.perf_counter() - began)
        print(f"one process: {alone:.1f} molecules/s", flush=True)
        parts = folder_of(job, Path(name, "parts"), options.shards)
        with (
            cluster(options.workers) as nodes,
            watched(options, nodes, parts.folder.path) as watch,
        ):
            began = time.perf_counter()
            failed = run_shards(
                parts,
                parts.folder.manifest.shards,
                RayEngine(n=options.workers),
                lambda _: None,
            )
            rate = options.n / (time.perf_counter() - began)
        n = merge(parts.folder, Path(name, "merged.sdf"), lambda _: None)
        merge(whole.folder, Path(name, "one.sdf"), lambda _: None)
        n_other, largest = differences(Path(name, "merged.sdf"), Path(name, "one.sdf"))
    print(
        f"{options.workers} workers on {N_NODES} nodes: {rate:.1f} molecules/s, {watch.kills} "
        f"kills, {watch.nodes} node removed, {len(failed)} shards failed, peak of a worker "
        f"{watch.peak / 2**30:.2f} GiB"
    )
    print(f"{n} records, {n_other} other than in one run; coordinates differ by {largest:.1e} Å")
    picture(watch, options.n / options.shards)
    return int(n_other > 0)


def folder_of(job: SampleJob, path: Path, n_shards: int) -> Work:
    """An empty run in shards."""
    return Work(job, open_folder(path, job.manifest(n_shards)))


def differences(one: Path, other: Path) -> tuple[int, float]:
    """Records that are not the same, and the largest difference of the others' coordinates, Å."""
    n, largest = 0, 0.0
    for a, b in zip_longest(read_records(one), read_records(other)):
        if a is None or b is None or facts(a) != facts(b):
            n += 1
            continue
        apart = np.abs(a.molecule.pos - b.molecule.pos).max(initial=0)
        pairs = zip(measured(a), measured(b), strict=True)
        n += apart > MOVED or any(abs(one - other) > MOVED for one, other in pairs)
        largest = max(largest, float(apart))
    return n, largest


def facts(record: Record) -> tuple[Any, ...]:
    """Everything that a record says but its coordinates, what follows from them, and the seal."""
    molecule = record.molecule
    tags = {
        name: "" if name in FROM_COORDINATES else value
        for name, value in record.tags.items()
        if name != SEAL
    }
    arrays = (molecule.atomic_numbers, molecule.formal_charge, molecule.bonds)
    return record.title, tags, *(one.tolist() for one in arrays)


def measured(record: Record) -> list[float]:
    """The tags whose last digit follows from the last digit of coordinates."""
    return [float(record.tags[name]) for name in FROM_COORDINATES if record.tags.get(name)]


@contextmanager
def cluster(n_workers: int) -> Iterator[list[Any]]:
    """Nodes on this machine, each with room for all workers, so that one can go."""
    one = Cluster(initialize_head=True, head_node_args={"num_cpus": n_workers})
    nodes = [one, *(one.add_node(num_cpus=n_workers) for _ in range(N_NODES - 1))]
    ray.init(address=one.address, log_to_driver=False)
    try:
        yield nodes
    finally:
        ray.shutdown()
        one.shutdown()


@contextmanager
def watched(options: argparse.Namespace, nodes: list[Any], folder: Path) -> Iterator[Watch]:
    """Kill at random moments while the block runs: workers, and in the middle a node."""
    watch = Watch()
    threads = [
        threading.Thread(target=_disturb, args=(options, nodes, watch), daemon=True),
        threading.Thread(target=_look, args=(folder, watch), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        watch.done.set()
        for thread in threads:
            thread.join()


def _look(folder: Path, watch: Watch) -> None:
    """Every second: finished shards and the memory of the largest worker."""
    began = time.perf_counter()
    while not watch.done.wait(1.0):
        sizes = [one.memory_info().rss for one in psutil.process_iter() if _is_worker(one)]
        watch.peak = max([watch.peak, *sizes])
        made = len(list(folder.glob("part-*.sdf.gz")))
        gib = max(sizes, default=0) / 2**30
        watch.told.append((time.perf_counter() - began, made, gib, watch.kills))


def picture(watch: Watch, rows: float) -> None:
    """Write what was seen over time as a table and as a plot."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seconds", "records", "worker_gib", "kills"])
        writer.writerows((round(s, 1), int(m * rows), round(g, 3), k) for s, m, g, k in watch.told)
    seconds, made, gib, kills = (np.array(one) for one in zip(*watch.told, strict=True))
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4.5), sharex=True)
    above.plot(seconds, made * rows)
    for when in seconds[1:][np.diff(kills) > 0]:
        above.axvline(when, color="tab:red", linewidth=0.7)
    above.set(ylabel="records", title=f"{watch.kills} kills (red) and a node removed")
    below.plot(seconds, gib)
    below.set(xlabel="seconds", ylabel="largest worker, GiB", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110)


def _disturb(options: argparse.Namespace, nodes: list[Any], watch: Watch) -> None:
    dice = random.Random(options.seed)  # noqa: S311 - no secret
    mean = options.n / options.expected_rate / options.kills  # all kills fall into the run
    while not watch.done.wait(dice.uniform(0.2, 1.8) * mean):
        found = [one for one in psutil.process_iter() if _is_worker(one)]
        if watch.kills == options.kills // 2 and not watch.nodes:
            head, *others = nodes
            head.remove_node(others[0], allow_graceful=False)
            watch.nodes += 1
        elif found and watch.kills < options.kills:
            dice.choice(found).send_signal(signal.SIGKILL)
            watch.kills += 1


def _is_worker(process: Any) -> bool:
    try:
        return any("_Maker" in word for word in process.cmdline())
    except psutil.Error:
        return False

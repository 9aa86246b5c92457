"""Molecules per second from noise to SDF, and where the time goes.

    python -m benchmarks speed --device cuda --page docs/appendix/speed.md
    OMP_NUM_THREADS=1 python -m benchmarks speed --device cpu --n 512 --workers 1 --cpu-time

After a run that nobody times, each number is the median of some repeats on molecules of other
seeds. "decoded" is network and bond decoding, "SDF" all of it: RDKit's checks and the written file
as well. The parts are seconds of the network (on a GPU from its own clock, of recorded batches),
and of one core for what the host does, from some 1,024 molecules at most; with several processes
these run side by side.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from molgen.api import Generator, load
from molgen.chem.finish import Chunk, Finisher
from molgen.chem.io import open_writer
from molgen.chem.pool import map_in_order
from molgen.chem.render import FORMATS
from molgen.cores import available_cores
from molgen.sampling import sampler
from molgen.sampling.cuda_graph import Captured, captured
from molgen.sampling.finishing import chunks_of, usual_workers
from molgen.sampling.noise import Streams, draw_sizes, normal_noise
from molgen.sampling.prediction import Prediction, Readout, fetch
from molgen.sampling.request import Request
from molgen.sampling.run import Run, Tally
from molgen.sampling.sampler import default_batch, draw_batches
from molgen.sampling.sizes import size_probability

WARM_UP_SEED, FIRST_SEED = 1000, 0
ONE_CORE_CHUNKS = 16
PARTS = ("noise", "network", "transfer", "decode", "rdkit_sdf")
MARK = "<!-- measured: written by python -m benchmarks speed -->"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default="qm9")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--n", type=int, help="unset, 512 on a CPU and 32 batches on a GPU")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="highest", choices=["highest", "high", "medium"])
    parser.add_argument("--cpu-time", action="store_true", help="for one process on a busy machine")
    parser.add_argument("--label", help="name of the hardware")
    parser.add_argument("--record", type=Path, help="JSON file that keeps all measurements")
    parser.add_argument("--page", type=Path, help="page whose table is rewritten from --record")


def main(options: argparse.Namespace) -> None:
    torch.set_float32_matmul_precision(options.precision)
    bench = bench_of(options)
    print(f"{bench.hardware}: n = {bench.n}, batches of {bench.batch}, {bench.workers} processes")
    rows = []
    for steps in options.steps:
        rows.append(measured(bench, steps))
        print("\n".join(table(rows[-1:], header=len(rows) == 1)), flush=True)
    if options.record is not None:
        kept = json.loads(options.record.read_text()) if options.record.exists() else []
        new = {(row["hardware"], row["steps"]) for row in rows}
        rows = [row for row in kept if (row["hardware"], row["steps"]) not in new] + rows
        options.record.write_text(json.dumps(rows, indent=1) + "\n")
    if options.page is not None:
        before, _, rest = options.page.read_text().partition(MARK)
        after = rest.partition(MARK)[2]
        body = "\n".join(table(rows, header=True))
        options.page.write_text(f"{before}{MARK}\n\n{body}\n\n{MARK}{after}")


@dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    generator: Generator
    hardware: str
    n: int
    batch: int
    workers: int
    repeats: int
    precision: str
    clock: Callable[[], float]
    on_gpu: bool

    def run(self, steps: int, seed: int) -> Run:
        """One run of the command line, with records but without a table."""
        request = Request(n=self.n, steps=steps, seed=seed, batch_size=self.batch)
        run = self.generator.run(request)
        return replace(run, workers=self.workers, form=FORMATS[".sdf"])

    def batches(self, run: Run) -> Iterator[Prediction]:
        """What the run draws."""
        return draw_batches(
            run.model, range(self.n), plan=run.plan, seed=run.request.seed, batch_size=self.batch
        )

    def seconds(self, work: Callable[[], object]) -> float:
        """Time that a piece of work takes, the device's share included."""
        self.wait()
        began = self.clock()
        work()
        self.wait()
        return self.clock() - began

    def wait(self) -> None:
        """Let the device finish."""
        if self.on_gpu:
            torch.cuda.synchronize()


def bench_of(options: argparse.Namespace) -> Bench:
    generator = load(options.weights, options.device)
    device = sampler.device_of(generator.model.model)
    on_gpu = device.type == "cuda"
    batch = options.batch_size or default_batch(generator.model.model)
    n = options.n or (32 * batch if on_gpu else 512)
    cores = 1 if options.cpu_time else available_cores()
    name = torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()} CPU"
    workers = options.workers or usual_workers(n, on_gpu=on_gpu)
    if options.cpu_time and (on_gpu or workers > 1):
        raise SystemExit("--cpu-time is for one process without a GPU")
    return Bench(
        generator,
        options.label or f"{name}, {cores} core{'s' * (cores > 1)}",
        n,
        batch,
        workers,
        options.repeats,
        options.precision,
        time.process_time if options.cpu_time else time.perf_counter,
        on_gpu,
    )


def measured(bench: Bench, steps: int) -> dict[str, Any]:
    """All numbers of one number of calls."""
    warm = bench.run(steps, WARM_UP_SEED)
    everything(bench, warm)
    seeds = range(FIRST_SEED, FIRST_SEED + bench.repeats)
    found = [once(bench, bench.run(steps, seed)) for seed in seeds]
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {
        "hardware": bench.hardware,
        "weights": bench.generator.name,
        "steps": steps,
        "n": bench.n,
        "batch": bench.batch,
        "workers": bench.workers,
        "repeats": bench.repeats,
        "precision": bench.precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "clock": "cpu" if bench.clock is time.process_time else "wall",
        "graphs": bench.on_gpu and not captured(bench.generator.model.model).trouble,
        **middle,
    }


def once(bench: Bench, run: Run) -> dict[str, float]:
    """Rates in molecules per second, parts in milliseconds per molecule."""
    with network_clock(bench) as network:
        batches = list(bench.batches(run))
        bench.wait()
    finisher = run.finisher
    vocabulary = run.model.info.vocabulary
    chunks = [chunk for batch in batches for chunk in chunks_of(batch, vocabulary, searches=True)]
    some = spread(chunks)
    share = bench.n / sum(len(chunk.indices) for chunk in some)
    decode = share * bench.seconds(lambda: [finisher.decoded(chunk) for chunk in some])
    finish = share * bench.seconds(lambda: [finisher(chunk) for chunk in some])
    until_decoded = bench.seconds(lambda: decoded(bench, run, finisher))
    whole = bench.seconds(lambda: everything(bench, run))
    parts = {
        "noise": bench.seconds(lambda: host_noise(bench, run, batches)),
        "network": network.seconds(),
        "transfer": transfer(bench, batches),
        "decode": decode,
        "rdkit_sdf": finish - decode,
    }
    n_open = sum(len(chunk.unsettled) for chunk in chunks)
    return {
        "decoded_per_s": bench.n / until_decoded,
        "sdf_per_s": bench.n / whole,
        "outside_network": 1 - min(1.0, network.seconds() / whole),
        "searched": n_open / bench.n,
        **{f"{name}_ms": 1e3 * value / bench.n for name, value in parts.items()},
    }


def spread(chunks: list[Chunk]) -> list[Chunk]:
    """Some chunks of all sizes; one core would take minutes for those of a GPU."""
    return chunks[:: -(-len(chunks) // ONE_CORE_CHUNKS)]


def decoded(bench: Bench, run: Run, finisher: Finisher) -> None:
    """Network and bond decoding, overlapped as in a run."""
    vocabulary = run.model.info.vocabulary
    chunks: Iterator[Chunk] = (
        chunk
        for batch in bench.batches(run)
        for chunk in chunks_of(batch, vocabulary, searches=True)
    )
    if bench.workers == 1:
        done = map(finisher.decoded, chunks)
    else:
        done = map_in_order(finisher.decoded, chunks, bench.workers)
    n = sum(len(molecules) for molecules in done)
    if n != bench.n:
        raise RuntimeError(f"{n} molecules instead of {bench.n}")


def everything(bench: Bench, run: Run) -> None:
    """From noise to a file of records, as the command line does it."""
    with tempfile.TemporaryDirectory() as folder:
        with open_writer(Path(folder) / "molecules.sdf") as writer:
            for sample in run.stream(Tally()):
                writer.append(str(sample.record))
        if writer.n_written != bench.n:
            raise RuntimeError(f"{writer.n_written} records instead of {bench.n}")


def host_noise(bench: Bench, run: Run, batches: list[Prediction]) -> None:
    """NetworkSpec and noise of every molecule."""
    info, seed = run.model.info, run.request.seed
    draw_sizes(size_probability(info, None), seed, range(bench.n))
    for batch in batches:
        shape = int(batch.sizes.max()), 3 + info.vocabulary.n_elements
        normal_noise(Streams(seed, "noise"), batch.indices, batch.sizes, shape)


def transfer(bench: Bench, batches: list[Prediction]) -> float:
    """Seconds to bring every readout to the host; nothing on a CPU, where they are."""
    if not bench.on_gpu:
        return 0.0
    total = 0.0
    for batch in batches:
        there = (torch.from_numpy(getattr(batch, name)).cuda() for name in Readout._fields)
        readout = Readout._make(there)
        total += bench.seconds(lambda ready=readout, rows=batch: fetch(ready, rows)())
    return total


@dataclass
class NetworkClock:
    """Time of the trajectories of a run."""

    spans: list[Callable[[], float]] = field(default_factory=list)

    def seconds(self) -> float:
        """Their sum, once all of them are over."""
        return sum(span() for span in self.spans)


@contextmanager
def network_clock(bench: Bench) -> Iterator[NetworkClock]:
    """Time every trajectory: of a GPU, the recorded ones by its own clock."""
    clock = NetworkClock()
    owner, name = (Captured, "run") if bench.on_gpu else (sampler, "sample_batch")
    original = getattr(owner, name)
    timed = timed_on_gpu if bench.on_gpu else timed_on_cpu
    setattr(owner, name, timed(bench, original, clock))
    try:
        yield clock
    finally:
        setattr(owner, name, original)


def timed_on_cpu(bench: Bench, work: Callable[..., Any], clock: NetworkClock) -> Callable[..., Any]:
    def timed(*arguments: Any, **more: Any) -> Any:
        began = bench.clock()
        result = work(*arguments, **more)
        took = bench.clock() - began
        clock.spans.append(lambda: took)
        return result

    return timed


def timed_on_gpu(_: Bench, work: Callable[..., Any], clock: NetworkClock) -> Callable[..., Any]:
    def timed(*arguments: Any, **more: Any) -> Any:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        result = work(*arguments, **more)
        last.record()
        clock.spans.append(lambda: 1e-3 * first.elapsed_time(last))
        return result

    return timed


def table(rows: list[dict[str, Any]], *, header: bool) -> list[str]:
    """Rows of a Markdown table."""
    names = ["hardware", "processes", "calls", "n", "decoded/s", "SDF/s", "outside network", *PARTS]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)] if header else []
    for row in rows:
        cells = [row[name] for name in ("hardware", "workers", "steps", "n")]
        cells += [f"{row['decoded_per_s']:,.0f}", f"{row['sdf_per_s']:,.0f}"]
        cells += [f"{row['outside_network']:.0%}", *(f"{row[f'{part}_ms']:.3f}" for part in PARTS)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines

"""What a training step has to do: its arithmetic, its memory traffic, and what a device can do."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.profiling.stages import host_clock
from molgen.data.loader import Batch
from molgen.train.module import DenoisingModule


class TrafficMode(TorchDispatchMode):
    """Sums the bytes that every operation reads and writes, as if none were fused or cached."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not getattr(func, "is_view", False):
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
            self.bytes += sum(_bytes_of(tensor) for tensor in tensors)
        return out


def _bytes_of(tensor: Tensor) -> int:
    """Memory that a tensor refers to; an expanded one refers to less than it holds."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


def cost_of(module: DenoisingModule, batches: Sequence[Batch]) -> tuple[float, float]:
    """Floating-point operations of matrix products and bytes, per molecule, of training on batches.

    Counted on a network that is not compiled, once for each width, with and without a self_cond.
    """
    share = module.config.train.self_condition
    by_width: dict[int, tuple[float, float]] = {}
    for batch in batches:
        n = batch.mask.shape[1]
        if n not in by_width:
            hinted, plain = (_count(module, batch, hinted=hinted) for hinted in (True, False))
            by_width[n] = tuple(
                share * one + (1 - share) * other for one, other in zip(hinted, plain, strict=True)
            )
    n_molecules = sum(len(batch.mask) for batch in batches)
    sums = [sum(by_width[b.mask.shape[1]][i] for b in batches) for i in (0, 1)]
    return sums[0] / n_molecules, sums[1] / n_molecules


def _count(module: DenoisingModule, batch: Batch, *, hinted: bool) -> tuple[float, float]:
    """Operations and bytes of one step's forward and backward passes."""
    device = batch.pos.device
    noised = module._corrupt(batch, module.generator(device))  # noqa: SLF001
    known = (noised.state, noised.lam, batch.mask)
    is_mixed = module.config.train.precision == "bf16-mixed"
    flops, traffic = FlopCounterMode(display=False), TrafficMode()
    with flops, traffic, torch.autocast(device.type, torch.bfloat16, enabled=is_mixed):
        self_cond = None
        if hinted:
            with torch.no_grad():
                self_cond = module.model.self_cond(module.model(*known, None, noised.lam_element))
        estimate = module.model(*known, self_cond, noised.lam_element)
        heads = (estimate.pos, estimate.element, estimate.charge, estimate.bond)
        torch.stack([head.float().square().mean() for head in heads]).sum().backward()
    module.zero_grad()
    return float(flops.get_total_flops()), float(traffic.bytes)


def peak_tflops(device: torch.device) -> float:
    """Rate of a large bf16 matrix product on random data, the ceiling of the arithmetic."""
    n = 8192 if device.type == "cuda" else 512
    a, b = torch.randn(2, n, n, device=device).bfloat16()
    return 2 * n**3 / _seconds(lambda: a @ b, device) / 1e12


def peak_gbps(device: torch.device) -> float:
    """Rate of a large copy, bytes read plus bytes written, the ceiling of the memory."""
    n = 2**30 if device.type == "cuda" else 2**26
    source = torch.randint(0, 255, (n,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * n / _seconds(lambda: target.copy_(source), device) / 1e9


def _seconds(work: Callable[[], Any], device: torch.device, repeats: int = 10) -> float:
    """Median time of some work, after a warm-up."""
    times = []
    for _ in range(repeats + 2):
        began = host_clock(device)
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(host_clock(device) - began)
    return sorted(times[2:])[repeats // 2]


def peak_memory(device: torch.device) -> float:
    """Most memory held so far, in MiB: of the device, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

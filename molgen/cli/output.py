"""A run into a file or to stdout, with a bar and a way to go on later; what commands share."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from molgen.cli.console import note
from molgen.errors import UsageError
from molgen.sampling.destination import (
    STDOUT,
    Destination,
    check_free,
    check_writable,
    destination,
)

if TYPE_CHECKING:
    from molgen.sampling.recording import Recordable, Start
    from molgen.sampling.run import Tally


def find_target(
    out: str, json_out: str | None = None, *, resume: bool, force: bool
) -> Destination | None:
    """Check every place that will be written before anything is computed.

    Args:
        out: The value of ``--out``.
        json_out: That of ``--json``.
        resume: Whether to go on with what is there.
        force: Whether to replace it.

    Returns:
        Where the records go; None for stdout.

    Raises:
        UsageError: The options contradict each other.
        OutputError: A place is taken or cannot be written.
    """
    if resume and force:
        raise UsageError("--resume and --force exclude each other", "Leave one of them out")
    if json_out is not None and json_out != STDOUT:
        check_writable(Path(json_out))
    if out == STDOUT:
        if json_out == STDOUT:
            raise UsageError("--out - and --json - both want stdout", "Give one of them a file")
        if resume:
            raise UsageError("stdout cannot be resumed", "Give --out a file")
        return None
    target = destination(out)
    if resume:
        check_writable(target.path)
    else:
        check_free(target, force=force)
    return target


def write_records(
    run: Recordable, target: Destination | None, start: Start, *, keep: bool, quiet: bool
) -> tuple[Tally, float]:
    """Draw and write; return what was drawn and the seconds that it took.

    Args:
        run: What to draw.
        target: Where it goes; None for stdout.
        start: Where to begin.
        keep: Whether to keep the molecules, for the metrics.
        quiet: Whether to leave out the bar.
    """
    from molgen.sampling.progress import progress_bar
    from molgen.sampling.recording import record
    from molgen.sampling.run import Tally

    tally = Tally(keep=keep)
    began = time.perf_counter()
    show = False if quiet else None
    try:
        with progress_bar("sampling", run.n_records, show=show, done=start.n_done) as advance:
            record(run, target, tally, start, advance)
    except KeyboardInterrupt:
        if target is not None:
            note(f"{target.partial} holds what was made so far; --resume completes it")
        raise
    return tally, time.perf_counter() - began

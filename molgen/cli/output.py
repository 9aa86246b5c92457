"""A run into a file or to stdout, with a bar and a way to go on later; what commands share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from molgen.cli.console import note
from molgen.errors import UsageError
from molgen.locks import lock
from molgen.sampling.destination import (
    STDOUT,
    Destination,
    check_apart,
    check_free,
    check_new,
    check_writable,
    destination,
)

if TYPE_CHECKING:
    from molgen.sampling.recording import Recordable, Start
    from molgen.sampling.run import Tally


MAX_N: Final = 5_000_000
"""Records of one run into a file."""


@contextmanager
def hold(
    outputs: Mapping[str, str | None], inputs: Iterable[str | Path | None] = (), *, force: bool
) -> Iterator[None]:
    """Check outputs before anything is computed, and hold them.

    Args:
        outputs: Files by option; None for one that was left out.
        inputs: Files that the command reads; None for an option that was left out.
        force: Whether to replace what is there.

    Raises:
        UsageError: Two want stdout, or an output is an input or another output.
        OutputError: A place is taken, being written or cannot be written.
    """
    places = {name: Path(text) for name, text in outputs.items() if text and text != STDOUT}
    if list(outputs.values()).count(STDOUT) > 1:
        raise UsageError(f"{' and '.join(outputs)} both want stdout", "Give one of them a file")
    check_apart(list(places.values()), inputs)
    for path in places.values():
        check_writable(path)
    with lock(*places.values()):
        for name, path in places.items():
            check_new(path, name, force=force)
        yield


@contextmanager
def find_target(
    out: str,
    json_out: str | None = None,
    *,
    inputs: Iterable[str | Path | None] = (),
    resume: bool,
    force: bool,
) -> Iterator[Destination | None]:
    """Check every place that will be written before anything is computed, and hold the output.

    Args:
        out: The value of ``--out``.
        json_out: That of ``--json``.
        inputs: Files that the command reads; None for an option that was left out.
        resume: Whether to go on with what is there.
        force: Whether to replace it.

    Yields:
        Where the records go; None for stdout.

    Raises:
        UsageError: The options contradict each other, or an output is an input.
        OutputError: A place is taken, being written or cannot be written.
    """
    if resume and force:
        raise UsageError("--resume and --force exclude each other", "Leave one of them out")
    if out == STDOUT and json_out == STDOUT:
        raise UsageError("--out - and --json - both want stdout", "Give one of them a file")
    if out == STDOUT and resume:
        raise UsageError("stdout cannot be resumed", "Give --out a file")
    target = None if out == STDOUT else destination(out)
    reports = [] if json_out in (None, STDOUT) else [Path(str(json_out))]
    for path in (*reports, *([] if target is None else [target.path])):
        check_writable(path)
    check_apart([*([] if target is None else target.files), *reports], inputs)
    with lock(*reports, *([] if target is None else [target.path])):
        if target is not None and not resume:
            check_free(target, force=force)
        is_complete = resume and target is not None and target.path.exists()
        for path in () if is_complete else reports:
            check_new(path, "--json", force=force)
        yield target


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
    from molgen.cli.watching import WatchedTally
    from molgen.sampling.progress import progress_bar
    from molgen.sampling.recording import record
    from molgen.sampling.run import Tally

    if run.n_records > MAX_N:
        raise UsageError(
            f"{run.n_records} records in one run",
            f"Make at most {MAX_N}, with a --seed for each run",
        )
    tally = Tally(keep=keep) if quiet or not run.leaves_gaps else WatchedTally(keep=keep)
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

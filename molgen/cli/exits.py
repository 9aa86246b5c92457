"""The one place where errors become a line on stderr and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from typer.exceptions import TyperException
from typer.main import get_command

from molgen.cli.app import app
from molgen.cli.console import mend_streams
from molgen.errors import MolgenError

OK = 0
FAILURE = 1
USAGE = 2
INTERRUPTED = 130

LONGEST = 1000
"""Characters of a message; it may quote what somebody typed."""


def main() -> NoReturn:
    """Entry point of the ``molgen`` command."""
    mend_streams()
    status = _flushed(lambda: run(sys.argv[1:]))
    # The interpreter flushes stdout once more while it closes; on a full disk or a closed pipe
    # that flush would print a traceback after our own line.
    _detach_broken_stdout()
    sys.exit(status)


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit status; errors go to stderr, one line each.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 on success, 1 on failure, 2 on a wrong request, 130 when interrupted, 143 when a run of
        training was told to end.
    """
    return _caught(lambda: _dispatch(argv))


def _dispatch(argv: Sequence[str]) -> int:
    result = get_command(app).main(args=list(argv), prog_name="molgen", standalone_mode=False)
    # Typer returns the status of `raise Exit(n)`, and None from a command that simply ended.
    return result if isinstance(result, int) else OK


def _flushed(command: Callable[[], int]) -> int:
    """Run a command and its last write to stdout under the same error handling."""

    def and_flush() -> int:
        status = command()
        if status == OK:  # otherwise an error has been told, perhaps that of this stream
            sys.stdout.flush()
        return status

    return _caught(and_flush)


def _caught(command: Callable[[], int]) -> int:
    try:
        return command()
    except MolgenError as error:
        return _say(str(error), error.exit_code)
    except TyperException as error:
        return _say(_usage_line(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return FAILURE  # the reader has left: nobody to tell
    except OSError as error:
        return _say(_system_line(error), FAILURE)


def _say(line: str, status: int) -> int:
    shown = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    print(f"error: {shown}", file=sys.stderr)  # noqa: T201
    return status


def _usage_line(error: TyperException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "molgen"
    return f'{message}. Type "{command} --help" for the options'


def _system_line(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hints = {
        errno.ENOSPC: "Free some space or write elsewhere",
        errno.EACCES: "Check the permissions or choose another place",
        errno.EROFS: "Choose a place that can be written",
    }
    hint = hints.get(error.errno or 0, "")
    reason = error.strerror or str(error)
    return f"{where}{reason}. {hint}" if hint else f"{where}{reason}"


def _detach_broken_stdout() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""One writer at a time for each output, in whatever process of whatever user."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from molgen.errors import BusyError, OutputError

_NO_LOCKS: Final = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What a file system answers that knows no locks; then there is none."""


@contextmanager
def lock(*paths: Path) -> Iterator[None]:
    """Hold output files until the block ends.

    The lock is kept by the kernel on ``.NAME.lock`` beside each and ends with the process, however
    that ends.

    Args:
        paths: The outputs, there or not; the folders that they lie in exist.

    Raises:
        BusyError: Another process holds it; the message names the process and its host.
        OutputError: It cannot be written.

    Example:
        >>> with lock(Path(getfixture("tmp_path"), "molecules.sdf")):
        ...     pass
    """
    with ExitStack() as held:
        for path in paths:
            held.enter_context(_lock(path))
        yield


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder of outputs as `lock` does; missing folders above it are made.

    Raises:
        OutputError: Another process holds it, or the folders cannot be made.
    """
    try:
        folder.resolve().parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {folder} ({reason})", "Choose another output") from None
    with _lock(folder):
        yield


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    whole = path.resolve()
    place = whole.with_name(f".{whole.name}.lock")
    handle = _acquired(place, path)
    try:
        yield
    finally:
        with suppress(OSError):
            place.unlink()
        # Explicit, since worker processes hold copies of the handle.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _acquired(place: Path, path: Path) -> int:
    while True:
        try:
            handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(
                f"cannot write {path} ({error.strerror})", "Choose another output"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            os.close(handle)
            raise BusyError(
                f"{path} is being written by {holder or 'another process'}",
                "Wait for it, or choose another output",
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
        if _is_still(place, handle):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            return handle
        os.close(handle)  # its last holder has removed it in between


def _is_still(place: Path, handle: int) -> bool:
    try:
        return os.path.samestat(place.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

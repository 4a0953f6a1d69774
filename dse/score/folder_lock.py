"""Locks that keep two searches out of one folder, and a store from being set aside under a search that writes it.

These are locks of the operating system (flock): a lock ends with its process, however that ends, and a lock file that a
killed search left behind is simply taken over. The file names its owner only for the message.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, TracebackType

__all__ = ["Lock", "LockedError", "folder_locked"]

try:
    import fcntl as _fcntl
except ImportError:  # not on Windows
    fcntl: ModuleType | None = None
else:
    fcntl = _fcntl

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
_MAXIMUM_OWNER_BYTES = 4096


class LockedError(ValueError):
    """Another process holds the lock; the message says which, for how long and what to do."""


class Lock:
    """A lock file at `path`; a context manager that takes the lock, alone unless `shared`, or raises LockedError.

    `what` and `advice` make the message: "`what` must ..., but process 12 on HOST ...; `advice`". Where the file system
    has no locks, a note on standard error says so and nothing is locked.
    """

    def __init__(self, path: Path, *, what: str, advice: str, shared: bool = False) -> None:
        self._path = path
        self._what = what
        self._advice = advice
        self._shared = shared
        self._descriptor: int | None = None

    def __enter__(self) -> Lock:
        if fcntl is None:
            return self
        while True:
            # O_NOFOLLOW: a link in a shared folder must not make this process write its owner line elsewhere.
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except OSError as error:
                owner = _read_owner(descriptor)
                os.close(descriptor)
                if error.errno in _HELD:
                    raise LockedError(f"{self._what}, but {owner}; {self._advice}.") from None
                print(
                    f"note: {self._path} cannot be locked ({error.strerror}); make sure that no other search uses it",
                    file=sys.stderr,
                )
                return self
            if _is_at(descriptor, self._path):
                break
            os.close(descriptor)  # The owner removed the file between opening and locking it.
        self._descriptor = descriptor
        _write_owner(descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is None or fcntl is None:
            return
        with suppress(OSError):
            # Only the last owner removes the file, and while it is locked: nobody can lock a file without a name.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def share(self) -> None:
        """Lets other processes share the lock from now on."""
        if self._descriptor is not None and fcntl is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time into such a block for this folder, where the file system has locks."""
    if fcntl is None:
        yield
        return
    # The folder itself is locked, and no file is left behind.
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _read_owner(descriptor: int) -> str:
    """ "process 12 on HOST has been using it for 3 min", as far as the file tells."""
    try:
        owner = json.loads(os.pread(descriptor, _MAXIMUM_OWNER_BYTES, 0))
        since = datetime.fromisoformat(owner["since"])
        age = _age((datetime.now(UTC) - since).total_seconds())
        return f"process {int(owner['pid'])} on {ascii(owner['host'])[1:-1]} has been using it for {age}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process is using it"


def _age(seconds: float) -> str:
    for length, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"

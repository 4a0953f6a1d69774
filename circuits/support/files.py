"""Files of the user, for every package: read within bounds, and written as a whole or not at all.

Every file that a command line names is read through `open_file`, `read_bytes` or `read_text`. They open the path once,
without waiting (a FIFO may have no writer yet), and check kind and size of the open file: if they checked the path
first and opened it afterwards, it could name another file by then. Every error is one line that names the file.
"""

from __future__ import annotations

import codecs
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from circuits.errors import DesignError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_CHUNK = 1 << 20


@contextmanager
def open_file(
    path: str | Path,
    *,
    limit: int,
    what: str = "a readable file",
    error: type[ValueError] = DesignError,
    advice: str = "",
) -> Iterator[BinaryIO]:
    """Opens `path` for reading: a regular file of at most `limit` bytes; `what` names it in words ("a Verilog file").

    Raises `error` where it cannot be opened, is a folder, a FIFO or a device, or is larger; the message ends in
    `advice` where that is given. A file may grow while it is read, and files in /proc have size 0, so read at most
    `limit` bytes, as `read_bytes` does.
    """
    descriptor = _descriptor(path, what, error, advice or "check the path")
    try:
        # A folder is refused here, because `open` below would refuse it in words of its own.
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise error(f"{path} must be {what}, but: {os.strerror(errno.EISDIR)}; {advice or 'check the path'}.")
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path} must be {what}, but is {_kind(status.st_mode)}; {advice or 'name a regular file'}.")
        if status.st_size > limit:
            raise error(
                f"{path} must have at most {limit} bytes, but has {status.st_size}; {advice or 'make it smaller'}."
            )
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(descriptor)


def read_bytes(
    path: str | Path,
    *,
    limit: int,
    what: str = "a readable file",
    error: type[ValueError] = DesignError,
    advice: str = "",
) -> bytes:
    """The content of a regular file of at most `limit` bytes; raises `error` as `open_file` does."""
    content = bytearray()
    with open_file(path, limit=limit, what=what, error=error, advice=advice) as stream:
        try:
            while len(content) <= limit and (chunk := stream.read(min(_CHUNK, limit + 1 - len(content)))):
                content += chunk
        except OSError as problem:
            raise error(f"{path} must be {what}, but: {problem.strerror}; {advice or 'check the path'}.") from None
    if len(content) > limit:
        raise error(f"{path} must have at most {limit} bytes, but has more; {advice or 'make it smaller'}.")
    return bytes(content)


def read_text(
    path: str | Path,
    *,
    limit: int,
    what: str = "a readable file",
    error: type[ValueError] = DesignError,
    advice: str = "",
) -> str:
    """The text of a UTF-8 file, line ends as in the file; raises `error` as `read_bytes` does, and for other bytes."""
    return decode(read_bytes(path, limit=limit, what=what, error=error, advice=advice), path, what=what, error=error)


def decode(content: bytes, path: str | Path, *, what: str, error: type[ValueError] = DesignError) -> str:
    """The text in `content`, UTF-8 with or without a byte order mark; `error` names `path` and the line that is not."""
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as problem:
        body = content.removeprefix(codecs.BOM_UTF8)
        line = body.count(b"\n", 0, problem.start) + 1
        raise error(
            f"{path} must be {what}, but: line {line} has the byte 0x{body[problem.start]:02x}, which is no UTF-8; "
            "save it as UTF-8."
        ) from None


def _descriptor(path: str | Path, what: str, error: type[ValueError], advice: str) -> int:
    # O_NONBLOCK: a FIFO opens at once. O_NOCTTY: a terminal does not become ours. O_BINARY: Windows.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        return os.open(path, flags)
    except (OSError, ValueError) as problem:  # ValueError: a NUL or a lone surrogate in the path
        reason = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
        raise error(f"{path} must be {what}, but: {reason}; {advice}.") from None


def _kind(mode: int) -> str:
    """What kind of file it is that is not a regular one, in words."""
    return next((name for holds, name in _KINDS if holds(mode)), "no regular file")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes `data` to `path` through a temporary file in the same folder: a kill leaves the old file or none.

    The temporary file has a random name and must not exist, so no link is followed and any number of threads and
    processes may write at once; the last one wins. A link at `path` is replaced, and what it points to stays as it
    is. The new file has the permissions that the umask gives. ValueError where `path` is a device or a FIFO, which
    would be replaced as well.
    """
    _require_replaceable(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(temporary, flags, 0o666), "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except BaseException as problem:
        temporary.unlink(missing_ok=True)
        if isinstance(problem, OSError):  # The user knows nothing of the temporary file.
            raise OSError(problem.errno, problem.strerror, str(path)) from None
        raise


def _require_replaceable(path: Path) -> None:
    """Raises ValueError where `path` is a device or a FIFO, which a regular file must not replace."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # There is nothing yet, or writing says what is wrong.
    if stat.S_ISREG(mode) and path.parent.resolve() == Path("/dev"):
        mode = stat.S_IFCHR  # /dev/stdout may be a link to a regular file.
    if not stat.S_ISREG(mode):
        raise ValueError(f"the output must be a regular file, but {path} is {_kind(mode)}; choose another.")


def require_writable(folder: Path) -> None:
    """Makes `folder` and tests that files can be written there, before any work; ValueError where they cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"the output folder must be writable, but {folder} is not ({error.strerror}); choose another."
        ) from None

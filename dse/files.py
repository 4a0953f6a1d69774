"""Output files: written beside their place and renamed, so that a kill leaves the old file or none."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["require_writable", "write_atomically"]


def write_atomically(path: Path, data: bytes) -> None:
    """Writes `data` to `path` by way of a temporary file in the same folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Makes `folder` and tries to write in it; OSError, in one line, when that is not possible."""
    probe = folder / f".{os.getpid()}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"the output folder must be writable, but got {str(folder)!r} ({error.strerror}); choose another --out."
        ) from None

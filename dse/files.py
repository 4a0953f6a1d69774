"""Output files: written beside their place and renamed, so that a kill leaves the old file or none."""

from __future__ import annotations

import os
from pathlib import Path

from circuits.files import write_atomically

__all__ = ["require_writable", "write_atomically"]


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

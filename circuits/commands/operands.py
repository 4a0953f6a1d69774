"""A user's operand pairs from a .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from circuits.errors import DesignError
from circuits.support.archives import open_archive, read_array
from circuits.support.files import open_file
from circuits.support.text import shorten

MAXIMUM_OPERAND_BYTES = 1 << 32
"""Largest operand array that is read."""
MAXIMUM_FILE_BYTES = 3 * MAXIMUM_OPERAND_BYTES
"""Largest file of operands: two such arrays, and room for others."""


def read_operands(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Arrays x and w of a .npz file; DesignError names what is wrong with it. Nothing in it is executed.

    Sizes are checked before anything is unpacked, and an array's header before its memory is asked for.
    """
    with open_file(path, limit=MAXIMUM_FILE_BYTES, what="a readable .npz file", advice="check it") as stream:
        try:
            with open_archive(stream, path) as archive:
                x, w = (_read_array(archive, name, path) for name in ("x", "w"))
        except DesignError:
            raise
        except ValueError as error:
            reason = shorten(str(error), 200)
            raise DesignError(
                f"{path} must hold arrays of numbers, but: {reason}; write it with numpy.savez."
            ) from None
        except Exception as error:  # zipfile, the decompressors and numpy promise no type for what is damaged
            reason = shorten(str(error) or type(error).__name__, 200)
            raise DesignError(f"{path} must be a .npz file, but: {reason}; write it with numpy.savez.") from None
    for name, array in (("x", x), ("w", w)):
        if array.dtype.kind not in "fiub":
            raise DesignError(f"array {name} in {path} must hold numbers, but has dtype {array.dtype}; convert it.")
    return x, w


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    members = {entry.filename: entry for entry in archive.infolist()}
    if not {"x.npy", "w.npy"} <= members.keys():
        names = ", ".join(sorted(member.removesuffix(".npy") for member in members)) or "none"
        raise DesignError(
            f"{path} must hold arrays x and w, but holds {shorten(names, 200)}; save them by those names."
        )
    return read_array(archive, name, path, limit=MAXIMUM_OPERAND_BYTES, advice="save fewer pairs")

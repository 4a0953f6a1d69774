"""A user's operand pairs from a .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.errors import DesignError

MAXIMUM_OPERAND_BYTES = 1 << 32
"""Largest operand array that is read."""


def read_operands(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Arrays x and w of a .npz file; DesignError names what is wrong with it. Nothing in it is executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if not {"x.npy", "w.npy"} <= sizes.keys():
            names = ", ".join(sorted(name.removesuffix(".npy") for name in sizes)) or "none"
            raise DesignError(f"{path} must hold arrays x and w, but holds {names[:200]}; save them by those names.")
        for name in ("x", "w"):
            if sizes[f"{name}.npy"] > MAXIMUM_OPERAND_BYTES:
                raise DesignError(
                    f"array {name} in {path} must have at most {MAXIMUM_OPERAND_BYTES} bytes, but has "
                    f"{sizes[f'{name}.npy']}; save fewer pairs."
                )
        with np.load(path, allow_pickle=False) as arrays:
            x, w = arrays["x"], arrays["w"]
    except OSError as error:
        raise DesignError(f"{path} must be a readable .npz file, but: {error.strerror or error}; check it.") from None
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise DesignError(f"{path} must be a .npz file, but: {error}; write it with numpy.savez.") from None
    except ValueError as error:
        if isinstance(error, DesignError):
            raise
        raise DesignError(f"{path} must hold arrays of numbers, but: {error}; write it with numpy.savez.") from None
    for name, array in (("x", x), ("w", w)):
        if array.dtype.kind not in "fiub":
            raise DesignError(f"array {name} in {path} must hold numbers, but has dtype {array.dtype}; convert it.")
    return x, w

"""Reads images and labels from NumPy's files; nothing in them is executed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from circuits.support.archives import open_archive, read_array
from circuits.support.files import open_file, read_bytes
from circuits.support.text import shorten
from cnn_eval.support.verified_files import DataError

__all__ = ["read_npy", "read_npz"]

Tensor = torch.Tensor
MAX_ARRAY_BYTES = 8 << 30
"""Largest array read, in bytes."""
_NAMES = (("images", "labels"), ("x", "y"))
"""Names of the two arrays of an .npz file."""


def read_npz(path: Path) -> tuple[Tensor, Tensor]:
    """The arrays `images` and `labels`, or `x` and `y`. Raises DataError for anything else."""
    with open_file(path, limit=2 * MAX_ARRAY_BYTES, error=DataError) as stream:
        try:
            with open_archive(stream, path, error=DataError) as archive:
                held = {entry.filename.removesuffix(".npy") for entry in archive.infolist()}
                names = next((pair for pair in _NAMES if held.issuperset(pair)), None)
                if names is None:
                    raise DataError(
                        f"{path} must hold arrays images and labels, or x and y, but holds "
                        f"{shorten(', '.join(sorted(held)) or 'none', 200)}; save them by those names."
                    )
                images, labels = (
                    read_array(archive, name, path, limit=MAX_ARRAY_BYTES, advice="save fewer images", error=DataError)
                    for name in names
                )
        except DataError:
            raise
        except Exception as error:  # zipfile, the decompressors and numpy promise no type for what is damaged
            reason = shorten(" ".join(str(error).split()) or type(error).__name__, 200)
            raise DataError(f"{path} must be a readable .npz file, but: {reason}; write it with numpy.savez.") from None
    return _tensor(images, names[0], path), _tensor(labels, names[1], path)


def read_npy(path: Path) -> tuple[Tensor, Tensor]:
    """The images in NAME.npy, and the labels beside them: in NAME_labels.npy; or, where NAME holds "images", in the
    file with "labels" in its place, or y.npy beside x.npy."""
    images = _read_one(path)
    places = _places_of_labels(path)
    labels = next((place for place in places if place.is_file()), None)
    if labels is None:
        raise DataError(
            f"{path} must have its labels beside it, but there is no {' or '.join(place.name for place in places)}; "
            "save them there, or both arrays in an .npz file."
        )
    return _tensor(images, "images", path), _tensor(_read_one(labels), "labels", labels)


def _places_of_labels(path: Path) -> list[Path]:
    names = [f"{path.stem}_labels"]
    if "images" in path.stem:
        names.insert(0, path.stem.replace("images", "labels"))
    if path.stem == "x":
        names.insert(0, "y")
    return [path.with_name(f"{name}.npy") for name in names]


def _read_one(path: Path) -> NDArray[Any]:
    content = read_bytes(path, limit=MAX_ARRAY_BYTES, error=DataError)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        reason = shorten(" ".join(str(error).split()) or type(error).__name__, 200)
        raise DataError(f"{path} must be a NumPy array file, but: {reason}; write it with numpy.save.") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} must be a NumPy array file, but is an archive; call it .npz.")
    return array


def _tensor(array: NDArray[Any], name: str, path: Path) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise DataError(f"array {name} in {path} must hold numbers, but has dtype {array.dtype}; convert it.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch computes little with them
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))

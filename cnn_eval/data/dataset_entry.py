"""What a data set is: its canonical files with their checksums, where they come from, and how they become images.

One data set a module (mnist.py, cifar10.py), registered in `cnn_eval.data.loading.DATASETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from circuits.support.files import read_bytes
from cnn_eval.data.fetching import RawFile, Supplier, gunzip, packed_limit
from cnn_eval.support.verified_files import DataError, read_verified, sha256

__all__ = ["REINSTALL", "DataSet", "Decode", "Encode", "Split", "UInt8", "read_full"]

Split = Literal["train", "test"]
UInt8 = npt.NDArray[np.uint8]
Decode = Callable[[tuple[bytes, ...]], tuple[UInt8, UInt8]]
Encode = Callable[[UInt8, UInt8], dict[str, bytes]]

REINSTALL = "restore it from the project's repository or install approximate-dse again"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """All that loading, fetching and embedding need to know of a data set.

    `decode` turns the canonical files of one split into uint8 images [N, C, H, W] and labels [N]; `encode` turns a cut
    of them into files for the package, by the ending of their name, and `decode_embedded` turns those back. `embedded`
    is the number of images a class in the package. `sources` are tried in order; `by_hand` says in words what to put
    into a folder where none of them can be reached. `origin` credits the authors.
    """

    title: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    files: Mapping[Split, tuple[RawFile, ...]]
    sources: tuple[Supplier, ...]
    by_hand: str
    decode: Decode
    encode: Encode
    decode_embedded: Decode
    embedded: Mapping[Split, int]
    origin: str


def read_full(name: str, file: RawFile, folder: Path) -> bytes:
    """A canonical file of data set `name` in `folder`, plain or .gz; DataError when missing, truncated or altered."""
    advice = f"run `python -m cnn_eval data fetch {name}`"
    plain, packed = folder / file.name, folder / f"{file.name}.gz"
    if plain.exists() or not packed.exists():
        return read_verified(plain, size=file.size, digest=file.sha256, advice=advice)
    data = read_bytes(packed, limit=packed_limit(file), error=DataError, advice=advice)
    try:
        content = gunzip(data, limit=file.size)
    except DataError as error:
        raise DataError(f"{packed} must be a complete gzip file, but {error}; {advice}.") from None
    if sha256(content) != file.sha256:
        raise DataError(f"{packed} must unpack to SHA-256 {file.sha256}, but gives {sha256(content)}; {advice}.")
    return content

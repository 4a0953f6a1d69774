"""What a data set is: its canonical files with their checksums, where they come from, and how they become images.

To add a data set, write one module with a `DataSet` (see mnist.py, cifar10.py) and register it in
`cnn_eval.data.dataset_registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.sources.supplier import Supplier

__all__ = ["REINSTALL", "DataSet", "Decode", "Encode", "Source", "Split", "UInt8"]

Split = Literal["train", "test"]
Source = Literal["embedded", "full"]
UInt8 = npt.NDArray[np.uint8]
Decode = Callable[[tuple[bytes, ...]], tuple[UInt8, UInt8]]
Encode = Callable[[UInt8, UInt8], dict[str, bytes]]

REINSTALL = "restore it from the project's repository or install approximate-dse again"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Everything that loading, fetching and embedding need to know of a data set.

    `decode` turns the canonical files of one split into uint8 images [N, C, H, W] and labels [N]. `encode` turns a
    subset of them into files for the package, keyed by the ending of the file name, and `decode_embedded` reverses it.
    `embedded` is the number of images per class in the package. `sources` are tried in order; `by_hand` tells the user
    which files to put into a folder when no source can be reached. `origin` credits the authors.
    """

    title: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    files: Mapping[Split, tuple[CanonicalFile, ...]]
    sources: tuple[Supplier, ...]
    by_hand: str
    decode: Decode
    encode: Encode
    decode_embedded: Decode
    embedded: Mapping[Split, int]
    origin: str

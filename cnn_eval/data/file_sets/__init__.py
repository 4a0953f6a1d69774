"""Files besides the data sets that `fetch` brings: weights and pictures that the package does not carry.

A new one is a module with a `FileSet` and one line in FILE_SETS. Listing the names loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from circuits.support.lazy import LazyMapping

if TYPE_CHECKING:
    from cnn_eval.data.file_sets.file_set import FileSet

__all__ = ["FILE_SETS"]

FILE_SETS: Mapping[str, FileSet] = LazyMapping(
    {
        "mobilenet_v2": "cnn_eval.data.file_sets.mobilenet_weights:MOBILENET_V2",
        "imagenet_pictures": "cnn_eval.data.file_sets.imagenet_pictures:IMAGENET_PICTURES",
    }
)

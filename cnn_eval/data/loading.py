"""Loads labelled images: the balanced subset inside the package, or the full set as fetched.

Every file is checked against its SHA-256 before it is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from circuits.errors import unknown_name
from cnn_eval.data.canonical_files import gunzip, read_canonical_file
from cnn_eval.data.dataset_record import REINSTALL, Source, Split
from cnn_eval.data.dataset_registry import dataset
from cnn_eval.data.folders import EMBEDDED_FOLDER, default_folder
from cnn_eval.support.verified_files import DataError, read_record, read_verified_bytes, record_field

__all__ = ["LabelledImages", "load"]


@dataclass(frozen=True)
class LabelledImages:
    """`images` float32 [N, C, H, W] in [0, 1] and `labels` int64 [N], from a split of the data set `name`."""

    images: torch.Tensor
    labels: torch.Tensor
    name: str
    split: Split
    source: Source

    def __len__(self) -> int:
        return len(self.labels)


def load(
    name: str = "mnist", split: Split = "test", *, source: Source = "embedded", folder: Path | str | None = None
) -> LabelledImages:
    """Loads the images of one split in file order: the embedded balanced subset or the full set as fetched.

    `folder` holds the files of the full set, plain or .gz, and is `default_folder(name)` by default. Raises DataError
    naming the file when one is missing, truncated or altered; ValueError for a wrong argument.
    """
    data = dataset(name)
    for what, value, valid in (("split", split, get_args(Split)), ("source", source, get_args(Source))):
        if value not in valid:
            raise unknown_name(what, value, valid)
    if source == "full":
        where = default_folder(name) if folder is None else Path(folder)
        images, labels = data.decode(tuple(read_canonical_file(name, file, where) for file in data.files[split]))
    elif folder is None:
        images, labels = data.decode_embedded(_read_embedded(name, split))
    else:
        raise ValueError(
            f"folder must be given only with source='full', but got source='embedded' and folder={str(folder)!r}; "
            "leave folder out or ask for the full set."
        )
    if images.shape[1:] != data.image_shape or int(labels.max(initial=0)) >= len(data.classes):
        raise DataError(
            f"the {split} images of {name} must be {data.image_shape}, but are {images.shape[1:]}; {REINSTALL}."
        )
    return LabelledImages(
        torch.from_numpy(images.astype(np.float32) / np.float32(255)),
        torch.from_numpy(labels.astype(np.int64)),
        name,
        split,
        source,
    )


def _read_embedded(name: str, split: Split) -> tuple[bytes, ...]:
    """The unpacked contents of the package's files of one split, in the order of their record."""
    path = EMBEDDED_FOLDER / f"{name}.json"
    record = read_record(path, advice=REINSTALL)
    splits = record_field(record, "splits", dict, path, advice=REINSTALL)
    contents = []
    for file in record_field(splits, split, list, path, advice=REINSTALL):
        size = record_field(file, "bytes", int, path, advice=REINSTALL)
        digest = record_field(file, "sha256", str, path, advice=REINSTALL)
        packed = EMBEDDED_FOLDER / record_field(file, "file", str, path, advice=REINSTALL)
        content = gunzip(
            read_verified_bytes(packed, size=size, digest=digest, advice=REINSTALL),
            limit=record_field(file, "raw_bytes", int, path, advice=REINSTALL),
        )
        contents.append(content)
    return tuple(contents)

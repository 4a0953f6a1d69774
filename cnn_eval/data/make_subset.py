"""Cuts the balanced subsets that the package carries from the canonical files of a data set.

Rule: in each split, the first n images of every class in file order, kept in file order. The files are gzip without
time stamp and name; `datasets/NAME.json` records provenance and SHA-256, packed and unpacked.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np

from circuits.support.files import require_writable
from cnn_eval.data.canonical_files import read_canonical_file
from cnn_eval.data.dataset_record import UInt8
from cnn_eval.data.dataset_registry import dataset
from cnn_eval.data.folders import EMBEDDED_FOLDER, default_folder
from cnn_eval.support.verified_files import sha256, write_atomically, write_record

RULE = "the first {count} images of each class in file order, kept in file order"


def select(labels: UInt8, per_class: int, classes: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Ascending indices of the first `per_class` images of each class. Raises ValueError if a class has fewer."""
    by_class = [np.flatnonzero(labels == label)[:per_class] for label in range(classes)]
    for label, indices in enumerate(by_class):
        if len(indices) < per_class:
            raise ValueError(
                f"every class must have {per_class} images, but class {label} has {len(indices)}; take fewer."
            )
    return np.sort(np.concatenate(by_class))


def embed(name: str, folder: Path | None = None, out: Path = EMBEDDED_FOLDER) -> list[Path]:
    """Writes the subset of data set `name`, read from its full files in `folder`, into `out`; returns the paths."""
    data = dataset(name)
    where = default_folder(name) if folder is None else folder
    contents = {
        split: tuple(read_canonical_file(name, file, where) for file in files) for split, files in data.files.items()
    }
    require_writable(out)
    splits: dict[str, list[dict[str, Any]]] = {}
    packed: dict[str, bytes] = {}
    for split, content_of_files in contents.items():
        images, labels = data.decode(content_of_files)
        indices = select(labels, data.embedded[split], len(data.classes))
        splits[split] = []
        for ending, content in data.encode(images[indices], labels[indices]).items():
            file_name = f"{name}-{split}-{ending}.gz"
            packed[file_name] = pack(content)
            splits[split].append(
                {
                    "file": file_name,
                    "bytes": len(packed[file_name]),
                    "sha256": sha256(packed[file_name]),
                    "raw_bytes": len(content),
                    "raw_sha256": sha256(content),
                }
            )
    record = {
        "dataset": name,
        "origin": data.origin,
        "script": f"python -m cnn_eval data embed {name}",
        "rule": {split: RULE.format(count=count) for split, count in data.embedded.items()},
        "cut_from": {file.name: file.sha256 for files in data.files.values() for file in files},
        "splits": splits,
    }
    for file_name, content in packed.items():
        write_atomically(out / file_name, content)
    write_record(out / f"{name}.json", record)
    return [out / file_name for file_name in [*packed, f"{name}.json"]]


def pack(content: bytes) -> bytes:
    """Compresses with gzip, without time stamp and name, so that the same zlib gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()

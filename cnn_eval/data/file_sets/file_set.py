"""What a set of fetched files is: the files with their checksums, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnn_eval.data.canonical_files import CanonicalFile, read_canonical_file
from cnn_eval.data.folders import default_folder
from cnn_eval.data.sources.supplier import Supplier

__all__ = ["FileSet"]


@dataclass(frozen=True, kw_only=True)
class FileSet:
    """Files that belong together. `sources` are tried in order; `by_hand` tells the user which files to put into a
    folder when no source can be reached; `origin` credits the authors."""

    name: str
    title: str
    files: tuple[CanonicalFile, ...]
    sources: tuple[Supplier, ...]
    by_hand: str
    origin: str

    def read(self, folder: Path | str | None = None) -> dict[str, bytes]:
        """File name -> content, checked. `folder`: where they are, by default `default_folder`. Raises DataError,
        with how to fetch them, where one is missing, truncated or altered."""
        where = default_folder(self.name) if folder is None else Path(folder)
        return {file.name: read_canonical_file(self.name, file, where) for file in self.files}

"""What every source of a data set's files offers. To add a kind of source, write one class with these two members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from rich.progress import Progress

from cnn_eval.data.canonical_files import CanonicalFile

__all__ = ["CHUNK_BYTES", "TIMEOUT_SECONDS", "Supplier"]

TIMEOUT_SECONDS = 10.0
"""How long a mirror may stay silent before the next source is tried."""
CHUNK_BYTES = 1 << 16
"""Bytes read between two updates of the progress bar."""


class Supplier(Protocol):
    """A source of canonical files."""

    @property
    def label(self) -> str:
        """The name of the source in error messages: an address, or "npm"."""

    def files(
        self, wanted: Sequence[CanonicalFile], folder: Path, bars: Progress
    ) -> Iterator[tuple[CanonicalFile, bytes]]:
        """Yields (file, verified content) for the `wanted` files, in their order.

        Unfinished downloads may be left in `folder` to be continued. Raises OSError, DataError or
        subprocess.SubprocessError when a file cannot be supplied; the next source is then tried.
        """

"""A web folder that holds each file of a data set as NAME.gz."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from cnn_eval.data.canonical_files import CanonicalFile, gunzip, packed_limit, verified_content
from cnn_eval.data.sources.supplier import CHUNK_BYTES, TIMEOUT_SECONDS
from cnn_eval.support.verified_files import DataError

__all__ = ["GzipMirror"]


@dataclass(frozen=True, kw_only=True)
class GzipMirror:
    """A web folder at `address`, which ends in "/"; each download is checked against the published MD5."""

    address: str

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    def files(
        self, wanted: Sequence[CanonicalFile], folder: Path, bars: Progress
    ) -> Iterator[tuple[CanonicalFile, bytes]]:
        """Downloads the files one after the other."""
        for file in wanted:
            packed = _download(f"{self.address}{file.name}.gz", file, bars)
            digest = hashlib.md5(packed, usedforsecurity=False).hexdigest()
            if digest != file.gz_md5:
                raise DataError(f"{file.name}.gz must have MD5 {file.gz_md5}, but came with {digest}")
            yield file, verified_content(file, gunzip(packed, limit=file.size))


def _download(address: str, file: CanonicalFile, bars: Progress) -> bytes:
    packed = bytearray()
    with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as response:
        task = bars.add_task(f"{file.name}.gz", total=_announced_length(response))
        while chunk := response.read(CHUNK_BYTES):
            packed += chunk
            bars.advance(task, len(chunk))
            if len(packed) > packed_limit(file):
                raise DataError(f"{file.name}.gz must have at most {packed_limit(file)} bytes, but has more")
    return bytes(packed)


def _announced_length(response: object) -> int | None:
    """The length that a response announces, in bytes."""
    headers = getattr(response, "headers", {})
    return int(headers.get("Content-Length") or 0) or None

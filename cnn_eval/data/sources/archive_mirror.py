"""One .tar.gz archive on the web with all files of a data set."""

from __future__ import annotations

import hashlib
import tarfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from cnn_eval.data.canonical_files import CanonicalFile, verified_content
from cnn_eval.data.sources.supplier import CHUNK_BYTES, TIMEOUT_SECONDS
from cnn_eval.support.verified_files import DataError

__all__ = ["ArchiveMirror"]


@dataclass(frozen=True, kw_only=True)
class ArchiveMirror:
    """An archive at `address` of `size` bytes with the published `md5`; its files lie under `prefix`.

    A download that breaks off stays in the folder as NAME.part and is continued next time if the server allows it.
    """

    address: str
    size: int
    md5: str
    prefix: str

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    def files(
        self, wanted: Sequence[CanonicalFile], folder: Path, bars: Progress
    ) -> Iterator[tuple[CanonicalFile, bytes]]:
        """Downloads the archive once; deletes it after all wanted files have been extracted."""
        archive_path = folder / f"{self.address.rpartition('/')[2]}.part"
        self._download(archive_path, bars)
        with archive_path.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if digest != self.md5:
            archive_path.unlink()
            raise DataError(f"{self.address} must have MD5 {self.md5}, but came with {digest}")
        with tarfile.open(archive_path) as archive:
            for file in wanted:
                member = archive.extractfile(f"{self.prefix}{file.name}")
                yield file, verified_content(file, b"" if member is None else member.read(file.size + 1))
        archive_path.unlink()

    def _download(self, archive_path: Path, bars: Progress) -> None:
        received = archive_path.stat().st_size if archive_path.exists() else 0
        if received >= self.size:
            return
        request = urllib.request.Request(self.address, headers={"Range": f"bytes={received}-"} if received else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            # 206 Partial Content; a server that ignores the Range header sends the whole archive with status 200.
            continued = received > 0 and response.status == 206
            received = received if continued else 0
            task = bars.add_task(archive_path.stem, total=self.size, completed=received)
            with archive_path.open("ab" if continued else "wb") as stream:
                while chunk := response.read(CHUNK_BYTES):
                    received += len(chunk)
                    if received > self.size:
                        raise DataError(f"{self.address} must have {self.size} bytes, but has more")
                    stream.write(chunk)
                    bars.advance(task, len(chunk))
        if received < self.size:
            raise DataError(f"{self.address} broke off after {received} of {self.size} bytes (kept, to be continued)")

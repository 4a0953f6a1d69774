"""Runs the code blocks of a Markdown page as a reader would: in one folder, in order, outputs compared with the quotes.

docs/README.md states the rules of the pages; README.md is read with the same code.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "Reader", "agree", "blocks", "run_python"]

ROOT = Path(__file__).parent.parent.parent
PORT = "8786"
"""What the pages print where a scheduler listens; a free port takes its place."""
OPTIONAL = ("iverilog", "vvp", "yosys")
"""Programs without which a block is left out."""
_PATIENCE = 300.0
_FILE = re.compile(r"(?:#|//) ([\w.-]+\.\w+)(?:\s|$)")
_IDENTIFIER = re.compile(r"\b[0-9a-f]{10,}\b")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A code block, fenced or indented (then `language` is ""); `note` is the text after the language on the fence."""

    language: str
    note: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file name in a comment on the first line: the block is that file's content."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[str]:
        """The block's lines without comments and blank lines."""
        lines = (line.split(" #", 1)[0].rstrip() for line in self.text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: str) -> list[Block]:
    """The code blocks of a page, in order."""
    found: list[Block] = []
    lines = page.splitlines()
    k = 0
    while k < len(lines):
        start = k
        fence = re.fullmatch(r"```(\w+)(?: (.+))?", lines[k])
        if fence:
            end = lines.index("```", k + 1)
            found.append(Block(fence[1], fence[2] or "", "\n".join(lines[k + 1 : end]) + "\n", start + 1))
            k = end
        elif lines[k].startswith("    ") and (k == 0 or not lines[k - 1].strip()):
            while k + 1 < len(lines) and lines[k + 1].startswith("    "):
                k += 1
            found.append(Block("", "", "".join(line[4:] + "\n" for line in lines[start : k + 1]), start + 1))
        assert fence or not lines[k].startswith("```"), f"line {start + 1}: a fence must name its language"
        k += 1
    return found


class Reader:
    """Runs a page's blocks one after the other in `folder`, as a reader would.

    A context manager that ends what is left running. `cache` takes the place of the user's cache folder.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.output: str | None = None
        self._port = _free_port()
        self._groups: list[int] = []
        programs = folder / ".programs"
        programs.mkdir()
        for name, command in {"python": "", "dask": "-m dask"}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {command} "$@"\n')
            (programs / name).chmod(0o755)
        self._environment = environment(cache)
        self._environment["PATH"] = f"{programs}{os.pathsep}{self._environment['PATH']}"

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def read(self, block: Block) -> None:
        """Runs the block, writes its file, or compares it with the last output; AssertionError where it is wrong."""
        where = f"line {block.line}"
        if block.language == "text":
            assert self.output is not None, f"{where}: an output must follow the block that prints it"
            if self.output != SKIPPED:
                difference = agree(block.text, self.output, numbers=block.note != "varies")
                assert difference is None, f"{where}: {difference}\nprinted was:\n{self.output}"
            return
        self.output = None
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self.output = self._shell(block.text, where)
        elif block.language == "python":
            done = run_python(block.text, folder=self.folder, environment=self._environment)
            assert done.returncode == 0, f"{where}: {done.stderr}"
            self.output = done.stdout
        else:
            raise AssertionError(f"{where}: a file must begin with a comment that names it")

    def _shell(self, text: str, where: str) -> str:
        """Output of a shell that stops at the first command that fails; background jobs go on."""
        if any(shutil.which(name) is None for name in OPTIONAL if re.search(rf"^{name}\b", text, re.MULTILINE)):
            return SKIPPED
        printed, complaints = self.folder / ".stdout", self.folder / ".stderr"
        with printed.open("wb") as out, complaints.open("wb") as err:
            process = subprocess.Popen(
                ["sh", "-e", "-c", text.replace(PORT, str(self._port))],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            self._groups.append(process.pid)
            status = process.wait(_PATIENCE)
        assert status == 0, f"{where}: {complaints.read_text()[-3000:]}"
        return printed.read_text().replace(str(self._port), PORT)


SKIPPED = "left out: a program is missing"


def run_python(
    code: str, *, folder: Path, environment: dict[str, str], name: str = "-c"
) -> subprocess.CompletedProcess[str]:
    """Runs Python code, or the script at path `code` if `name` is empty; its own deprecation warnings are errors."""
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", *([name] if name else []), code]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )


def environment(cache: Path) -> dict[str, str]:
    """Environment of processes that import this checkout, print as wide as into a pipe and have caches in `cache`.

    One thread, because on a busy machine the threads of small networks wait for each other.
    """
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"OMP_NUM_THREADS": "1"}
    variables["PYTHONPATH"] = str(ROOT)
    variables["XDG_CACHE_HOME"] = str(cache)
    return variables


def agree(quoted: str, printed: str, *, numbers: bool = True) -> str | None:
    """None where `printed` agrees with `quoted`, else a description of the first difference.

    A line "..." of the quote stands for any lines. Elsewhere lines are compared, in order and without gaps: words
    and integers exactly, white space and rules not at all, numbers with a point or exponent to a thousandth of their
    size; numbers and hexadecimal identifiers not at all with `numbers=False`.
    """
    chunks: list[list[str]] = [[]]
    for line in _lines(quoted):
        if line == "...":
            chunks.append([])
        else:
            chunks[-1].append(line)
    lines, place = _lines(printed), 0
    for k, chunk in enumerate(chunks):
        starts = range(place, len(lines) - len(chunk) + 1)
        if k == 0:
            starts = starts[:1]
        if k == len(chunks) - 1:
            starts = starts[-1:]
        for start in starts:
            if all(_same(want, got, numbers) for want, got in zip(chunk, lines[start:], strict=False)):
                place = start + len(chunk)
                break
        else:
            return "not printed, or not in this place:\n" + "\n".join(chunk)
    if len(chunks) == 1 and place != len(lines):
        return "more was printed:\n" + "\n".join(lines[place:])
    return None


def _lines(text: str) -> list[str]:
    lines = (" ".join(re.sub("─+", "─", line).split()) for line in text.splitlines())
    return [line for line in lines if line]


def _same(want: str, got: str, numbers: bool) -> bool:
    if not numbers:
        want, got = _IDENTIFIER.sub("0", want), _IDENTIFIER.sub("0", got)
    if _NUMBER.sub("0", want) != _NUMBER.sub("0", got):
        return False
    return not numbers or all(
        one == other or (_is_real(one) and _is_real(other) and math.isclose(_value(one), _value(other), rel_tol=1e-3))
        for one, other in zip(_NUMBER.findall(want), _NUMBER.findall(got), strict=True)
    )


def _is_real(text: str) -> bool:
    return "." in text or "e" in text


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

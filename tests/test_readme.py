"""README.md: its code runs, its cell file is read, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from circuits import load_cells
from dse.space import Space

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str) -> None:
    done = run("-W", "error::DeprecationWarning:__main__", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    for printed in re.findall(r"# ([0-9.]+)$", code, flags=re.MULTILINE):
        assert printed in done.stdout


def test_the_cell_file_is_read(tmp_path: Path) -> None:
    block, _ = blocks("toml")
    path = tmp_path / "my_cells.toml"
    path.write_text(block, encoding="utf-8")
    (cell,) = load_cells(path).values()
    assert cell.behaviour == ("01011101", "00011111")
    assert cell.transistors == 10


def test_the_space_file_is_read(tmp_path: Path) -> None:
    _, block = blocks("toml")
    path = tmp_path / "my_space.toml"
    path.write_text(block, encoding="utf-8")
    space = Space.load(path)
    assert space.size == (2 * 2 * 2 * 3**4) ** 2
    assert [layer for layer, _ in space.layers] == ["conv1", "conv2"]


COMMANDS = sorted({match[1] for match in re.finditer(r"python -m ([a-z_.]+(?: [a-z]+)?)", README)})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command: str) -> None:
    words = command.split()
    done = run("-m", *words, "--help")
    if done.returncode == 2 and len(words) == 2:
        done = run("-m", words[0], "--help")  # the second word was an argument
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m")


def test_linked_files_are_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target

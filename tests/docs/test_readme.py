"""README.md: its code runs, its files can be read, its commands run as printed; slow commands only print their help."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from markdown import ROOT, Block, Reader, blocks, environment, run_python

from circuits import load_cells
from dse import Space

pytest.importorskip("foolbox", reason="needs the extra `attacks`")

BLOCKS = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
COMMANDS = [
    command for block in BLOCKS if not block.language for command in block.commands if command.startswith("python")
]
SLOW = {
    "cnn_eval data fetch": "downloads",
    "cnn_eval accuracy exact axfpm --model alexnet": "a minute",
    "cnn_eval margins": "half a minute",
    "cnn_eval audit": "minutes",
    "cnn_eval finetune": "a minute",
    "cnn_eval accuracy heap --model resnet20": "needs a GPU",
    "dse.evolve": "minutes",
    "circuits timing": "a quarter of a minute",
    "circuits characterize": "needs transistor models",
    "dse.compare": "half a minute",
    "dse.search": "minutes",
    "dse.results": "needs a finished search",
    "dse.plot": "needs a finished search",
    "studies": "up to a quarter of an hour each",
}
"""Beginnings of commands that are only asked for their help -> why. The pages in docs/ run most of them, smaller."""


def is_slow(command: str) -> bool:
    return any(command.startswith(f"python -m {beginning}") for beginning in SLOW)


@pytest.mark.slow
def test_python_blocks_run_and_print_the_numbers_in_their_comments(tmp_path: Path, shared_cache: Path) -> None:
    found = [block.text for block in BLOCKS if block.language == "python"]
    assert len(found) == 3
    for code in found:
        done = run_python(code, folder=tmp_path, environment=environment(shared_cache))
        assert done.returncode == 0, done.stderr
        assert done.stdout
        for printed in re.findall(r"# ([0-9.]+)$", code, flags=re.MULTILINE):
            assert printed in done.stdout


def test_the_cell_file_and_the_space_files_can_be_read(tmp_path: Path) -> None:
    for block in BLOCKS:
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    (cell,) = load_cells(tmp_path / "my_cells.toml").values()
    assert cell.behaviour == ("01011101", "00011111")
    assert cell.transistors == 10
    space = Space.load(tmp_path / "my_space.toml")
    assert space.size == (2 * 2 * 2 * 3**4) ** 2
    assert [layer for layer, _ in space.layers] == ["conv1", "conv2"]
    layers = Space.load(tmp_path / "my_layers.toml")
    assert (layers.network_layers, layers.formats) == (("all",), ("uint8",))
    assert layers.size == len(layers.library) + 3 > 60


@pytest.mark.slow
def test_commands_run_as_printed(tmp_path: Path, shared_cache: Path) -> None:
    """In order and in one folder, since later commands read what earlier ones write."""
    quick = [command for command in COMMANDS if not is_slow(command)]
    assert len(quick) > 10
    with Reader(tmp_path, shared_cache) as reader:
        for block in BLOCKS:
            if block.file:
                reader.read(block)
        for command in quick:
            reader.read(Block("sh", "", command, 0))
            assert reader.output, command


@pytest.mark.parametrize("beginning", SLOW)
def test_slow_commands_print_their_help(beginning: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert any(command.startswith(f"python -m {beginning}") for command in COMMANDS), "not in README.md any more"
    module, *words = beginning.split()
    program = importlib.import_module(module if module.startswith("dse.") else f"{module}.commands")
    command = words[:1] if module in ("cnn_eval", "circuits") else []
    with pytest.raises(SystemExit) as ended:
        program.main([*command, "--help"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert printed.startswith(" ".join(["usage: python -m", module, *command]))
    assert not re.search(r"\(default: [^)]*\)\s+\(default", printed)


def test_files_that_the_readme_links_to_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        assert (ROOT / target).is_file(), target

"""README.md and the pages that list commands: these run as printed, or exist where they take too long; files are read.

The code of docs/how_to/use_it_from_python.md, which was README's, runs in test_docs.py.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from markdown import ROOT, Block, Reader, blocks

from circuits import load_cells
from dse import Space

pytest.importorskip("foolbox", reason="needs the extra `attacks`")

LISTS = ("README.md", "docs/reference/at_a_glance.md", "docs/reference/toml_files.md")
BLOCKS = [block for page in LISTS for block in blocks((ROOT / page).read_text(encoding="utf-8"))]
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
    "cnn_eval accuracy exact heap axfpm docs": "ten thousand images, which are fetched",
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


def test_readme_is_read_in_two_minutes() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 120
    assert len(re.findall(r"^!\[[^\]]+\]\([^)]+\.png\)$", readme, flags=re.MULTILINE)) == 3
    assert "    make search " in readme
    assert "    make test " in readme


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
    (tmp_path / "docs").symlink_to(ROOT / "docs")  # README's commands name a file of a checkout
    with Reader(tmp_path, shared_cache) as reader:
        for block in BLOCKS:
            if block.file:
                reader.read(block)
        for command in quick:
            reader.read(Block("sh", "", command, 0))
            assert reader.output, command


@pytest.mark.parametrize("beginning", SLOW)
def test_slow_commands_print_their_help(beginning: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert any(command.startswith(f"python -m {beginning}") for command in COMMANDS), "not on these pages any more"
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

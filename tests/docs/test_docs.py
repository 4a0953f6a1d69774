"""The pages in docs/: every block is run and its output compared with the quote; every example script is run.

docs/README.md states the rules; tests/support/markdown.py applies them and is itself tested here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown import ROOT, Block, Reader, agree, blocks, environment, run_python

pytest.importorskip("foolbox", reason="needs the extra `attacks`")
pytest.importorskip("distributed", reason="needs the extra `dask`")

DOCS = ROOT / "docs"
INDEX = (DOCS / "README.md").read_text(encoding="utf-8")
EVERY_PAGE = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
PAGES = [page for page in EVERY_PAGE if page.startswith(("tutorials/", "how_to/"))]
"""The pages whose blocks are run; test_readme.py tries the commands of reference/at_a_glance.md."""
WITHOUT_SCRIPT = {"use_it_from_python", "evoapproxlib_in_resnet20", "beat_heap_and_axfpm", "on_a_gpu"}
"""Pages that are commands, or Python already."""
EXAMPLES = sorted(script.name for script in (DOCS / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_does_what_the_page_shows(name: str, tmp_path: Path, shared_cache: Path) -> None:
    found = blocks((DOCS / name).read_text(encoding="utf-8"))
    assert any(block.language == "text" for block in found)
    with Reader(tmp_path, shared_cache) as reader:
        for block in found:
            reader.read(block)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_runs_as_a_short_script(name: str, tmp_path: Path, shared_cache: Path) -> None:
    script = DOCS / "examples" / name
    assert len(script.read_text(encoding="utf-8").splitlines()) < 40
    done = run_python(str(script), folder=tmp_path, environment=environment(shared_cache), name="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 3


def test_the_index_names_every_page_and_example_and_nothing_else() -> None:
    linked = set(re.findall(r"\]\((?!\.\.)([\w/]+\.md)\)", INDEX))
    assert linked == {*EVERY_PAGE} - {"README.md"}
    (listed,) = blocks(INDEX)
    assert sorted(line.removeprefix("python docs/examples/") for line in listed.commands) == EXAMPLES
    assert {Path(name).stem for name in PAGES} - WITHOUT_SCRIPT == {Path(name).stem for name in EXAMPLES}


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_files_that_a_page_links_to_exist(name: str) -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)(?:#[^)]*)?\)", (DOCS / name).read_text(encoding="utf-8")):
        assert (DOCS / name).parent.joinpath(target).is_file(), target


def test_folders_of_pages_hold_at_most_14_files() -> None:
    for folder in (DOCS, *(path for path in DOCS.rglob("*") if path.is_dir())):
        assert sum(path.is_file() for path in folder.iterdir()) <= 14, folder


# ---- the rules


QUOTE = "cell  sum\n─────────\nexact  1,183  2.50\n...\nlast ~3\n"


@pytest.mark.parametrize(
    ("printed", "same", "same_words"),
    [
        ("cell sum\n──\n  exact 1,183 2.5000 \nother\n\nlast  ~3", True, True),
        ("cell sum\n──\nexact 1,183 2.5024\nlast ~3", True, True),
        ("cell sum\n──\nexact 1,183 2.5026\nlast ~3", False, True),
        ("cell sum\n──\nexact 1,184 2.50\nlast ~3", False, True),
        ("cell sum\n──\nexact 1,183 2.50\nlast 3", False, False),
        ("cell sum\n──\nother\nexact 1,183 2.50\nlast ~3", False, False),
        ("more\ncell sum\n──\nexact 1,183 2.50\nlast ~3", False, False),
        ("cell sum\n──\nexact 1,183 2.50\nlast ~3\nmore", False, False),
        ("cell sum\n──\nexact 1,183 2.50", False, False),
        ("last ~3\ncell sum\n──\nexact 1,183 2.50", False, False),
    ],
    ids=[
        "other white space and lines for ...",
        "within a thousandth",
        "further than a thousandth",
        "another integer",
        "no longer an estimate",
        "an extra line where ... is not",
        "an extra first line",
        "an extra last line",
        "last line missing",
        "another order",
    ],
)
def test_outputs_agree_up_to_white_space_and_a_thousandth(printed: str, same: bool, same_words: bool) -> None:
    assert (agree(QUOTE, printed) is None) == same
    assert (agree(QUOTE, printed, numbers=False) is None) == same_words


def test_a_difference_is_described() -> None:
    assert agree("one\n", "one\ntwo\n") == "more was printed:\ntwo"
    assert agree("one\n", "two\n") == "not printed, or not in this place:\none"
    assert agree("run 0123456789\n", "run abcdef0123\n", numbers=False) is None
    assert agree("run 0123456789\n", "run abcdef0123\n") is not None


PAGE = """# Page
    not code: no empty line before

```toml
# a.toml
x = 1
```

    indented   # remark
    # only a remark

```text varies
y
```
"""


def test_blocks_are_parsed_with_language_note_text_and_line() -> None:
    assert blocks(PAGE) == [
        Block("toml", "", "# a.toml\nx = 1\n", 4),
        Block("", "", "indented   # remark\n# only a remark\n", 9),
        Block("text", "varies", "y\n", 12),
    ]
    assert [block.file for block in blocks(PAGE)] == ["a.toml", None, None]
    assert blocks(PAGE)[1].commands == ["indented"]
    with pytest.raises(AssertionError, match="line 1: a fence must name its language"):
        blocks("```\nx\n```\n")


def test_a_wrong_page_fails(tmp_path: Path, shared_cache: Path) -> None:
    with Reader(tmp_path, shared_cache) as reader:
        with pytest.raises(AssertionError, match="line 1: an output must follow the block that prints it"):
            reader.read(Block("text", "", "x\n", 1))
        reader.read(Block("toml", "", "# a.toml\nx = 1\n", 2))
        reader.read(Block("sh", "", "cat a.toml\nsleep 600 &\npython -c 'print(3)'\n", 3))
        reader.read(Block("text", "", "...\nx = 1\n3\n", 4))
        with pytest.raises(AssertionError, match="line 5: more was printed"):
            reader.read(Block("text", "", "# a.toml\nx = 1\n", 5))
        with pytest.raises(AssertionError, match="line 6: "):
            reader.read(Block("sh", "", "false\ntrue\n", 6))
        with pytest.raises(AssertionError, match=r"line 7: .*\n.*\nZeroDivisionError"):
            reader.read(Block("python", "", "1 / 0\n", 7))
        with pytest.raises(AssertionError, match="line 8: a file must begin with a comment that names it"):
            reader.read(Block("toml", "", "x = 1\n", 8))

"""A MkDocs hook: the pages of the site that are made from the code, so that they cannot go stale.

reference/commands/PROGRAM.md   every command and option, from the parsers
reference/python/PACKAGE.md     what each package exports, from its face; mkdocstrings adds the docstrings
reference/columns.md            the table of scores in it, from the scorers
overview.md                     README.md
reference/results.md            studies/RESULTS.md
changelog.md                    CHANGELOG.md
"""

from __future__ import annotations

import argparse
import importlib
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from circuits.support.cli import Parser
from circuits.support.lazy import defining_module

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = {
    "circuits": "circuits.commands",
    "cnn_eval": "cnn_eval.commands",
    "dse": "dse.__main__",
    "studies": "studies.commands",
}
MOVED = {"README.md": "overview.md", "studies/RESULTS.md": "reference/results.md", "CHANGELOG.md": "changelog.md"}
"""Files outside docs/ that are pages of the site."""
PICTURES = {"studies/RESULTS.png": "reference/RESULTS.png"}
"""Pictures outside docs/ that these pages show."""
_SCORES = "<!-- scores -->"
"""What reference/columns.md has in the place of the table of scores."""
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


# ---- commands


class _Registered:
    """Collects the parsers that the commands of a program register."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.parsers: dict[str, Parser] = {}

    def add_parser(self, name: str, *, help: str, description: str) -> Parser:
        del help
        self.parsers[name] = Parser(prog=f"python -m {self.program} {name}", description=description)
        return self.parsers[name]


def parsers(program: str) -> Iterator[tuple[str, Parser]]:
    """Yields (name, parser) of every command of a program; a command's actions follow it, as "data fetch"."""
    registered = _Registered(program)
    for command in importlib.import_module(PROGRAMS[program]).COMMANDS:
        command.register(registered)
    for name, parser in registered.parsers.items():
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from ((f"{name} {below}", its) for below, its in action.choices.items())


def command_page(program: str) -> str:
    """The reference of `python -m PROGRAM` as Markdown: a section for each command, a table of what it takes."""
    lines = [f"# python -m {program}", "", "Made from the parsers: what `--help` prints.", ""]
    for name, parser in parsers(program):
        lines += [f"## {name}", "", parser.description or "", ""]
        takes = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
        lines += ["| argument or option | meaning | default |", "|-|-|-|", *map(_row, takes), ""]
    return "\n".join(lines)


def _row(action: argparse.Action) -> str:
    if isinstance(action, argparse._SubParsersAction):
        return f"| `{action.metavar}` | {', '.join(f'`{name}`' for name in action.choices)} | |"
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    values = " ".join(value) if isinstance(value, tuple) else value
    several = {"*": " ...", "+": " ...", "?": ""}.get(str(action.nargs), "")
    if not action.option_strings:
        name = f"{values}{several}"
    elif action.nargs == 0:
        name = ", ".join(action.option_strings)
    else:
        name = f"{', '.join(action.option_strings)} {values}{several}"
    meaning = _cell((action.help or "").replace("%%", "%").replace("%(default)s", str(action.default)))
    return f"| `{_cell(name)}` | {meaning} | {_cell(_default(action))} |"


def _default(action: argparse.Action) -> str:
    """The default as it would be typed; empty where `--help` shows none."""
    default = action.default
    if default in (None, argparse.SUPPRESS) or isinstance(default, bool) or not action.option_strings:
        return ""
    if "(default" in (action.help or ""):
        return ""
    text = " ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
    return f"`{text or 'none'}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")


# ---- Python


def python_page(package: str) -> str:
    """The reference of a package's face: its docstring, a list of its names, and each with its signature."""
    face = importlib.import_module(package)
    names = sorted(getattr(face, "__all__", ()), key=str.lower)
    summary = (face.__doc__ or "").split("\n", 1)[0]
    lines = [f"# {package}", "", summary, ""]
    if not names:
        return "\n".join([*lines, f"::: {package}", ""])
    lines += [f"`from {package} import ...`, or `import {package}`; each name is loaded on first use.", ""]
    for name in names:
        lines += [f"::: {_home(package, name)}.{name}", ""]
    return "\n".join(lines)


def _home(package: str, name: str) -> str:
    """The module that defines a name: faces load lazily from others, some of which do so too."""
    module = package
    while further := defining_module(module, name):
        module = further
    return module


# ---- scores


def score_table() -> str:
    """The columns of the built-in scorers as a table."""
    from dse import COLUMNS

    lines = ["| name | unit | better | what |", "|-|-|-|-|"]
    for column in COLUMNS.values():
        unit = "" if column.unit in ("1", "count") else column.unit
        lines.append(f"| `{column.name}` | {unit} | {'low' if column.minimise else 'high'} | {_cell(column.label)} |")
    return "\n".join(lines)


# ---- hooks


def on_files(files: Any, config: Any) -> Any:
    """Adds the generated pages, and pictures of theirs."""
    from mkdocs.structure.files import File

    pages = {f"reference/commands/{program}.md": command_page(program) for program in PROGRAMS}
    pages |= {f"reference/python/{package}.md": python_page(package) for package in PROGRAMS}
    pages |= {page: _moved(ROOT / source) for source, page in MOVED.items()}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    for source, picture in PICTURES.items():
        files.append(File.generated(config, picture, abs_src_path=str(ROOT / source)))
    return files


def _moved(path: Path) -> str:
    """A page from outside docs/, whose links to other files of the repository become their paths."""
    folder = path.parent.relative_to(ROOT).as_posix()

    def inside(link: re.Match[str]) -> str:
        text, target = link.groups()
        outside = posixpath.normpath(posixpath.join(folder, target))
        if target.startswith(("#", "http")):
            return link[0]
        if outside in MOVED or (outside.startswith("docs/") and outside.endswith(".md")):
            return f"[{text}]({MOVED.get(outside, outside.removeprefix('docs/'))})"
        return f"{text} (`{outside}`)" if text != target else f"`{outside}`"

    return _LINK.sub(inside, path.read_text(encoding="utf-8")).replace("](docs/images/", "](images/")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the repository outside docs/ lead to their pages, or become paths; fences get captions."""
    here = posixpath.dirname(page.file.src_uri)

    def inside(link: re.Match[str]) -> str:
        text, target = link.groups()
        if target.startswith(("#", "http")) or not target.startswith(".."):
            return link[0]
        path, _, anchor = target.partition("#")
        outside = posixpath.normpath(posixpath.join("docs", here, path))
        if outside in MOVED:
            away = posixpath.relpath(MOVED[outside], here or ".")
            return f"[{text}]({away}{'#' * bool(anchor)}{anchor})"
        return link[0] if outside.startswith("docs/") else f"{text} (`{outside}`)"

    if _SCORES in markdown:
        markdown = markdown.replace(_SCORES, score_table())
    captioned = re.sub(r"^```text varies$", '```text title="varies with the processor"', markdown, flags=re.MULTILINE)
    return _LINK.sub(inside, captioned)

"""Measures how the project is laid out. `python tests/support/house.py` prints the numbers; tests/house checks them.

What counts as an import: every `import` and `from ... import` statement of a file, wherever it stands. One inside a
function or under `if TYPE_CHECKING` ties two modules together as much as one at the top. `from a.b import c` imports
the module `a.b.c` if there is one, else `a.b`. That importing `a.b.c` also runs `a/__init__.py` does not count: a
package may export what its modules define.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("circuits", "cnn_eval", "dse", "studies")
"""Lowest first: each may import those before it."""
FOLDERS = (*PACKAGES, "tests")


@lru_cache(maxsize=8)
def modules(package: str, root: Path = ROOT) -> Mapping[str, Path]:
    """Dotted name -> file of every module of a package; a folder's `__init__` has the folder's name."""
    names = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


@lru_cache(maxsize=1024)
def syntax(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that the file imports; `from a.b import c` gives `a.b.c`, whatever c is."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_packages(path: Path) -> set[str]:
    """Top-level packages that the file imports."""
    return {name.partition(".")[0] for name in imported_names(path)}


def import_graph(names: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module -> the other modules among `names` that it imports."""
    graph = {}
    for module, path in names.items():
        used = {name if name in names else name.rpartition(".")[0] for name in imported_names(path)}
        graph[module] = (used & names.keys()) - {module}
    return graph


def import_circles(graph: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """The sets of modules that import each other: strongly connected components of more than one module, sorted."""
    reached = {module: _reachable(graph, module) for module in graph}
    circles = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(circles, key=sorted)


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Modules that `start` imports, directly or through others; `start` itself only if it stands in a circle."""
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += graph[module]
    return reached


def python_files(root: Path = ROOT) -> dict[Path, int]:
    """Folder below `root` -> number of Python files in it, `__init__` not counted."""
    counts: Counter[Path] = Counter()
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            counts[path.parent.relative_to(root)] += path.name != "__init__.py"
    return dict(sorted(counts.items()))


def repeated_base_names(root: Path = ROOT) -> dict[str, list[str]]:
    """Base names that several modules of the packages have -> those modules.

    Left out: `__init__` and `__main__`, modules of commands, which are named after what the user types, and studies.
    """
    by_name: dict[str, list[str]] = {}
    for package in PACKAGES[:-1]:
        for module, path in modules(package, root).items():
            *folders, base = module.split(".")
            if path.name not in ("__init__.py", "__main__.py") and (folders[-1:] != ["commands"] or base == "common"):
                by_name.setdefault(base, []).append(module)
    return {name: found for name, found in sorted(by_name.items()) if len(found) > 1}


@dataclass(frozen=True)
class Lines:
    """Lines of a folder's Python files; `comments` are lines that hold nothing but a comment."""

    files: int
    total: int
    code: int
    comments: int
    docstrings: int


def lines(folder: str, root: Path = ROOT) -> Lines:
    """Counts the lines of a package (or of the tests)."""
    paths = list((root / folder).rglob("*.py"))
    counts = [_lines(path) for path in paths]
    total, code, comments, docstrings = (sum(column) for column in zip(*counts, strict=True))
    return Lines(len(paths), total, code, comments, docstrings)


def earlier_files(revision: str, folder: Path, root: Path = ROOT) -> None:
    """Writes the Python files of a Git revision to `folder`; RuntimeError where there is no such revision."""
    git = ["git", "-C", str(root)]
    listed = subprocess.run([*git, "ls-tree", "--name-only", revision], capture_output=True, text=True, check=False)
    if listed.returncode:
        raise RuntimeError(f"{revision!r} must be a Git revision of the project, but: {listed.stderr[:200]}")
    patterns = [f":(glob){name}/**/*.py" for name in FOLDERS if name in listed.stdout.split()]
    done = subprocess.run([*git, "archive", revision, "--", *patterns], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _lines(path: Path) -> tuple[int, int, int, int]:
    text = path.read_text(encoding="utf-8")
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }
    docstrings = {
        line
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    every = text.splitlines()
    blank = {number for number, line in enumerate(every, 1) if not line.strip()} - docstrings
    return len(every), len(every) - len(blank | comments | docstrings), len(comments), len(docstrings)


def longest_modules(count: int, root: Path = ROOT) -> list[tuple[int, str]]:
    """(lines, module) of the longest modules of the packages, longest first."""
    sizes = [
        (path.read_text(encoding="utf-8").count("\n"), module)
        for package in PACKAGES
        for module, path in modules(package, root).items()
    ]
    return sorted(sizes, reverse=True)[:count]


def longest_functions(count: int, root: Path = ROOT) -> list[tuple[int, str]]:
    """(lines, module:function) of the longest functions of the packages, decorators not counted, longest first."""
    sizes = [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{module}:{node.name}")
        for package in PACKAGES
        for module, path in modules(package, root).items()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sorted(sizes, reverse=True)[:count]


def commands() -> list[tuple[str, ...]]:
    """Every command as the words after `python -m`, read from the help of each package."""
    found: list[tuple[str, ...]] = []
    for package in PACKAGES:
        if (ROOT / package / "__main__.py").is_file():
            found.append((package,))
            found += [(package, command) for command in _COMMAND.findall(_python("-m", package, "--help").stdout)]
    return found


_COMMAND = re.compile(r"^ {2,4}([a-z][a-z0-9_-]*)(?= {2,}\S|$)", re.MULTILINE)
"""A command in a help text: its name at the start of an indented line, then its summary."""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def cpu_seconds(*arguments: str) -> float:
    """CPU seconds, user and system, of `python ARGUMENTS` in a process of its own; RuntimeError if it fails."""
    before = os.times()
    done = _python(*arguments)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} must succeed, but ended with: {done.stderr[-500:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def _print_sizes() -> None:
    print("Python files a folder (without __init__)")
    for folder, count in python_files().items():
        print(f"  {count:4} {folder.as_posix()}")
    print("\nlines                files   total    code  comments  docstrings")
    for folder in FOLDERS:
        size = lines(folder)
        share = 100 * size.comments / size.total
        print(
            f"  {folder:16} {size.files:7} {size.total:7} {size.code:7} "
            f"{size.comments:5} {share:.1f} % {size.docstrings:7}"
        )
    for title, longest in (("modules", longest_modules(12)), ("functions", longest_functions(12))):
        print(f"\nlongest {title}")
        for size, name in longest:
            print(f"  {size:4} {name}")


def _print_growth(revision: str) -> None:
    print(f"\nlines                 at {revision[:12]:12}      now")
    with tempfile.TemporaryDirectory() as name:
        earlier_files(revision, Path(name))
        for folder in FOLDERS:
            # Before a folder was there, it had no lines.
            before = lines(folder, Path(name)).total if (Path(name) / folder).is_dir() else 0
            print(f"  {folder:16} {before:15} {lines(folder).total:12}")


def _print_suite() -> None:
    print("\nseconds of the suite on two processes")
    for title, marks in (("without the slow tests", ["-m", "not slow"]), ("everything", [])):
        began, before = time.monotonic(), os.times()
        done = _python("-m", "pytest", "-n", "2", "--dist", "worksteal", *marks)
        wall, after = time.monotonic() - began, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        result = done.stdout.strip().splitlines()[-1]
        print(f"  {wall:5.0f} s, {cpu:5.0f} s of CPU: {title}; status {done.returncode}: {result}")


def _print_names() -> None:
    circles = [circle for package in PACKAGES for circle in import_circles(import_graph(modules(package)))]
    print(f"\nimport circles: {len(circles)}")
    for circle in circles:
        print(f"  {' <-> '.join(sorted(circle))}")
    repeated = repeated_base_names()
    print(f"base names that occur twice: {len(repeated)}")
    for name, same in repeated.items():
        print(f"  {name}: {', '.join(same)}")


def _print_times() -> None:
    bare = cpu_seconds("-c", "pass")
    print(f"\nCPU seconds (the interpreter alone: {bare:.2f})")
    for package in PACKAGES:
        print(f"  {cpu_seconds('-c', f'import {package}'):5.2f} import {package}")
    for command in commands():
        print(f"  {cpu_seconds('-m', *command, '--help'):5.2f} {' '.join(command)} --help")


def main(argv: list[str] | None = None) -> int:
    """Prints the measurements; returns the exit status."""
    parser = argparse.ArgumentParser(description="How the project is laid out, in numbers.")
    parser.add_argument("--no-times", action="store_true", help="leave out what takes a process for each command")
    parser.add_argument("--before", metavar="REVISION", help="print the lines of this Git revision beside those now")
    parser.add_argument("--suite", action="store_true", help="run the tests and print how long they take (minutes)")
    arguments = parser.parse_args(argv)
    _print_sizes()
    _print_names()
    if arguments.before is not None:
        _print_growth(arguments.before)
    if not arguments.no_times:
        _print_times()
    if arguments.suite:
        _print_suite()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

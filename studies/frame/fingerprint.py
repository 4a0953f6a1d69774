"""The fingerprint of a study: a digest of the code and data files that its numbers depend on.

Python files count by their syntax trees without docstrings, so that wording, comments and layout may change without
asking for a new run; every other file counts by its bytes.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from circuits.support.lazy import defining_module

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("circuits", "cnn_eval", "dse", "studies")
_TARGET = re.compile(r"([A-Za-z_][\w.]*):\w+")
"""How a registry names an object (`circuits.support.lazy.LazyMapping`): its module, a colon, its name there."""
_NOT_INPUTS = (".py", ".pyc", ".pyi", ".md", ".html")
_FRAME = (ROOT / "studies" / "__init__.py", ROOT / "studies" / "frame" / "study.py")
"""They register and show results; no number depends on them."""
_OWN_OUTPUT = ROOT / "studies" / "results"


def digest(module: str) -> str:
    """SHA-256 over the files of `sources(module)`: their names below the project's root, and what they say."""
    total = hashlib.sha256()
    for path in sources(module):
        total.update(f"{path.relative_to(ROOT).as_posix()} {_content(path)}\n".encode())
    return total.hexdigest()


@lru_cache(maxsize=64)
def sources(module: str) -> tuple[Path, ...]:
    """The modules of this project that `module` imports, wherever in the file, and theirs; with the data files that lie
    beside them, and the versions of the libraries. Sorted. Too many rather than too few: a data file counts for every
    module of its package."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _path(waiting.pop())
        if path is None or path in found or path in _FRAME:
            continue
        found.add(path)
        waiting += _imports(path)
    folders = {
        ROOT.joinpath(*parts[:k])
        for path in found
        for parts in [path.relative_to(ROOT).parts]
        for k in range(1, len(parts))
    }
    data = {file for folder in folders if "studies" not in folder.parts[-2:] for file in _data(folder)}
    others = {ROOT.joinpath(*module.split(".")).with_suffix(".json"), ROOT / "constraints.txt"}
    return tuple(sorted(found | data | {path for path in others if path.is_file()}))


def _path(name: str) -> Path | None:
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@lru_cache(maxsize=1024)
def _imports(path: Path) -> tuple[str, ...]:
    """Names that may be modules: of `from a.b import c` both a.b and a.b.c, and every package above them.

    A name that a package imports on first use stands for the module that defines it, not for all that the package has.
    Modules that a registry names count as imported. Imports for type checkers decide no number.
    """
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := _TARGET.fullmatch(node.value)):
            names.add(named[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            if node.module in PACKAGES:
                names |= {defining_module(node.module, alias.name) or node.module for alias in node.names}
    above = {".".join(name.split(".")[:k]) for name in names for k in range(1, name.count(".") + 1)}
    return tuple(sorted(names | above))


def _data(folder: Path) -> Iterator[Path]:
    """Data files in `folder` and in its folders that hold no module."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__" and path != _OWN_OUTPUT and not list(path.glob("*.py")):
            yield from _data(path)
        elif path.is_file() and path.suffix not in _NOT_INPUTS and not path.name.startswith("."):
            yield path


@lru_cache(maxsize=4096)
def _content(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha256(_syntax(data) if path.suffix == ".py" else data).hexdigest()


def _syntax(source: bytes) -> bytes:
    """The syntax tree of a Python file as text. Left out: positions, and strings that stand as statements, which are
    docstrings of modules, classes, functions and constants and never decide a number."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_docstring(line)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

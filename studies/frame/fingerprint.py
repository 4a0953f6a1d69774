"""The fingerprint of a study: a digest of the code and data files that its numbers depend on.

A Python file is hashed by its syntax tree without docstrings, so that changes of wording, comments or layout do not
require a new run. Every other file is hashed by its bytes.
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
_UNFINISHED = ".checkpoint.safetensors"
"""Ending of the state of a training that is not finished; no study loads it."""
_FRAME = (ROOT / "studies" / "__init__.py", ROOT / "studies" / "frame" / "study.py")
"""Modules that register and display results. No number depends on them, so `sources` skips them."""
_OWN_OUTPUT = ROOT / "studies" / "results"
_LIBRARY_VERSIONS = "constraints.txt"


def digest(module: str) -> str:
    """Returns the SHA-256 of the files in `sources(module)`: of their paths relative to the root and their content."""
    sha256 = hashlib.sha256()
    for path in sources(module):
        sha256.update(f"{path.relative_to(ROOT).as_posix()} {_content(path)}\n".encode())
    return sha256.hexdigest()


def comparable() -> bool:
    """Whether digests can be compared with those of committed results: in a checkout, not in an installation.

    An installed package comes without the file that pins the library versions.
    """
    return (ROOT / _LIBRARY_VERSIONS).is_file()


@lru_cache(maxsize=64)
def sources(module: str) -> tuple[Path, ...]:
    """Returns the files that the numbers of `module` may depend on, sorted.

    These are the modules of this project that `module` imports directly or indirectly, anywhere in a file; the data
    files in their packages; and the file that pins the library versions. The list errs on the side of too many files:
    a data file counts for every module of its package.
    """
    modules: set[Path] = set()
    pending = [module]
    while pending:
        path = _path(pending.pop())
        if path is None or path in modules or path in _FRAME:
            continue
        modules.add(path)
        pending += _imports(path)
    folders = {
        ROOT.joinpath(*folder_names[:k])
        for path in modules
        for folder_names in [path.relative_to(ROOT).parts]
        for k in range(1, len(folder_names))
    }
    data = {file for folder in folders if "studies" not in folder.parts[-2:] for file in _data(folder)}
    extra_files = {ROOT.joinpath(*module.split(".")).with_suffix(".json"), ROOT / _LIBRARY_VERSIONS}
    return tuple(sorted(modules | data | {path for path in extra_files if path.is_file()}))


def _path(name: str) -> Path | None:
    """Returns the file of a module or package of this project; None for any other name."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@lru_cache(maxsize=1024)
def _imports(path: Path) -> tuple[str, ...]:
    """Returns the imported names that may be modules, with all their parent packages.

    `from a.b import c` gives both a.b and a.b.c, since c may be a module. Where a package loads a name lazily, the name
    stands for its defining module rather than for the whole package. Modules that a registry names count as imported.
    Imports under TYPE_CHECKING are skipped, since no number depends on them.
    """
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse
            continue
        pending += ast.iter_child_nodes(node)
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
    """Yields the data files in `folder` and, recursively, in its subfolders that contain no Python modules."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__" and path != _OWN_OUTPUT and not list(path.glob("*.py")):
            yield from _data(path)
        elif path.is_file() and path.suffix not in _NOT_INPUTS and not path.name.startswith("."):
            if path.name.endswith(_UNFINISHED):
                continue
            yield path


@lru_cache(maxsize=4096)
def _content(path: Path) -> str:
    """Returns the SHA-256 of a file: of the syntax tree of a Python file, of the bytes of any other."""
    data = path.read_bytes()
    return hashlib.sha256(_syntax(data) if path.suffix == ".py" else data).hexdigest()


def _syntax(source: bytes) -> bytes:
    """Returns the syntax tree of a Python file as text, without source positions and docstrings.

    Docstrings are all strings that stand as statements: those of modules, classes, functions and constants.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_docstring(line)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

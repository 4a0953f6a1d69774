"""The arrows studies -> dse -> cnn_eval -> circuits, and what importing circuits may cost."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("circuits", "cnn_eval", "dse", "studies")
HEAVY = {"torch", "pymoo", "pandas", "matplotlib", "seaborn", "foolbox"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_follow_the_arrows(package: str) -> None:
    above = set(PACKAGES[PACKAGES.index(package) + 1 :])
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert not imports(path) & above, path


def test_circuits_knows_no_torch_and_no_pymoo() -> None:
    for path in (ROOT / "circuits").rglob("*.py"):
        assert not imports(path) & {"torch", "pymoo"}, path


def test_importing_circuits_loads_nothing_heavy_and_compiles_nothing() -> None:
    code = "import sys, circuits; from circuits.engine.llvm import jit;print(jit._initialise.cache_info().misses, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    compiler_starts, *modules = done.stdout.split()
    assert compiler_starts == "0"
    assert not HEAVY & set(modules)


def test_no_pickle_and_no_eval() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert "pickle" not in imports(path), path
            called = {
                node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")
            }
            assert not called & {"eval", "exec"}, path


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_of_a_package_hides_one_of_its_modules(package: str) -> None:
    """`import circuits.accuracy.closed_forms as m` gives whatever `circuits` calls so: it must be the module (D4)."""
    for init in sorted((ROOT / package).rglob("__init__.py")):
        name = ".".join(init.parent.relative_to(ROOT).parts)
        module = importlib.import_module(name)
        for submodule in pkgutil.iter_modules(module.__path__):
            known = getattr(module, submodule.name, None)
            assert known is None or isinstance(known, ModuleType), f"{name}.{submodule.name}"
            assert submodule.name not in getattr(module, "__all__", ()), f"{name}.{submodule.name}"


RECURSIVE = {f"circuits.hdl.verilog.{name}" for name in ("constants", "evaluate", "statements")}
"""An expression may call a function, whose statements hold expressions: one recursion over three modules."""


def imported_modules(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of `known` that the file imports, inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known.keys()


@pytest.mark.parametrize("package", ["circuits", "studies"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    known = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        known[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {name: imported_modules(path, known) - {name} for name, path in known.items()}
    graph = {name: imports - RECURSIVE for name, imports in graph.items() if name not in RECURSIVE}
    # Modules that import none of those left are taken away; what remains stands in or above a circle.
    while leaves := {name for name, imports in graph.items() if not imports & graph.keys()}:
        graph = {name: imports for name, imports in graph.items() if name not in leaves}
    assert not graph, f"in or above a circle: {sorted(graph)}"

"""Rules for the layout of the project: what may import what, which names may repeat, how many files a folder may hold.

tests/support/house.py measures and prints all of this. Exceptions are listed beside their test, with the reason.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import house
import pytest
from house import PACKAGES, ROOT, import_circles, import_graph, modules, syntax

HEAVY = {"torch", "pymoo", "pandas", "matplotlib", "seaborn", "foolbox"}

every_package = pytest.mark.parametrize("package", PACKAGES)


# ---- arrows between packages


@every_package
def test_imports_follow_the_arrows(package: str) -> None:
    above = set(PACKAGES[PACKAGES.index(package) + 1 :])
    files = modules(package)
    assert files
    for path in files.values():
        assert not house.imported_packages(path) & above, path


def test_circuits_knows_no_torch_and_no_pymoo() -> None:
    for path in modules("circuits").values():
        assert not house.imported_packages(path) & {"torch", "pymoo"}, path


def test_importing_circuits_loads_nothing_heavy_and_compiles_nothing() -> None:
    code = """
import sys, circuits
from circuits.engine.llvm import jit
print(jit._initialise.cache_info().misses, *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    compiler_starts, *loaded = done.stdout.split()
    assert compiler_starts == "0"
    assert not HEAVY & set(loaded)


# ---- circles


def test_no_modules_import_each_other_in_a_circle() -> None:
    circles = {circle for package in PACKAGES for circle in import_circles(import_graph(modules(package)))}
    assert not circles


def test_circles_through_functions_and_type_hints_are_found(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    package.mkdir()
    texts = {
        "__init__": "from toy.first import one\n",
        "first": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy import second\n",
        "second": "def work():\n    import toy.third\n",
        "third": "from toy.first import one\n",
        "leaf": "import toy.first, os\n",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    graph = import_graph(modules("toy", tmp_path))
    assert graph["toy"] == {"toy.first"}
    assert graph["toy.leaf"] == {"toy.first"}
    assert import_circles(graph) == [frozenset({"toy.first", "toy.second", "toy.third"})]


# ---- names


def test_no_exported_name_hides_a_module() -> None:
    """`import a.b as m` binds whatever the attribute `b` of `a` is; it must be the module."""
    hidden = set()
    for name, path in ((name, path) for package in PACKAGES for name, path in modules(package).items()):
        if path.name == "__init__.py":
            module = importlib.import_module(name)
            for submodule in pkgutil.iter_modules(module.__path__):
                known = getattr(module, submodule.name, None)
                exported = submodule.name in getattr(module, "__all__", ())
                if exported or not (known is None or isinstance(known, ModuleType)):
                    hidden.add(f"{name}.{submodule.name}")
    assert not hidden


def test_no_two_modules_share_a_base_name() -> None:
    """A reader of `from cnn_eval.x import margins` should know which module is meant without looking at the folder."""
    assert not house.repeated_base_names()


# ---- folders


MOST_FILES = 14
FULL_FOLDERS = {Path("studies/paper"): "one file for each table and figure of the paper, named as the paper names it"}


def test_no_folder_holds_more_files_than_one_can_keep_in_mind() -> None:
    """Folders of tests are counted too."""
    assert {folder for folder, count in house.python_files().items() if count > MOST_FILES} == FULL_FOLDERS.keys()


# ---- what no file does


def test_no_pickle_and_no_eval() -> None:
    for path in (path for package in PACKAGES for path in modules(package).values()):
        assert "pickle" not in house.imported_packages(path), path
        called = {
            node.func.id
            for node in ast.walk(syntax(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"eval", "exec"}, path


# ---- the measurements themselves


def test_lines_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    text = '"""Doc\n\nstring."""\n\n# why\nX = """a\n# no comment\n"""  # behind code\n'
    (tmp_path / "toy" / "some.py").write_text(text)
    assert house.lines("toy", tmp_path) == house.Lines(files=1, total=8, code=3, comments=1, docstrings=3)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_files_of_an_earlier_version_are_written_out(tmp_path: Path) -> None:
    repository, written = tmp_path / "repository", tmp_path / "written"
    for folder in (repository / "dse", written):
        folder.mkdir(parents=True)
    git = ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-C", str(repository)]
    for folder in house.FOLDERS:
        (repository / folder).mkdir(exist_ok=True)
        (repository / folder / "some.py").write_text("X = 1\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    (repository / "dse" / "some.py").write_text("X = 1\nY = 2\n")
    house.earlier_files("HEAD", written, repository)
    assert (house.lines("dse", written).total, house.lines("dse", repository).total) == (1, 2)
    with pytest.raises(RuntimeError, match=r"^'nosuch' must be a Git revision of the project, but: "):
        house.earlier_files("nosuch", written, repository)


def test_every_command_is_found_and_its_help_can_be_timed() -> None:
    commands = house.commands()
    for known in (("circuits", "show"), ("circuits", "import"), ("cnn_eval", "accuracy"), ("studies", "run")):
        assert known in commands
    assert house.cpu_seconds("-c", "pass") < house.cpu_seconds("-m", "circuits", "show", "--help")


def test_nothing_says_that_it_is_unfinished() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            assert not marks.search(path.read_text(encoding="utf-8")), path


@every_package
def test_tests_of_a_package_import_nothing_above_it(package: str) -> None:
    """A test that needs several packages stands with the highest one, or in tests/all_packages."""
    above = set(PACKAGES[PACKAGES.index(package) + 1 :])
    files = [*(ROOT / "tests" / package).rglob("*.py")]
    assert files
    assert not {str(path): found for path in files if (found := house.imported_packages(path) & above)}

"""The faces of the packages: what `from circuits import ...` and its like export, and that they import lazily."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FACES = ("circuits", "cnn_eval", "dse")
HEAVY = {"torch", "numba", "llvmlite", "numpy", "pandas", "matplotlib", "seaborn", "pymoo", "rich"}


def stated_for_type_checkers(package: str) -> dict[str, str]:
    """Name -> module, of the imports under `if TYPE_CHECKING` in a package's `__init__`."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    return {alias.name: str(node.module) for node in imports for alias in node.names if alias.asname == alias.name}


@pytest.mark.parametrize("package", FACES)
def test_type_checkers_and_the_interpreter_see_the_same_names(package: str) -> None:
    from circuits.support.lazy import defining_module

    stated = stated_for_type_checkers(package)
    exported = importlib.import_module(package).__all__
    assert sorted(stated) == sorted(exported)
    assert stated == {name: defining_module(package, name) for name in exported}


@pytest.mark.parametrize("package", FACES)
def test_every_name_resolves_and_is_listed(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert getattr(module, name) is getattr(importlib.import_module(stated_for_type_checkers(package)[name]), name)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"^module '{package}' has no attribute 'nosuch'$"):
        _ = module.nosuch


@pytest.mark.parametrize("package", FACES)
def test_importing_a_face_imports_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not HEAVY & set(done.stdout.split())


def test_the_faces_export_the_promised_names() -> None:
    promised = {
        "circuits": "AdderCell CELLS Design design find_design simulate matmul error_metrics Estimate cost_report "
        "bilinear_form closed_form_metrics true_timing to_verilog to_blif netlist_from_verilog TOPOLOGIES FORMATS",
        "cnn_eval": "approximate load_model load_images measure_accuracy measure_transfer run_attack run_audit "
        "recorded_operands",
        "dse": "run_search SearchOptions Space Store compare_designs Processes load_run",
    }
    for package, names in promised.items():
        assert set(names.split()) <= set(importlib.import_module(package).__all__), package


def test_documentation_and_examples_import_from_the_faces_only() -> None:
    """All pages and scripts but those in docs/site, which read the packages to write the reference."""
    docs = ROOT / "docs"
    pages = [ROOT / "README.md", *docs.rglob("*.md"), *docs.rglob("*.py")]
    for page in pages:
        if page.is_relative_to(docs / "site"):
            continue
        text = page.read_text(encoding="utf-8")
        deep = re.findall(r"^(?:from|import) (?:circuits|cnn_eval|dse|studies)\.\S+", text, flags=re.MULTILINE)
        assert not deep, page


def test_tests_import_from_the_faces_what_these_export() -> None:
    deep = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            package, _, module = (
                (node.module or "").partition(".") if isinstance(node, ast.ImportFrom) else ("", "", "")
            )
            if module and package in FACES:
                exported = importlib.import_module(package).__all__
                deep |= {
                    f"{path.relative_to(ROOT)}: {package}.{module}.{alias.name}"
                    for alias in node.names
                    if alias.name in exported
                }
    assert not deep


def test_a_registry_imports_a_module_when_its_object_is_first_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from circuits.support.lazy import LazyMapping

    (tmp_path / "lazy_toy.py").write_text("ONE = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry: LazyMapping[object] = LazyMapping({"one": "lazy_toy:ONE", "two": "lazy_nosuch:TWO"})
    assert list(registry) == ["one", "two"]
    assert len(registry) == 2
    assert "two" in registry
    assert "three" not in registry
    assert registry.get("three") is None
    assert "lazy_toy" not in sys.modules
    assert registry["one"] is registry["one"] is sys.modules.pop("lazy_toy").ONE
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'lazy_nosuch'$"):
        _ = registry["two"]


def test_everything_registered_resolves() -> None:
    from circuits import TOPOLOGIES
    from cnn_eval import MODELS
    from cnn_eval.data.dataset_registry import DATASETS
    from dse import SCORERS
    from dse.explore.methods import SEARCH_METHODS

    for registry in (TOPOLOGIES, DATASETS, MODELS, SEARCH_METHODS, SCORERS):
        assert all(registry.values())

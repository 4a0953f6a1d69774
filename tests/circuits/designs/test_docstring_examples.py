"""The examples in docstrings give what they print."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("accuracy", "designs", "floats", "support")
FILES = [path for folder in FOLDERS for path in (ROOT / "circuits" / folder).rglob("*.py")]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in [ROOT / "circuits" / "errors.py", *FILES]
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_there_are_examples() -> None:
    assert "circuits.designs.design_record" in WITH_EXAMPLES
    assert "circuits.accuracy.measurement" in WITH_EXAMPLES


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_give_what_they_print(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module), verbose=False)
    assert results.attempted
    assert not results.failed

"""The examples in docstrings give what they print."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
from house import PACKAGES, modules

_EXAMPLE = re.compile(r"^ *>>> ", re.MULTILINE)
WITH_EXAMPLES = [
    name
    for package in PACKAGES
    for name, path in modules(package).items()
    if _EXAMPLE.search(path.read_text(encoding="utf-8"))
]
SLOW = {"cnn_eval", "dse"}
"""Modules whose examples evaluate a network."""


def test_there_are_examples() -> None:
    assert {"circuits.designs.design_record", "circuits.accuracy.measurement", *PACKAGES[:-1]} <= {*WITH_EXAMPLES}


@pytest.mark.parametrize(
    "module", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in WITH_EXAMPLES]
)
def test_examples_in_docstrings_give_what_they_print(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # what an example writes
    results = doctest.testmod(importlib.import_module(module), verbose=False)
    assert results.attempted
    assert not results.failed

"""Runs a study by its name, or finds that a stored result still is what it would give."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuits.errors import unknown_name
from studies import STUDIES
from studies.frame import fingerprint
from studies.frame.row_figures import comparison
from studies.frame.study import StudyOptions, StudyResult


def known_names(names: Sequence[str]) -> list[str]:
    """The names, or those of all studies for ["all"]; UnknownNameError for a name that no study has."""
    names = list(STUDIES) if list(names) == ["all"] else list(names)
    for name in names:
        if name not in STUDIES:
            raise unknown_name("study", name, (*STUDIES, "all"))
    return names


def module_of(name: str) -> Any:
    """The module of a study."""
    return importlib.import_module(STUDIES[name])


def measure(name: str, options: StudyOptions) -> StudyResult:
    """Runs a study. The result has a figure, and the fingerprint of the files that its numbers depend on."""
    inputs = fingerprint.digest(STUDIES[name])  # before it runs: files may change meanwhile
    module = module_of(name)
    result: StudyResult = replace(module.run(options), name=name, title=module.TITLE, source=module.SOURCE)
    if not result.figures:
        figures = comparison(result.rows, name=name, title=f"{result.title} ({result.source})")
        result = replace(result, figures=figures)
    return replace(result, level=options.level, inputs=inputs)


def reusable(folder: Path, name: str, level: str) -> StudyResult | None:
    """The result that an earlier run left in `folder`, if it is of this level and of the same code and data."""
    try:
        result = StudyResult.load(folder / f"{name}.json")
    except (ValueError, OSError):
        return None
    return result if (result.level, result.inputs) == (level, fingerprint.digest(STUDIES[name])) else None

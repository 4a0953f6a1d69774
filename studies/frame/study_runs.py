"""Runs studies by name and finds stored results that are still up to date."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuits.errors import unknown_name
from studies import STUDIES
from studies.frame import fingerprint
from studies.frame.study import StudyOptions, StudyResult


def known_names(names: Sequence[str]) -> list[str]:
    """Returns `names`, or the names of all studies for ["all"]. Raises UnknownNameError for an unknown name."""
    names = list(STUDIES) if list(names) == ["all"] else list(names)
    for name in names:
        if name not in STUDIES:
            raise unknown_name("study", name, (*STUDIES, "all"))
    return names


def module_of(name: str) -> Any:
    """Imports and returns the module of a study."""
    return importlib.import_module(STUDIES[name])


def measure(name: str, options: StudyOptions) -> StudyResult:
    """Runs a study. Its result includes a figure and the fingerprint of the files that its numbers depend on."""
    inputs = fingerprint.digest(STUDIES[name])  # before the run, since files may change during it
    module = module_of(name)
    result: StudyResult = replace(module.run(options), name=name, title=module.TITLE, source=module.SOURCE)
    if not result.figures:
        # Plotting takes longer to import than a mistake in the options should take to show.
        from studies.frame.row_figures import comparison

        figures = comparison(result.rows, name=name, title=f"{result.title} ({result.source})")
        result = replace(result, figures=figures)
    return replace(result, level=options.level, inputs=inputs)


def is_stale(result: StudyResult) -> bool:
    """Whether the code or data that a stored result depends on have changed since it was measured.

    An installation has no constraints.txt, which is one of these files, and nobody edits its code: False.
    """
    return fingerprint.comparable() and result.inputs != fingerprint.digest(STUDIES[result.name])


def stale_names(results: Iterable[StudyResult]) -> set[str]:
    """Returns the names of the results that are stale."""
    return {result.name for result in results if is_stale(result)}


def reusable(folder: Path, name: str, level: str) -> StudyResult | None:
    """Returns the result of an earlier run in `folder` if its level, code and data are the same; otherwise None."""
    try:
        result = StudyResult.load(folder / f"{name}.json")
    except (ValueError, OSError):
        return None
    return result if (result.level, result.inputs) == (level, fingerprint.digest(STUDIES[name])) else None

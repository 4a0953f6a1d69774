"""Stored results: where they lie, and whether new numbers agree with the committed ones."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from circuits.support.files import require_writable
from studies import STUDIES
from studies.frame.result_folders import COMMITTED
from studies.frame.study import LEVELS, Row, StudyResult

PACKAGE = Path(__file__).parent.parent
_INSTALLED = ("site-packages", "dist-packages")
EXACT = 1e-6
"""Relative tolerance of a row without an interval, where its study has no TOLERANCE of its own."""
_LOOSE = ("s", "ms", "us", "products/s", "images/s", "designs/s", "time ratio", "speed ratio", "checks")
"""Units of rows that are never compared: times of this machine, and how many checks of an audit lie just beyond their
thresholds."""


def require_own(folder: Path, *, advice: str) -> None:
    """Raises ValueError, ending with `advice`, where `folder` belongs to the installed package or may not be written.

    In a checkout, which has the project's pyproject.toml beside the package, the package's folder is the user's own.
    """
    package = PACKAGE.resolve()
    checkout = (package.parent / "pyproject.toml").is_file() and package.parent.name not in _INSTALLED
    if not checkout and folder.resolve().is_relative_to(package):
        raise ValueError(f"{folder} must not be written, since it belongs to the installed package; {advice}.")
    require_writable(folder)


def path_of(name: str, level: str, store: Path = COMMITTED) -> Path:
    """The path of a study's committed result."""
    return store / level / f"{name}.json"


def load_best(store: Path = COMMITTED) -> dict[str, StudyResult]:
    """The committed result of every study at the highest level that was stored, in the order of STUDIES."""
    results = {}
    for name in STUDIES:
        level = next((level for level in reversed(LEVELS) if path_of(name, level, store).is_file()), None)
        if level is not None:
            results[name] = load(name, level, store)
    return results


def load(name: str, level: str, store: Path = COMMITTED) -> StudyResult:
    """The committed result of a study at a level; ValueError, naming the file, where it holds one of another level."""
    path = path_of(name, level, store)
    result = StudyResult.load(path)
    if result.level != level:
        raise ValueError(
            f"{path} must hold a result at level {level}, but holds one at level {result.level}; move or delete it."
        )
    return result


def tolerance(name: str) -> float | None:
    """Relative tolerance of a study's numbers without an interval: its TOLERANCE, else EXACT; None: never compared."""
    value: float | None = getattr(importlib.import_module(STUDIES[name]), "TOLERANCE", EXACT)
    return value


def differences(new: StudyResult, old: StudyResult) -> list[str]:
    """Compares two results of a study; returns one line for each number of `new` that does not agree with `old`.

    A number whose old row has a 95 % interval must lie in that interval (widened by EXACT for rounding), any other
    within the study's tolerance of the old one. Times are not compared. Both results must have the same rows, in any
    order, and the same verdict.

    Where the study has a TOLERANCE, intervals need only overlap and the verdict may differ: gradients and trainings
    depend in their last bits on the processor and the number of threads, and attacks with them, so that as many as one
    sample in five goes the other way.
    """
    allowed = tolerance(old.name)
    if allowed is None:
        return []
    news, olds = ({_key(row): row for row in result.rows} for result in (new, old))
    lines = [f"{old.name}: {_title(key)} is gone" for key in olds if key not in news]
    lines += [f"{old.name}: {_title(key)} is new" for key in news if key not in olds]
    for key, row in olds.items():
        if key in news and row.unit not in _LOOSE:
            low, high = _range(row, allowed)
            new_row = news[key]
            least, most = (new_row.interval if allowed > EXACT else None) or (new_row.measured, new_row.measured)
            if most < low or least > high:
                lines.append(
                    f"{old.name}: {_title(key)} must be from {low:.4g} to {high:.4g}, but is {new_row.measured:.4g}"
                )
    if new.verdict != old.verdict and allowed <= EXACT:
        lines.append(f"{old.name}: the verdict was {old.verdict!r}, and is {new.verdict!r}")
    return lines


def _range(row: Row, allowed: float) -> tuple[float, float]:
    margin = (allowed if row.interval is None else EXACT) * abs(row.measured)
    low, high = row.interval or (row.measured, row.measured)
    return min(low, row.measured) - margin, max(high, row.measured) + margin


def _key(row: Row) -> tuple[str, str]:
    return row.subject, row.quantity


def _title(key: Iterable[str]) -> str:
    return ", ".join(key)

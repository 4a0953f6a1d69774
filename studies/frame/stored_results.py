"""Locates and loads stored results, and compares new numbers with the committed ones."""

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
"""Relative tolerance for a row without an interval, unless its study defines a TOLERANCE."""
_LOOSE = ("s", "ms", "us", "products/s", "images/s", "designs/s", "time ratio", "speed ratio", "checks")
"""Units of rows that are never compared: times depend on the machine, and so does the number of an audit's checks that
lie just beyond their thresholds."""


def require_own(folder: Path, *, advice: str) -> None:
    """Raises ValueError, ending with `advice`, if `folder` belongs to the installed package or is not writable.

    A checkout has the project's pyproject.toml beside the package; there, the package's folder belongs to the user.
    """
    package = PACKAGE.resolve()
    checkout = (package.parent / "pyproject.toml").is_file() and package.parent.name not in _INSTALLED
    if not checkout and folder.resolve().is_relative_to(package):
        raise ValueError(f"{folder} must not be written, since it belongs to the installed package; {advice}.")
    require_writable(folder)


def path_of(name: str, level: str, store: Path = COMMITTED) -> Path:
    """Returns the path of a study's committed result."""
    return store / level / f"{name}.json"


def stored_levels(name: str, store: Path = COMMITTED) -> list[str]:
    """Returns the levels at which the study has a committed result, in the order of LEVELS."""
    return [level for level in LEVELS if path_of(name, level, store).is_file()]


def load_best(store: Path = COMMITTED) -> dict[str, StudyResult]:
    """Loads the committed result of every study at its highest stored level, in the order of STUDIES."""
    results = {}
    for name in STUDIES:
        if levels := stored_levels(name, store):
            results[name] = load(name, levels[-1], store)
    return results


def load(name: str, level: str, store: Path = COMMITTED) -> StudyResult:
    """Loads the committed result of a study at a level; raises ValueError if the file has a result at another level."""
    path = path_of(name, level, store)
    result = StudyResult.load(path)
    if result.level != level:
        raise ValueError(
            f"{path} must hold a result at level {level}, but holds one at level {result.level}; move or delete it."
        )
    return result


def tolerance(name: str) -> float | None:
    """Returns the relative tolerance for numbers without an interval: the study's TOLERANCE if defined, else EXACT.

    None means that the study's numbers are never compared.
    """
    value: float | None = getattr(importlib.import_module(STUDIES[name]), "TOLERANCE", EXACT)
    return value


def differences(new: StudyResult, old: StudyResult) -> list[str]:
    """Compares two results of a study and returns one line for each number of `new` that disagrees with `old`.

    If the old row has a 95 % interval, the new number must lie in it (widened by EXACT for rounding). Otherwise, it
    must lie within the study's tolerance of the old number. Times are not compared. Both results must have the same
    rows, in any order, and the same verdict.

    If the study has a TOLERANCE, it suffices that the intervals overlap, and the verdict may differ. The last bits of
    gradients and of trained weights depend on the processor and the number of threads. Attacks amplify the difference:
    the outcome changes for up to one sample in five.
    """
    allowed = tolerance(old.name)
    if allowed is None:
        return []
    new_rows, old_rows = ({_key(row): row for row in result.rows} for result in (new, old))
    lines = [f"{old.name}: {_title(key)} is gone" for key in old_rows if key not in new_rows]
    lines += [f"{old.name}: {_title(key)} is new" for key in new_rows if key not in old_rows]
    for key, row in old_rows.items():
        if key in new_rows and row.unit not in _LOOSE:
            low, high = _range(row, allowed)
            new_row = new_rows[key]
            new_low, new_high = (new_row.interval if allowed > EXACT else None) or (new_row.measured, new_row.measured)
            if new_high < low or new_low > high:
                lines.append(
                    f"{old.name}: {_title(key)} must be from {low:.4g} to {high:.4g}, but is {new_row.measured:.4g}"
                )
    if new.verdict != old.verdict and allowed <= EXACT:
        lines.append(f"{old.name}: the verdict was {old.verdict!r}, and is {new.verdict!r}")
    return lines


def _range(row: Row, allowed: float) -> tuple[float, float]:
    """Returns the lowest and the highest number that agree with a stored row."""
    margin = (allowed if row.interval is None else EXACT) * abs(row.measured)
    low, high = row.interval or (row.measured, row.measured)
    return min(low, row.measured) - margin, max(high, row.measured) + margin


def _key(row: Row) -> tuple[str, str]:
    return row.subject, row.quantity


def _title(key: Iterable[str]) -> str:
    return ", ".join(key)

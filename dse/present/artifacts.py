"""The results that a search prints, and the files it writes: front.csv, Pareto plots, report.html, run.json."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from circuits.errors import DesignError
from circuits.support.cli import console
from circuits.support.documents import parse_json
from circuits.support.files import read_bytes, write_atomically
from circuits.support.provenance import machine, versions
from dse.explore.convergence import convergence
from dse.explore.search_result import SearchResult
from dse.present.convergence_plot import CONVERGENCE_FILES, convergence_files, convergence_text
from dse.present.result_notes import front_note, notes, plain_rows, title_of
from dse.present.score_table import front_csv, print_definitions, print_scores
from dse.score.scorers.scorer import Column
from dse.score.store import Store
from dse.space.search_space import Space

__all__ = [
    "REPORT_NAME",
    "print_result",
    "provenance",
    "require_same_space",
    "result_files",
    "write_plots",
    "write_results",
]

_RUN_NAME = "run.json"
REPORT_NAME = "report.html"
_MAX_RECORD_BYTES = 1 << 24
_PACKAGES = ("approximate-dse", "numpy", "numba", "llvmlite", "torch", "pymoo")
_NOT_MEASURED = 5
"""Designs ruled out that are printed with their reasons."""


def provenance(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """How a run is made: the command, the machine, the versions."""
    command = shlex.join(["python", "-m", module, *arguments])
    return {"command": command, "machine": machine(), "versions": versions(_PACKAGES)}


def result_files(result: SearchResult) -> list[str]:
    """The names of the files that `write_results` leaves for people: front, Pareto plots, convergence, report."""
    from dse.present.pareto_plots import file_names

    curve = CONVERGENCE_FILES if convergence(result) else ()
    return ["front.csv", *file_names(result.objectives), *curve, REPORT_NAME]


def write_results(folder: Path, result: SearchResult) -> None:
    """Writes `result_files` and run.json in `folder`.

    Files of this very run that are already there are kept. Each file is written whole or not at all.
    """
    objectives = result.objectives
    names = result_files(result)
    record = folder / _RUN_NAME
    if (
        _record_of(record).get("run") == result.record.run
        and all((folder / name).exists() for name in names)
        and not result.failures
    ):
        return
    record.unlink(missing_ok=True)  # Written last: it says that all files are of this run.
    write_atomically(folder / "front.csv", front_csv(result.front, objectives, result.columns).encode())
    write_plots(folder, result)
    if curve := convergence(result):
        for name, content in convergence_files(curve, title_of(result)).items():
            write_atomically(folder / name, content)
    from dse.present.html_report import report

    write_atomically(folder / REPORT_NAME, report(result).encode())
    if not result.failures:
        data = {
            "run": result.record.run,
            "configuration": result.record.configuration,
            "provenance": result.record.provenance,
        }
        write_atomically(record, (json.dumps(data, indent=2) + "\n").encode())


def write_plots(folder: Path, result: SearchResult, columns: Sequence[Column] | None = None) -> list[str]:
    """The Pareto plots of every pair of `columns` (default: the objectives) in `folder`; returns their names."""
    from dse.present.pareto_plots import pareto_plots

    ruled_out = {entry.row.design.cost_digest for entry in result.ruled_out}
    title = title_of(result)
    names = []
    for name, content in pareto_plots(
        [row for row in result.rows if row.design.cost_digest not in ruled_out],
        result.front,
        result.references,
        columns or result.objectives,
        ruled_out=[row for row in result.rows if row.design.cost_digest in ruled_out],
        title=title,
    ):
        write_atomically(folder / name, content)
        names.append(name)
    return names


def _record_of(record: Path) -> dict[str, Any]:
    """The content of run.json as `write_results` wrote it; empty where there is none, or it cannot be read."""
    try:
        data = parse_json(read_bytes(record, limit=_MAX_RECORD_BYTES), str(record))
    except DesignError:
        return {}
    return data if isinstance(data, dict) else {}


def require_same_space(folder: Path, path: Path, space: Space, *, own_store: bool) -> None:
    """Raises DesignError, naming what differs, if `folder` holds the files of a search of another space.

    An unfinished search has no files yet; its store tells the space, if it is the folder's own (`own_store`).
    """
    configuration = _record_of(folder / _RUN_NAME).get("configuration")
    spaces = [configuration["space"]] if isinstance(configuration, dict) and "space" in configuration else []
    if not spaces and own_store and path.exists():
        with Store(path) as store:
            spaces = [record.configuration["space"] for record in store.runs()]
    ours = json.loads(json.dumps(space.to_data()))
    differences = [_space_difference(theirs, ours) for theirs in spaces]
    if differences and all(differences):
        start_over = ", or --fresh to start over" if own_store else ""
        raise DesignError(
            f"--out {folder} must be of this search's space {ours['name']!r}, but holds a search of space "
            f"{spaces[-1]['name']!r} ({differences[-1]}); give another --out{start_over}."
        )


def _space_difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The difference, e.g. "bands 0 24 there, 0 12 24 here"; empty if only the names differ, which does not count."""
    differing = [key for key in {**ours, **theirs} if key != "name" and theirs.get(key) != ours.get(key)]
    texts = []
    for key in differing:
        there, here = (_space_value(data.get(key)) for data in (theirs, ours))
        texts.append(f"{key} {there} there, {here} here" if there != here else f"{key}: other tables or costs")
    return "; ".join(texts)


def _space_value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(entry[0] if isinstance(entry, list) else entry) for entry in value)
    return "none" if value is None else str(value)


def print_result(result: SearchResult, folder: Path | None, names: Sequence[str], seconds: float | None) -> None:
    """Prints front and references as tables, what the columns mean, what was skipped and what was written.

    `folder` and `names`: where results were written, and which; `seconds`: how long the search took, if it ran.
    """
    screen = console()
    objectives = result.objectives
    targets = ", ".join(column.name for column in objectives)
    title = f"Pareto front over {targets}: {len(result.front)} of {title_of(result)}"
    if result.question.constraints:
        title += f", with {', '.join(map(str, result.question.constraints))}"
    asked = [*objectives, *(result.columns[limit.column.name] for limit in result.question.constraints)]
    print_scores(screen, title, result.front, asked, result.columns)
    indistinct = front_note(result)
    if indistinct:
        screen.print(f"{indistinct}\n")
    print_scores(screen, "Reference designs", result.references, asked, result.columns)
    print_definitions(screen, plain_rows(result))
    lines = notes(result)
    if result.ruled_out:
        partial = sum("not measured" in entry.reason for entry in result.ruled_out)
        lines.append(
            f"Ruled out by constraints: {len(result.ruled_out)} designs, {partial} of them not measured in full; "
            f"report.html and the store list them, the first {min(_NOT_MEASURED, len(result.ruled_out))}:"
        )
        lines += [f"  {entry.row.name}: {entry.reason}" for entry in result.ruled_out[:_NOT_MEASURED]]
    if result.beaten:
        lines.append(
            f"Not measured in full: {len(result.beaten)} designs that a scored one dominates whatever the rest is; "
            f"report.html and the store list them, the first {min(_NOT_MEASURED, len(result.beaten))}:"
        )
        lines += [f"  {entry.row.name}: {entry.reason}" for entry in result.beaten[:_NOT_MEASURED]]
    if curve := convergence(result):
        lines.append(convergence_text(curve))
    if not result.front and result.ruled_out:
        lines.append("No design meets the constraints: loosen them, or raise --budget.")
    lines += [f"not scored: {failure.design.label}: {failure.reason}" for failure in result.failures]
    if folder is not None:
        lines.append(f"Written to {folder}: {', '.join(names)}.")
    if seconds is not None:
        computed = f"{result.computed} designs computed" if result.computed else "Everything was in the store"
        lines.append(f"{computed}, {seconds:.1f} s.")
    for line in lines:
        screen.print(line)

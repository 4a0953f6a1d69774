"""The runs in a store as a list, and the designs of a run as CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from circuits.support.cli import console, print_csv, print_json, table
from dse.explore.search_result import SearchResult
from dse.explore.stored_runs import check_configuration, every_design
from dse.present.score_table import front_csv, row_data
from dse.score.store import RunRecord, Store

__all__ = ["SELECTIONS", "exported", "print_runs", "run_entries"]

SELECTIONS = ("front", "all")
"""Which designs of a run are exported: the front, or all that were scored."""
_NAMES = (
    "run",
    "started",
    "finished",
    "space",
    "method",
    "objectives",
    "constraints",
    "budget",
    "seed",
    "designs",
    "skipped",
)
"""What the list says of a run, in order."""


def run_entries(store: Store) -> list[dict[str, Any]]:
    """An entry for each run, JSON-ready, by the time of their start; None for what an unfinished run has not."""
    return [_entry(store, record) for record in store.runs()]


def print_runs(entries: Sequence[dict[str, Any]], *, format: str = "table") -> None:
    """Prints `run_entries`; `format`: "table", "csv" or "json"."""
    if format == "json":
        print_json(entries)
    elif format == "csv":
        print_csv(list(_NAMES), entries)
    else:
        # The time when it ended, a column of JSON and CSV, is left out: unfinished runs are known by their designs.
        columns = [name for name in _NAMES if name not in ("finished", "constraints")]
        runs = table(*columns, right=("budget", "seed", "designs", "skipped"))
        runs.columns[columns.index("started")].no_wrap = True
        for entry in entries:
            question = "\n".join([*entry["objectives"].split(), *entry["constraints"].split()])
            started = entry["started"][:16].replace("T", " ") + " UTC"
            texts = {**entry, "started": started, "objectives": question}
            runs.add_row(*("-" if texts[name] is None else str(texts[name]) for name in columns))
        console().print(runs)


def _entry(store: Store, record: RunRecord) -> dict[str, Any]:
    check_configuration(store, record)
    configuration = record.configuration
    members = [member for member in store.members(record.run) or [] if member.role == "space"]
    done = record.finished is not None
    values = (
        record.run[:10],
        record.started,
        record.finished,
        configuration["space"]["name"],
        configuration["method"] + (" asynchronous" if configuration["asynchronous"] else ""),
        " ".join(configuration["objectives"]),
        " ".join(configuration["constraints"]),
        configuration["budget"],
        configuration["seed"],
        len(members) if done else None,
        sum(bool(member.skipped) for member in members) if done else None,
    )
    return dict(zip(_NAMES, values, strict=True))


def exported(result: SearchResult, *, designs: str = "front", format: str = "csv") -> tuple[str, int]:
    """(text, number of designs) of a run's designs with all their scores.

    `designs`: one of `SELECTIONS`; `format`: "csv" or "json", which also has the run, the references, the units and why
    a design was skipped.
    """
    rows = list(result.front) if designs == "front" else every_design(result)
    if format == "csv":
        return front_csv(rows, result.objectives, result.columns), len(rows)
    reasons = result.reasons
    data = {
        "run": result.record.run,
        "configuration": result.record.configuration,
        "provenance": result.record.provenance,
        "units": {column.name: column.unit for column in result.columns.values()},
        "scopes": {column.name: column.scope for column in result.columns.values() if column.scope},
        "designs": [{**row_data(row), "skipped": reasons.get(row.design.cost_digest, "")} for row in rows],
        "references": [row_data(row) for row in result.references],
    }
    return json.dumps(data, indent=2) + "\n", len(rows)

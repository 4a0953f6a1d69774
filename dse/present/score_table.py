"""Scored designs as a printed table, as CSV and as JSON; all they say of a column stands in the column itself."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from circuits.designs.design_record import Design
from circuits.support.cli import table
from circuits.support.numbers import number
from circuits.support.text import csv_field
from dse.score.scored_design import ScoredDesign
from dse.score.scorers import COLUMNS
from dse.score.scorers.cost_scorer import COST_NOTE
from dse.score.scorers.scorer import Column
from dse.space.per_layer import Candidate, LayerDesigns

__all__ = [
    "estimates_note",
    "front_csv",
    "print_definitions",
    "print_scores",
    "row_data",
    "score_text",
    "structure",
]


def structure(design: Candidate) -> str:
    """One line: topology, ports, policies and placement; of each layer where there are several, of an
    imported circuit once for all its layers."""
    if isinstance(design, LayerDesigns):
        layers_of: dict[tuple[Design, str], list[str]] = {}
        for name, entry in design.designs.items():
            layers_of.setdefault((entry, name if entry.imported is None else ""), []).append(name)
        return "; ".join(f"{', '.join(names)}: {structure(entry)}" for (entry, _), names in layers_of.items())
    if design.imported is not None:
        name = "" if design.name is None else f"{design.name}, "
        return f"{name}{design.describe()['topology']}"
    parts = [design.topology, f"ports {design.ports}"]
    if design.tile is not None:
        parts.append(f"tiles of {design.tile} bits")
    parts.append(f"half adders {design.half_adders}")
    if design.has_final_adder:
        parts.append(f"final adder {design.final_adder}")
    parts.append(design.placement.describe())
    if design.format is None:
        return ", ".join(parts)
    if design.rounding != "truncate" or design.normalization != "full":
        parts.append(f"rounding {design.rounding}, normalization {design.normalization}")
    return ", ".join(parts)


def estimates_note(rows: Sequence[ScoredDesign]) -> str:
    """Which cells' costs are estimates, with the mark that their designs carry; empty where none is."""
    names = sorted({name for row in rows for name in row.estimated})
    return f"~: cost partly estimated, not characterised, for {', '.join(names)}" if names else ""


def print_scores(
    console: Console,
    title: str,
    rows: Sequence[ScoredDesign],
    also: Sequence[Column] = (),
    columns: Mapping[str, Column] = COLUMNS,
) -> None:
    """Prints a table with one row for each design: those of `columns` that say `in_table`, and those in `also`."""
    asked = {column.name: column for column in also}
    shown = [asked.get(name, column) for name, column in columns.items() if column.in_table or name in asked]
    headings = [column.table_heading for column in shown]
    scores = table("design", *headings, right=headings, title=title)
    scores.columns[0].no_wrap = False  # "heap (reconstructed)" may take two lines
    for row in rows:
        scores.add_row(row.name, *(score_text(row, column) for column in shown))
    console.print(scores)
    console.print()


def print_definitions(console: Console, rows: Sequence[ScoredDesign]) -> None:
    """The exact structure behind every name, each name once."""
    definitions = table("design", "definition")
    for name, text in dict.fromkeys((row.name, structure(row.design)) for row in rows):
        definitions.add_row(name, text)
    console.print(definitions)
    console.print()


def front_csv(rows: Sequence[ScoredDesign], objectives: Sequence[Column], every: Mapping[str, Column] = COLUMNS) -> str:
    """CSV with one row for each design: digest, name, objectives, the other columns of `every`, structure, TOML.

    The header of a column is "NAME [UNIT]", or "NAME, SCOPE [UNIT]". Undefined and missing values are empty fields.
    `estimated` names the cells for which some cost is an estimate. Text that a spreadsheet would run is guarded
    (`csv_field`).
    """
    columns = [*objectives, *(column for column in every.values() if column not in objectives)]
    headers = (column.header for column in columns)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["digest", "name", *headers, "estimated", "cost_digest", "structure", "design"])
    for row in rows:
        values = [row.scores.get(column.name, math.nan) for column in columns]
        numbers = ["" if math.isnan(value) else repr(value) for value in values]
        design = row.listed
        rest = [" ".join(row.estimated), design.cost_digest, structure(design), design.to_toml()]
        writer.writerow(map(csv_field, [design.digest, row.name, *numbers, *rest]))
    return stream.getvalue()


def row_data(row: ScoredDesign) -> dict[str, Any]:
    """The row, ready for JSON; undefined values are null."""
    return {
        "design": row.name,
        "digest": row.design.digest,
        "cost_digest": row.design.cost_digest,
        "definition": row.design.describe(),
        "cost_note": COST_NOTE,
        "estimated": list(row.estimated),
        "toml": row.listed.to_toml(),
        "scores": {name: None if math.isnan(value) else value for name, value in row.scores.items()},
    }


def score_text(row: ScoredDesign, column: Column) -> str:
    """The score as tables show it: "-" where it is undefined, "~" before a cost that is partly estimated."""
    value = row.scores[column.name]
    text = number(value, column.format)
    if column.partly_estimated and row.estimated and not math.isnan(value):
        text = f"~{text}"
    return text

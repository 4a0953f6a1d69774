"""Rows of scored designs, as a table for people and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rich.console import Console

from circuits.cost import AREA_UNIT, DELAY_UNIT, ENERGY_UNIT
from circuits.cost.cells45 import library_component
from circuits.cost.circuit import split
from circuits.cost.cost_model import ACTIVITIES
from circuits.designs.design_record import Design
from circuits.designs.named_designs import NAMED
from circuits.support.cli import table
from circuits.support.numbers import number
from circuits.support.text import csv_field
from dse.score.scorers import COLUMNS, TECHNOLOGY, Column, Scores
from dse.space.per_layer import LayerDesigns, Subject, designs_of

__all__ = [
    "Row",
    "cost_note",
    "estimates_note",
    "front_csv",
    "print_definitions",
    "print_scores",
    "row_data",
    "score_text",
    "structure",
]

_TABLE = (
    "energy",
    "delay",
    "nmed",
    "mred",
    "accuracy",
    "accuracy_loss",
    *(name for name in COLUMNS if name.startswith("transfer_") and name != "transfer_rate"),
    "margin_fgsm_smallest",
    "adaptive_robustness",
)
COSTS = ("energy", "delay", "area")
"""The columns that an estimate of a cell enters."""
_HEADS = {
    "energy": "energy*\nfJ",
    "delay": "delay*\nps",
    "area": "area*\num^2",
    "nmed": "NMED",
    "mred": "MRED",
    "accuracy": "accuracy\n%",
    "accuracy_loss": "loss\npp",
    "transfer_pgd": "PGD\n%",
    "transfer_fgsm_smallest": "FGSM\n%",
    "margin_fgsm_smallest": "FGSM\nx1.2 %",
    "adaptive_robustness": "robust\n%",
}


@dataclass(frozen=True)
class Row:
    """A scored design; `reference` when it is shown for orientation, not as a result of the search."""

    design: Subject
    scores: Scores
    reference: bool = False

    @property
    def name(self) -> str:
        """The label of the named design that this is, if any; otherwise the design's own label."""
        return self.listed.label

    @property
    def listed(self) -> Subject:
        """The named design that this is, if any, otherwise the design: one text for one circuit, whoever scored it."""
        return _named().get(self.design.cost_digest, self.design)

    @property
    def estimated(self) -> tuple[str, ...]:
        """Names of the cells and gates of which some cost is an estimate."""
        names: set[str] = set()
        for design in designs_of(self.design).values():
            if design.imported is None and all(map(library_component, set(design.placement.all_cells()))):
                continue  # without drawing the circuit
            parts = {instance.component for instance in design.netlist().instances}
            names |= {part.name for part in parts if any(TECHNOLOGY.cost_of(piece).estimated for piece in split(part))}
        return tuple(sorted(names))

    def values(self, columns: Sequence[Column]) -> list[float]:
        """The row's values in those columns, so that smaller is better."""
        return [self.scores[column.name] if column.minimise else -self.scores[column.name] for column in columns]


@lru_cache(maxsize=1)
def _named() -> Mapping[str, Design]:
    # The first name wins: axfpm is ama5_array under the name that papers know.
    return {entry.cost_digest: entry for entry in reversed([*NAMED.values()])}


def structure(design: Subject) -> str:
    """One line: topology, ports, policies and placement; of each layer where there are several."""
    if isinstance(design, LayerDesigns):
        return "; ".join(f"{name}: {structure(entry)}" for name, entry in design.designs.items())
    if design.imported is not None:
        return design.describe()["topology"]
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


def cost_note() -> str:
    """What the costs are counted in and what they hold for."""
    return (
        f"mantissa multiplier as drawn, energy in {ENERGY_UNIT} an operation ({ACTIVITIES['none']}), delay in "
        f"{DELAY_UNIT}, area in {AREA_UNIT}: {TECHNOLOGY.note}"
    )


def estimates_note(rows: Sequence[Row]) -> str:
    """Which cells' costs are estimates, with the mark that their designs carry; empty where none is."""
    names = sorted({name for row in rows for name in row.estimated})
    return f"~: cost partly estimated, not characterised, for {', '.join(names)}" if names else ""


def print_scores(console: Console, title: str, rows: Sequence[Row], also: Sequence[Column] = ()) -> None:
    """A table of the usual scores and those in `also`, a row a design."""
    asked = {column.name: column for column in also}
    shown = [asked.get(name, column) for name, column in COLUMNS.items() if name in _TABLE or name in asked]
    heads = [_head(column) for column in shown]
    scores = table("design", *heads, right=heads, title=title)
    scores.columns[0].no_wrap = False  # "heap (reconstructed)" may take two lines
    for row in rows:
        scores.add_row(row.name, *(score_text(row, column) for column in shown))
    console.print(scores)
    console.print()


def _head(column: Column) -> str:
    """ "area*", "sum of 2 layers", "um^2", a line each."""
    name, *unit = _HEADS.get(column.name, column.name).split("\n")
    return "\n".join([name, *([column.scope] if column.scope else []), *unit])


def print_definitions(console: Console, rows: Sequence[Row]) -> None:
    """The exact structure behind every name, each name once."""
    definitions = table("design", "definition")
    for name, text in dict.fromkeys((row.name, structure(row.design)) for row in rows):
        definitions.add_row(name, text)
    console.print(definitions)
    console.print()


def front_csv(rows: Sequence[Row], objectives: Sequence[Column], every: Mapping[str, Column] = COLUMNS) -> str:
    """CSV, a row a design: name, digests, objectives, the others of `every` column, structure, the design as TOML.

    The header of a column is "NAME [UNIT]", or "NAME, SCOPE [UNIT]". Undefined and missing values are empty fields.
    `estimated` names the cells of which some cost is an estimate. Text that a spreadsheet would run is guarded
    (`csv_field`).
    """
    columns = [*objectives, *(column for column in every.values() if column not in objectives)]
    heads = (column.header for column in columns)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["digest", "name", *heads, "estimated", "cost_digest", "structure", "design"])
    for row in rows:
        values = [row.scores.get(column.name, math.nan) for column in columns]
        numbers = ["" if math.isnan(value) else repr(value) for value in values]
        design = row.listed
        rest = [" ".join(row.estimated), design.cost_digest, structure(design), design.to_toml()]
        writer.writerow(map(csv_field, [design.digest, row.name, *numbers, *rest]))
    return stream.getvalue()


def row_data(row: Row) -> dict[str, Any]:
    """The row, ready for JSON; undefined values are null."""
    return {
        "design": row.name,
        "digest": row.design.digest,
        "cost_digest": row.design.cost_digest,
        "definition": row.design.describe(),
        "cost_note": cost_note(),
        "estimated": list(row.estimated),
        "toml": row.listed.to_toml(),
        "scores": {name: None if math.isnan(value) else value for name, value in row.scores.items()},
    }


def score_text(row: Row, column: Column) -> str:
    """The score as tables show it: "-" where it is undefined, "~" before a cost that is partly estimated."""
    value = row.scores[column.name]
    text = number(value, column.format)
    if column.name in COSTS and row.estimated and not math.isnan(value):
        text = f"~{text}"
    return text

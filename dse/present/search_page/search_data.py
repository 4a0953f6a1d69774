"""What the page of a search holds, JSON-ready: columns, designs, drawings, curve, importance, question and provenance.

Everything about a column comes from its record, so a new column needs nothing here. Designs of a network with many
layers share most of their text: the TOML of a design is a list of numbers of lines in a common table, and a drawing is
stored once for each distinct multiplier, packed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from circuits.designs.design_record import Design
from circuits.drawing.design_drawing import drawing_of
from circuits.errors import DesignError
from circuits.pages.web_page import finite, packed
from circuits.support.numbers import number
from dse.explore.convergence import CONVERGENCE_NOTE, convergence
from dse.explore.search_result import SearchResult
from dse.explore.stored_runs import every_design
from dse.present.intervals import interval
from dse.present.result_notes import front_note, notes, title_of
from dse.present.score_table import structure
from dse.present.search_page.choice_importance import choice_importances
from dse.score.scored_design import ScoredDesign
from dse.score.scorers.scorer import Column
from dse.space.per_layer import designs_of

__all__ = ["DesignTexts", "packed_drawing", "search_data"]

_DRAWINGS_BYTES = 3 << 20
"""Drawings take no more of a page than this, the front's and the references' first; others are then left out."""

_CHOICES = 40
"""Most choices whose importance a page holds, for each objective."""


@dataclass
class DesignTexts:
    """What designs share in a page: lines of TOML, and the distinct multipliers that are parts of them.

    `drawing`: packed drawing of a multiplier, None for none. Kept between pages of a running search, so that nothing
    is drawn twice.
    """

    drawing: Callable[[Design], str | None]
    lines: dict[str, int] = field(default_factory=dict)
    parts: dict[Design, int] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    left: int = _DRAWINGS_BYTES

    def toml(self, text: str) -> list[int]:
        """The numbers of the text's lines."""
        return [self.lines.setdefault(line, len(self.lines)) for line in text.split("\n")]

    def part(self, design: Design) -> int:
        """The number of a multiplier."""
        # Equal designs may have other names: the first one's is kept.
        if design not in self.parts:
            self.parts[design] = len(self.records)
            drawing = self.drawing(design) if self.left > 0 else None
            self.left -= len(drawing or "")
            self.records.append({"file": design.digest[:10], "label": design.label, "drawing": drawing})
        return self.parts[design]


def packed_drawing(names: Sequence[str]) -> Callable[[Design], str | None]:
    """A function that draws and packs a multiplier; cells in `names` have the same colours in all of them."""

    def draw(design: Design) -> str | None:
        try:
            return packed(drawing_of(design, names).to_json())
        except DesignError as error:  # nothing to draw: the reason takes the drawing's place
            return packed(json.dumps({"refused": str(error)}))

    return draw


def search_data(result: SearchResult, texts: DesignTexts | None = None) -> dict[str, Any]:
    """The data of the page of `result`; `texts` holds what pages of the same run share."""
    rows = [*every_design(result), *result.references]
    texts = texts or DesignTexts(packed_drawing(cell_names(rows)))
    kinds = _kinds(result)
    # Drawn in the order of importance, since drawings may be too many.
    order = sorted(rows, key=lambda row: not (row.reference or kinds[row.design.cost_digest][0] == "front"))
    designs = {id(row): _design(row, result, texts, kinds) for row in order}
    record = result.record
    configuration = record.configuration
    return {
        "title": title_of(result),
        "columns": [_column(column, result) for column in result.columns.values()],
        "objectives": [column.name for column in result.objectives],
        "constraints": [str(limit) for limit in result.question.constraints],
        "designs": [designs[id(row)] for row in rows],
        "lines": list(texts.lines),
        "parts": texts.records,
        "convergence": _convergence(result),
        "importance": {
            name: [[c, round(s, 4)] for c, s in shares[:_CHOICES]]
            for name, shares in choice_importances(result).items()
        },
        "failures": [[failure.design.label, failure.reason] for failure in result.failures],
        "notes": [*filter(None, [front_note(result)]), *notes(result)],
        "question": _question(configuration, record.provenance),
        "provenance": _provenance(record.run, record.started, record.finished, configuration, record.provenance),
    }


def cell_names(rows: Sequence[ScoredDesign]) -> list[str]:
    """The names of all cells in the designs, sorted."""
    designs = [design for row in rows for design in designs_of(row.design).values()]
    return sorted({cell.name for design in designs for cell in design.placement.all_cells()})


def _kinds(result: SearchResult) -> dict[str, tuple[str, str]]:
    """Cost digest -> (kind, why it was skipped)."""
    kinds = {row.design.cost_digest: ("scored", "") for row in result.rows}
    kinds |= {entry.row.design.cost_digest: ("beaten", entry.reason) for entry in result.beaten}
    kinds |= {entry.row.design.cost_digest: ("ruled out", entry.reason) for entry in result.ruled_out}
    return kinds | {row.design.cost_digest: ("front", "") for row in result.front}


def _column(column: Column, result: SearchResult) -> dict[str, Any]:
    limits = [limit.column.name for limit in result.question.constraints]
    judged = column.name in limits or column.name in {objective.name for objective in result.objectives}
    return {
        "name": column.name,
        "label": f"{column.label}{column.scoped}",
        "heading": column.table_heading,
        "header": column.header,
        "unit": "" if column.unit in ("1", "count") else column.unit,
        "scale": column.scale,
        "minimise": column.minimise,
        "judged": judged,
        "inTable": column.in_table,
        "note": column.note_for(result.record.configuration["settings"]) if column.note else "",
    }


def _design(
    row: ScoredDesign, result: SearchResult, texts: DesignTexts, kinds: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """One design: its scores in the order of the columns, None where one was not measured or is undefined."""
    columns = list(result.columns.values())
    listed = row.listed
    kind, reason = ("reference", "") if row.reference else kinds[row.design.cost_digest]
    estimated = bool(row.estimated)
    values = [row.scores.get(column.name, math.nan) for column in columns]
    shown = [number(value, column.format) for value, column in zip(values, columns, strict=True)]
    marked = (
        f"~{text}" if c.partly_estimated and estimated and text != "-" else text
        for text, c in zip(shown, columns, strict=True)
    )
    bounds = {k: interval(column, row.scores) for k, column in enumerate(columns)}
    return {
        "name": listed.label,
        "digest": row.design.digest,
        "kind": kind,
        "reason": reason,
        "values": [finite(value) for value in values],
        "texts": list(marked),
        "bounds": {k: [finite(end) for end in ends] for k, ends in bounds.items() if ends is not None},
        "structure": structure(row.design),
        "toml": texts.toml(listed.to_toml()),
        "parts": [[layer, texts.part(design)] for layer, design in designs_of(listed).items()],
    }


def _convergence(result: SearchResult) -> dict[str, Any]:
    """The curve of the hypervolume, from 0 to 1, and what it is."""
    curve = [[count, round(volume, 6)] for count, volume in convergence(result)]
    return {"curve": curve, "evaluations": "designs evaluated, skipped ones included", "note": CONVERGENCE_NOTE}


def _question(configuration: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[list[str]]:
    method = configuration["method"] + (", asynchronous" if configuration["asynchronous"] else "")
    if configuration["method"] == "nsga2":
        method += f", population {configuration['population']}"
    return [
        ["space", configuration["space_text"]],
        *([["network", configuration["network_text"]]] if configuration.get("network_text") else []),
        ["constraints", ", ".join(configuration["constraints"]) or "none"],
        ["method", f"{method}, budget {configuration['budget']:,} designs, seed {configuration['seed']}"],
        ["command", str(provenance.get("command") or "from Python")],
    ]


def _provenance(
    run: str, started: str, finished: str | None, configuration: Mapping[str, Any], provenance: Mapping[str, Any]
) -> list[list[str]]:
    versions = provenance.get("versions") or {}
    return [
        ["run", run],
        ["started", started or "unknown"],
        ["finished", finished or "not finished"],
        ["machine", str(provenance.get("machine") or "unknown")],
        ["versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"],
        ["scorers", ", ".join(f"{name} {v} ({digest[:10]})" for name, (v, digest) in configuration["scorers"].items())],
        ["settings", ", ".join(f"{name} {value}" for name, value in configuration["settings"].items())],
    ]

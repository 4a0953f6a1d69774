"""report.html: the question of a search, its fronts, arrays and provenance, in one self-contained file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from circuits.designs.design_record import Design
from circuits.drawing.array_drawing import array_svg
from circuits.errors import DesignError
from dse.explore.convergence import convergence
from dse.explore.search_result import SearchResult
from dse.present.convergence_plot import convergence_svg, convergence_text
from dse.present.result_notes import front_note, notes, plain_rows, title_of
from dse.present.score_table import score_text, structure
from dse.present.svg_scatter import Mark, scatter
from dse.score.scored_design import ScoredDesign
from dse.score.scorers.scorer import Column
from dse.space.per_layer import designs_of

__all__ = ["report"]


@dataclass(frozen=True)
class _Cell:
    value: str
    text: str


def report(result: SearchResult) -> str:
    """The page; every name is escaped, nothing is loaded from elsewhere."""
    record = result.record
    provenance: Mapping[str, Any] = {"command": "", "machine": "", "versions": {}, **record.provenance}
    objectives = result.objectives
    designs = [design for row in result.front for design in designs_of(row.design).values()]
    curve = convergence(result)
    cells = sorted({cell.name for design in designs for cell in design.placement.all_cells()})
    return _template().render(
        title=title_of(result),
        record=record,
        configuration=record.configuration,
        provenance=provenance,
        versions=list(provenance["versions"].items()),
        objectives=objectives,
        columns=list(result.columns.values()),
        plots=[Markup(_plot(result, x, y)) for x, y in combinations(objectives, 2)],
        convergence=Markup(convergence_svg(curve)) if curve else "",
        convergence_text=convergence_text(curve) if curve else "",
        front=result.front,
        table=[
            {
                "name": row.name,
                "reference": row.reference,
                "anchor": "" if row.reference else _anchor(row),
                "cells": [_Cell(repr(row.scores[name]), score_text(row, c)) for name, c in result.columns.items()],
            }
            for row in plain_rows(result)
        ],
        front_note=front_note(result),
        notes=notes(result),
        cards=[
            {
                "name": row.name,
                "anchor": _anchor(row),
                "structure": structure(row.design),
                "parts": [
                    {
                        "layer": layer,
                        "drawing": _drawing(design, cells),
                        "file": design.digest[:10],
                        "toml": design.to_toml(),
                    }
                    for layer, design in designs_of(row.listed).items()
                ],
            }
            for row in result.front
        ],
        ruled_out=result.ruled_out,
        beaten=result.beaten,
        partial=sum("not measured" in entry.reason for entry in result.ruled_out),
        failures=result.failures,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    # The template is ours, the names in it are the user's: everything is escaped unless marked.
    environment = Environment(
        loader=PackageLoader("dse.present", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html")


def _anchor(row: ScoredDesign) -> str:
    return f"design-{row.design.cost_digest[:16]}"


def _drawing(design: Design, cells: Sequence[str]) -> Markup:
    try:
        return Markup(array_svg(design, names=cells))
    except DesignError as error:  # imported circuits have no places
        return Markup("<p>{}</p>").format(error)


def _plot(result: SearchResult, x: Column, y: Column) -> str:
    best = {row.design.cost_digest for row in result.front}
    ruled_out = {entry.row.design.cost_digest: entry.reason for entry in result.ruled_out}
    marks = [
        _mark(result, row, "out" if row.design.cost_digest in ruled_out else "all", x, y)
        for row in result.rows
        if row.design.cost_digest not in best
    ]
    marks += [_mark(result, row, "front", x, y) for row in result.front]
    marks += [_mark(result, row, "reference", x, y) for row in result.references]
    return scatter(marks, x, y)


def _mark(result: SearchResult, row: ScoredDesign, kind: str, x: Column, y: Column) -> Mark:
    defined = [column for column in result.columns.values() if not math.isnan(row.scores.get(column.name, math.nan))]
    wanted = [*result.objectives, *(c for c in defined if c not in result.objectives)]
    lines = [row.name, *(f"{c.label}{c.scoped}: {score_text(row, c)}{_unit(c)}" for c in wanted if c in defined)]
    link = _anchor(row) if kind == "front" else ""
    return Mark(row.scores[x.name], row.scores[y.name], kind, row.name, "\n".join(lines), link)


def _unit(column: Column) -> str:
    return "" if column.unit in ("1", "count") else f" {column.unit}"

"""Designs side by side: definitions above, then a part for each scorer, as a printed table, CSV or JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from circuits.designs.headings import side_by_side
from circuits.support.cli import console, print_csv, print_json, table
from dse.present.score_table import estimates_note, print_definitions, row_data
from dse.score.scored_design import ScoredDesign
from dse.score.scorer_choice import columns_of
from dse.score.scorers.scorer import Scorer, ScoreSettings
from dse.space.per_layer import LayerDesigns, designs_of

__all__ = ["print_comparison"]


def print_comparison(
    rows: Sequence[ScoredDesign], scorers: Sequence[Scorer], settings: ScoreSettings, *, format: str = "table"
) -> None:
    """Prints scored designs side by side; `format`: "table", "csv" or "json". `scorers` are those of the rows."""
    if format == "json":
        units = {name: column.unit for name, column in columns_of(scorers).items()}
        print_json([{**row_data(row), "units": units} for row in rows])
    elif format == "csv":
        _print_csv(rows, scorers)
    else:
        _print_table(rows, scorers, settings)


def _print_csv(rows: Sequence[ScoredDesign], scorers: Sequence[Scorer]) -> None:
    columns = columns_of(scorers).values()
    entries: list[dict[str, Any]] = [
        {
            "design": row.name,
            "digest": row.design.digest,
            **{c.header: None if math.isnan(row.scores[c.name]) else row.scores[c.name] for c in columns},
            "estimated": " ".join(row.estimated),
        }
        for row in rows
    ]
    print_csv(["design", "digest", *(column.header for column in columns), "estimated"], entries)


def _print_table(rows: Sequence[ScoredDesign], scorers: Sequence[Scorer], settings: ScoreSettings) -> None:
    comparison = table("", *(row.name for row in rows))
    by_layer = any(isinstance(row.design, LayerDesigns) for row in rows)
    definitions = _layers(rows) if by_layer else side_by_side([row.design.describe() for row in rows])
    for key, texts in definitions.items():
        comparison.add_row(key, *(text.replace("; ", "\n") for text in texts))
    notes = []
    for scorer in scorers:
        title, what = scorer.comparison_title(settings)
        notes.append(f"{title}: {what}.")
        comparison.add_section()
        comparison.add_row(title.upper(), *[""] * len(rows))
        for line in scorer.comparison_lines(settings):
            texts = [line.text(row.scores) for row in rows]
            marks = ["~" if line.partly_estimated and row.estimated else "" for row in rows]
            comparison.add_row(line.heading, *(mark + text for mark, text in zip(marks, texts, strict=True)))
    screen = console()
    screen.print(comparison)
    screen.print()
    if by_layer:
        distinct = {each.cost_digest: each for row in rows for each in designs_of(row.design).values()}
        print_definitions(screen, [ScoredDesign(each, {}) for each in distinct.values()])
    estimates = estimates_note(rows)
    if settings.network_text:
        notes.insert(0, f"Network: {settings.network_text}.")
    for note in [*notes, *([f"{estimates}."] if estimates else [])]:
        screen.print(note)


def _layers(rows: Sequence[ScoredDesign]) -> dict[str, list[str]]:
    """The designs in each layer, by name; they are defined once, below the table."""
    by_layer = next(row.design for row in rows if isinstance(row.design, LayerDesigns))
    return {
        f"{layer} ({products:,} products)": [designs_of(row.design).get(layer, row.design).label for row in rows]
        for layer, products, _ in by_layer.layers
    }

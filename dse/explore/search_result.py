"""What a search found: its rows, the Pareto front among them, and the designs that constraints ruled out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from circuits.support.numbers import number
from dse.explore.front import non_dominated
from dse.explore.search_options import Question
from dse.score.constraints import broken
from dse.score.evaluation import Beaten, Failure
from dse.score.scored_design import ScoredDesign
from dse.score.scorer_choice import columns_for
from dse.score.scorers.layer_scores import in_each_layer
from dse.score.scorers.scorer import Column, Scores
from dse.score.store import RunRecord
from dse.space.per_layer import Candidate

__all__ = [
    "RuledOut",
    "SearchResult",
    "beaten",
    "goal",
    "is_beaten",
    "left_out",
    "pareto_front",
    "reference_row",
    "sorted_out",
]


_BEATEN = "dominated by"
_LEFT_OUT = "; not measured: "


@dataclass(frozen=True)
class RuledOut:
    """A design that breaks constraints or is beaten, with the scores that it has.

    `reason`: why, and what was therefore not measured, in one line.
    """

    row: ScoredDesign
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """What a search found; `record`: what was asked, when and where.

    - `rows`: every design of the space with values in all objectives, in the order of scoring.
    - `front`: those that meet the constraints and that no other such design dominates, sorted by the first objective.
    - `references`: the named designs, with the scores of a network that has the design in each of its layers.
    - `ruled_out`: designs that break constraints, whether scored in full or not.
    - `beaten`: designs that were not measured in full, because a scored one dominates them whatever the rest is.
    - `failures`: designs that could not be scored.
    - `computed`: number of designs for which something was computed now; the others came from the store.
    - `order`: cost digests of all designs of the space that were judged, in the order of scoring.

    Front and references have the scores of all scorers.
    """

    record: RunRecord
    rows: tuple[ScoredDesign, ...]
    front: tuple[ScoredDesign, ...]
    references: tuple[ScoredDesign, ...]
    ruled_out: tuple[RuledOut, ...]
    beaten: tuple[RuledOut, ...]
    failures: tuple[Failure, ...]
    computed: int
    order: tuple[str, ...] = ()

    @cached_property
    def question(self) -> Question:
        """What the designs were judged by."""
        return Question.of(self.record.configuration)

    @property
    def layers(self) -> int:
        """Number of layers with a multiplier each; 0 where one design serves all."""
        return len(self.record.configuration["space"].get("layers", ()))

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """Every column by name, with its scope in this search."""
        return columns_for(self.layers, self.question.columns)

    @cached_property
    def in_order(self) -> tuple[ScoredDesign, ...]:
        """All designs of the space that were judged, in the order of scoring, with the scores they have."""
        entries = (*(entry.row for entry in (*self.ruled_out, *self.beaten)), *self.rows)
        rows = {row.design.cost_digest: row for row in entries}
        return tuple(rows[digest] for digest in self.order)

    @property
    def reasons(self) -> dict[str, str]:
        """Cost digest -> reason, for designs that are ruled out or beaten."""
        return {entry.row.design.cost_digest: entry.reason for entry in (*self.ruled_out, *self.beaten)}

    @property
    def scored(self) -> int:
        """Number of designs of the space that were judged by all objectives: `rows` and `beaten`."""
        return len(self.rows) + len(self.beaten)

    @property
    def objectives(self) -> tuple[Column, ...]:
        """The objectives among `columns`."""
        return tuple(self.columns[column.name] for column in self.question.objectives)


def goal(row: ScoredDesign, objectives: Sequence[Column]) -> list[float] | None:
    """The objectives' values, minimised; None where one was not measured."""
    return row.values(objectives) if all(column.name in row.scores for column in objectives) else None


def sorted_out(
    rows: Iterable[ScoredDesign], question: Question
) -> tuple[tuple[ScoredDesign, ...], tuple[RuledOut, ...]]:
    """(rows with all objectives, designs that break constraints); a design may be in both."""
    complete, ruled_out = [], []
    for row in rows:
        if goal(row, question.objectives) is not None:
            complete.append(row)
        limits = broken(question.constraints, row.scores)
        if limits:
            left_out = _not_measured(row, question)
            reason = ", ".join(
                f"{limit} (it has {number(row.scores[limit.column.name], limit.column.format)})" for limit in limits
            )
            if left_out:
                reason += f"{_LEFT_OUT}{', '.join(left_out)}"
            ruled_out.append(RuledOut(row, reason))
    return tuple(complete), tuple(ruled_out)


def _not_measured(row: ScoredDesign, question: Question) -> list[str]:
    return [s.name for s in question.scorers if not all(column.name in row.scores for column in s.columns)]


def beaten(row: ScoredDesign, outcome: Beaten, question: Question) -> RuledOut:
    """The entry of a design that a rival dominates at its bound."""
    best = []
    for column in question.objectives:
        if column.name not in row.scores:
            value = outcome.bounds.get(column.name, column.best)
            assert value is not None  # or nothing could dominate it
            unit = "" if column.unit == "1" else f" {column.unit}"
            best.append(f"{column.name} {number(value, column.format)}{unit}")
    reason = f"{_BEATEN} {outcome.rival} even with {', '.join(best)}"
    return RuledOut(row, f"{reason}{_LEFT_OUT}{', '.join(_not_measured(row, question))}")


def is_beaten(reason: str) -> bool:
    """Whether that is a reason that `beaten` gave."""
    return reason.startswith(_BEATEN)


def left_out(reason: str) -> list[str]:
    """Names of the scorers that did not measure a design, from its reason."""
    return reason.partition(_LEFT_OUT)[2].split(", ") if _LEFT_OUT in reason else []


def pareto_front(rows: Sequence[ScoredDesign], question: Question) -> list[ScoredDesign]:
    """The non-dominated rows that meet the constraints, sorted by the objectives, then by digest.

    A row with an undefined value has no rank and is left out.
    """
    objectives = question.objectives
    ranked = [
        row
        for row in rows
        if all(map(math.isfinite, row.values(objectives))) and not broken(question.constraints, row.scores)
    ]
    on_front = non_dominated([row.values(objectives) for row in ranked])
    front = [row for row, best in zip(ranked, on_front, strict=True) if best]
    return sorted(front, key=lambda row: (row.values(objectives), row.design.cost_digest))


def reference_row(design: Candidate, scores: Scores, layers: int, columns: Mapping[str, Column]) -> ScoredDesign:
    """A reference design among designs for `layers` layers: with a multiplier in each of them, as those have."""
    return ScoredDesign(design, in_each_layer(scores, layers, tuple(columns.values())), True)

"""Whether measuring what a search skipped would change its front: the skipped designs are scored afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dse.explore.front import non_dominated
from dse.explore.search_loop import search
from dse.explore.search_options import SearchOptions
from dse.score.evaluation import Evaluator, Failure, measure
from dse.score.executor import Processes, available_cpus
from dse.score.store import Store
from studies.frame.study import Row

__all__ = ["skipped_rows", "skipped_text"]

_SKIPPED, _JOINING = "designs skipped", "of them on the front when scored"


def skipped_rows(options: SearchOptions) -> list[Row]:
    """How many designs a search skipped, and how many of them would be on the front."""
    count, joining = _skipped_and_joining(options)
    subject = f"default search, seed {options.seed}"
    return [Row(subject, _SKIPPED, count), Row(subject, _JOINING, joining)]


def skipped_text(rows: Sequence[Row]) -> str:
    """What the `skipped_rows` of several searches say together."""
    skipped = [row.measured for row in rows if row.quantity == _SKIPPED]
    joining = sum(row.measured for row in rows if row.quantity == _JOINING)
    return (
        f"of {sum(skipped):.0f} designs that {len(skipped)} default searches skipped, "
        f"{f'{joining:.0f}' if joining else 'none'} would have joined the front."
    )


def _skipped_and_joining(options: SearchOptions) -> tuple[int, int]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "store.sqlite") as store,
        Processes(measure, available_cpus()) as executor,
    ):
        result = search(options, store, Processes(measure, available_cpus()))
        designs = [row.design for row in result.in_order]
        scored = Evaluator(store, executor, options.settings).score(designs, result.question.scorers)
    points = []
    for scores in scored:
        if isinstance(scores, Failure):
            raise ValueError(f"{scores.design.label} must be scored, but: {scores.reason}")
        points.append(
            [scores[column.name] if column.minimise else -scores[column.name] for column in result.objectives]
        )
    best = {design.cost_digest for design, good in zip(designs, non_dominated(points), strict=True) if good}
    beaten = {entry.row.design.cost_digest for entry in result.beaten}
    # Designs that were measured in full are on the new front if and only if they were on the search's own.
    assert best - beaten <= {row.design.cost_digest for row in result.front}
    return len(beaten), len(best & beaten)

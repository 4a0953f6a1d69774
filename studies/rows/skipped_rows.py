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

__all__ = ["skipped_rows"]


def skipped_rows(searches: Sequence[SearchOptions]) -> tuple[list[Row], str]:
    """(two rows for each search: how many designs were skipped, and how many of them would be on the front; a text)."""
    rows: list[Row] = []
    skipped = added = 0
    for options in searches:
        count, joining = _skipped_and_joining(options)
        subject = f"default search, seed {options.seed}"
        rows += [Row(subject, "designs skipped", count), Row(subject, "of them on the front when scored", joining)]
        skipped, added = skipped + count, added + joining
    return rows, (
        f"of {skipped} designs that {len(searches)} default searches skipped, {added or 'none'} would have joined the "
        "front."
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

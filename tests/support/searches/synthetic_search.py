"""A search result of any size for the tests of pages: real designs with invented scores.

Scores follow smoothly from the cells of a design, with noise from its digest, so that there is a front. It has ruled
out and beaten designs with reasons, intervals, a design that bears the name of a script, and a reference exactly on top
of a point of the front.
"""

from __future__ import annotations

import dataclasses
import random

from circuits import AdderCell, Design, design
from dse import SPACES, SearchOptions, SearchResult, Space
from dse.explore.search_options import REFERENCES
from dse.explore.search_result import RuledOut, pareto_front, reference_row, sorted_out
from dse.score.scored_design import ScoredDesign
from dse.score.store import RunRecord
from dse.space.per_layer import Candidate, designs_of

NASTY = '</script><b>bold & "quoted"</b>'


def synthetic_search(count: int, *, seed: int = 0, space: Space = SPACES["arrays"], nasty: bool = True) -> SearchResult:
    """About `count` designs of `space`, by objectives energy, delay and accuracy_loss, with energy<=4400."""
    options = SearchOptions(
        space=space,
        objectives=("energy", "delay", "accuracy_loss"),
        constraints=("energy<=4400",),
        budget=max(count, 1),
        seed=seed,
        method="random",
    )
    candidates: dict[str, Candidate] = {}
    for genome in space.sample(seed, 4 * count + 40):
        candidate = space.decode(genome)
        candidates.setdefault(candidate.cost_digest, candidate)
        if len(candidates) == count:
            break
    chosen = list(candidates.values())
    if nasty and isinstance(chosen[0], Design):
        chosen[0] = dataclasses.replace(chosen[0], name=NASTY)
    names = list(options.question.columns)
    scored = [ScoredDesign(each, _scores(each, names)) for each in chosen]
    beaten = [
        RuledOut(
            ScoredDesign(
                row.design, {k: v for k, v in row.scores.items() if not k.startswith(("accuracy", "adaptive"))}
            ),
            "dominated by heap even with accuracy_loss 0; not measured: accuracy",
        )
        for row in scored[5::9]
    ]
    skipped = {entry.row.design.cost_digest for entry in beaten}
    rows, ruled_out = sorted_out([row for row in scored if row.design.cost_digest not in skipped], options.question)
    front = pareto_front(rows, options.question)
    references = [
        reference_row(design(name), _scores(design(name), names), len(space.layers), options.question.columns)
        for name in REFERENCES
    ]
    # The reference "heap" lies exactly on a point of the front; "bfloat16" is far away from everything.
    on_top = {name: front[len(front) // 2].scores[name] for name in ("energy", "delay", "accuracy_loss")}
    references[1] = dataclasses.replace(references[1], scores={**references[1].scores, **on_top})
    references[4] = dataclasses.replace(references[4], scores={**references[4].scores, "energy": 90.0, "delay": 400.0})
    record = RunRecord(
        "5" * 64,
        options.to_data(),
        {"command": f"python -m dse.search --note '{NASTY}'", "machine": "none", "versions": {"numpy": "2"}},
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T01:00:00+00:00",
    )
    return SearchResult(record, rows, tuple(front), tuple(references), ruled_out, tuple(beaten), (), len(scored))


def _scores(candidate: Candidate, names: list[str]) -> dict[str, float]:
    """Invented scores in every column, with an interval of every loss."""
    generator = random.Random(candidate.digest)
    cells: list[AdderCell] = [cell for each in designs_of(candidate).values() for cell in each.placement.all_cells()]
    wrong = sum(any(cell.errors) * len([e for e in cell.errors if e]) for cell in cells) / (8 * len(cells))
    scores = {name: round(generator.uniform(0.5, 1.5), 4) for name in names}
    scores["energy"] = round(4000 * (1 - wrong) + generator.gauss(0, 150) + 700, 2)
    scores["delay"] = round(5000 * (1 - 0.7 * wrong) + generator.gauss(0, 300), 1)
    scores["accuracy_loss"] = max(0.0, round(60 * wrong**2 + generator.gauss(0, 2), 2))
    scores["accuracy"] = round(98.5 - scores["accuracy_loss"], 2)
    scores["nmed"] = round(0.2 * wrong**2 * generator.uniform(0.5, 1.5) + 1e-7, 9)
    for name in ("accuracy_loss", "accuracy", "nmed"):
        if name in names:
            scores |= {f"{name}_low": 0.9 * scores[name], f"{name}_high": 1.1 * scores[name]}
    return scores

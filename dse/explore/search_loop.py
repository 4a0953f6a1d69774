"""One search from beginning to end: references, exploration by the chosen method, then all scores of the front.

Determinism rests on three things. Genomes follow from the seed and from judgements alone, whatever evaluates them and
in whatever order designs end. Scores follow from design and settings alone: one thread and seeded samples for each.
And scores come from the store where they are there. So the same options end with the same front, however often the
search was killed, with any number of workers. (`asynchronous` gives the first of the three up.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from circuits.designs.design_record import Design
from circuits.designs.named_designs import design
from dse.explore.front import Judgement
from dse.explore.methods import SEARCH_METHODS
from dse.explore.methods.exploration import Exploration
from dse.explore.search_options import REFERENCES, SearchOptions
from dse.explore.search_progress import Reporter
from dse.explore.search_result import RuledOut, SearchResult, goal, pareto_front, reference_row, sorted_out
from dse.explore.stored_runs import stored_result
from dse.score.constraints import violations
from dse.score.evaluation import Evaluator, Failure, ScoresByScorer, ScoringTask, measure
from dse.score.executor import Executor, Processes
from dse.score.scored_design import ScoredDesign
from dse.score.scorers.scorer import Scores
from dse.score.store import Member, Store
from dse.space.per_layer import Candidate
from dse.space.search_space import Genome

__all__ = ["search"]


def search(
    options: SearchOptions,
    store: Store,
    executor: Executor[ScoringTask, ScoresByScorer] | None = None,
    *,
    progress: bool = False,
    provenance: Mapping[str, Any] = MappingProxyType({}),
) -> SearchResult:
    """Runs, continues or looks up a search, by an `executor` of `measure` (default: this process).

    `progress`: reports on standard error. `provenance` goes into the store. Raises ValueError when a reference design
    cannot be scored: then no design can.
    """
    run = store.begin(options.to_data(), when=_now(), provenance=provenance)
    with Reporter(enabled=progress) as reporter, executor or Processes(measure, 1) as workers:
        evaluator = Evaluator(store, workers, options.settings)
        finished = stored_result(store, store.run(run))
        if finished is not None:
            return finished
        workers.start()
        return _Search(options, evaluator, reporter).run(run)


class _Search:
    """One run in progress. `rows`: every scored design of the space, by its cost digest, in the order of scoring."""

    def __init__(self, options: SearchOptions, evaluator: Evaluator, reporter: Reporter) -> None:
        self.options = options
        self.question = options.question
        self.evaluator = evaluator
        self.reporter = reporter
        self.rows: dict[str, ScoredDesign] = {}
        self.failures: list[Failure] = []
        self.decode = lru_cache(maxsize=None)(options.space.decode)

    def run(self, run: str) -> SearchResult:
        """Searches, completes the scores of front and references, records the end."""
        options = self.options
        self.reporter.stage("designs scored", min(options.budget, options.space.size) + len(REFERENCES))
        references = [design(name) for name in REFERENCES]
        self._require_scores(references)
        self._explore()
        self.reporter.end(len(self.rows) + len(self.failures) + len(REFERENCES))
        rows, ruled_out = sorted_out(self.rows.values(), self.question)
        front = [row.design for row in pareto_front(rows, self.question)]
        completed = self._completed(references, front)
        if not self.failures:
            self.evaluator.store.finish(run, self._members(references, ruled_out), _now())
        layers, columns = len(options.space.layers), self.question.columns
        return SearchResult(
            self.evaluator.store.run(run),
            rows,
            tuple(
                ScoredDesign(entry, completed[entry.cost_digest]) for entry in front if entry.cost_digest in completed
            ),
            tuple(
                reference_row(entry, completed[entry.cost_digest], layers, columns)
                for entry in references
                if entry.cost_digest in completed
            ),
            ruled_out,
            tuple(self.failures),
            len(self.evaluator.new),
        )

    def _require_scores(self, references: Sequence[Design]) -> None:
        """Circuit scores of the references; ValueError where one fails.

        Their networks wait and run with those of the front: bfloat16's is slow.
        """
        cheap = [scorer for scorer in self.question.available if scorer.cost == "cheap"]
        for scores in self.evaluator.score(references, cheap, self.reporter.advance):
            if isinstance(scores, Failure):
                raise ValueError(f"{scores.design.label} could not be scored: {scores.reason}")

    def _explore(self) -> None:
        options = self.options
        SEARCH_METHODS[options.chosen_method](
            Exploration(
                space=options.space,
                budget=options.budget,
                population=options.population,
                seed=options.seed,
                objectives=len(self.question.objectives),
                constraints=len(self.question.constraints),
                key=self._key,
                evaluate=self._evaluate,
                stream=self._stream,
                asynchronous=options.asynchronous,
            )
        )

    def _completed(self, references: Sequence[Design], front: Sequence[Candidate]) -> dict[str, Scores]:
        """Cost digest -> scores of all scorers, for references and front; what fails joins `failures`."""
        # The slowest first, so that no worker ends long after the others.
        wanted: list[Candidate] = [*reversed(references), *front]
        self.reporter.stage("front completed", len({entry.cost_digest for entry in wanted}))
        scored = self.evaluator.score(wanted, self.question.available, self.reporter.advance)
        completed: dict[str, Scores] = {}
        for entry, scores in zip(wanted, scored, strict=True):
            if not isinstance(scores, Failure):
                completed[entry.cost_digest] = scores
            elif scores not in self.failures:
                self.failures.append(scores)
        return completed

    def _members(self, references: Sequence[Design], ruled_out: Sequence[RuledOut]) -> list[Member]:
        """What the store records of the finished run."""
        reasons = {entry.row.design.cost_digest: entry.reason for entry in ruled_out}
        members = [Member(row.design, "space", reasons.get(row.design.cost_digest, "")) for row in self.rows.values()]
        return [*members, *(Member(entry, "reference") for entry in references)]

    def _evaluate(self, genomes: Sequence[Genome]) -> list[Judgement]:
        designs = [self.decode(genome) for genome in genomes]
        limits = self.question.constraints
        scored = self.evaluator.score(designs, self.question.scorers, self.reporter.advance, limits=limits)
        return [self._judge(entry, scores) for entry, scores in zip(designs, scored, strict=True)]

    def _stream(self, genomes: Iterator[Genome]) -> Iterator[tuple[Genome, Judgement]]:
        taken: dict[str, Genome] = {}

        def designs() -> Iterator[Candidate]:
            for genome in genomes:
                taken[self._key(genome)] = genome
                yield self.decode(genome)

        limits = self.question.constraints
        for entry, scores in self.evaluator.stream(designs(), self.question.scorers, limits=limits):
            self.reporter.advance()
            yield taken.pop(entry.cost_digest), self._judge(entry, scores)

    def _judge(self, candidate: Candidate, scores: Scores | Failure) -> Judgement:
        limits = self.question.constraints
        if isinstance(scores, Failure):
            self.failures.append(scores)
            return Judgement(None, [0.0] * len(limits))
        row = self.rows[candidate.cost_digest] = ScoredDesign(candidate, scores)
        values = goal(row, self.question.objectives)
        ranked = values is not None and all(map(math.isfinite, values))
        return Judgement(values if ranked else None, violations(limits, scores))

    def _key(self, genome: Genome) -> str:
        return self.decode(genome).cost_digest


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

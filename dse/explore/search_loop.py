"""One search from beginning to end: references, exploration by the chosen method, then all scores of the front.

Determinism rests on four things. Genomes follow from the seed and from judgements alone, whatever evaluates them and
in whatever order designs end. Scores follow from design and settings alone: one thread and seeded samples for each.
Scores come from the store where they are there. And what need not be measured, since it cannot change the front
(`dse.score.rivals`), is decided against rivals that were scored before a wave of designs began, never against those
that happen to be done first. So the same options end with the same front, however often the search was killed, with any
number of workers. (`asynchronous` gives the first and the last of the four up.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from circuits.designs.design_record import Design
from dse.explore.front import Judgement
from dse.explore.likeness import MeasuredDesigns
from dse.explore.methods import SEARCH_METHODS
from dse.explore.methods.exploration import Exploration
from dse.explore.search_options import SearchOptions
from dse.explore.search_progress import Reporter
from dse.explore.search_result import RuledOut, SearchResult, beaten, goal, pareto_front, reference_row, sorted_out
from dse.explore.stored_runs import stored_result
from dse.explore.waves import waves
from dse.score.constraints import broken, violations
from dse.score.evaluation import Beaten, Evaluator, Failure, ScoresByScorer, ScoringTask, measure
from dse.score.executor import Executor, Processes
from dse.score.rivals import Rivals
from dse.score.scored_design import ScoredDesign
from dse.score.scorers.cost_scorer import design_costs
from dse.score.scorers.scorer import Scores
from dse.score.store import Member, RunRecord, Store
from dse.space.per_layer import Candidate
from dse.space.search_space import Genome

__all__ = ["search"]

Outcome = Scores | Beaten | Failure
_ENERGIES, _LOSSES = {"energy", "image_energy"}, {"accuracy", "accuracy_loss", "signed_loss", "divergence"}
"""Objectives that the ladder of designs by layer trades for one another."""
_BLOCK = 240
"""Designs whose cheap scores are measured before any of their networks."""


def search(
    options: SearchOptions,
    store: Store,
    executor: Executor[ScoringTask, ScoresByScorer] | None = None,
    *,
    progress: bool = False,
    provenance: Mapping[str, Any] = MappingProxyType({}),
    observe: Callable[[Callable[[], SearchResult]], None] = lambda so_far: None,
) -> SearchResult:
    """Runs, continues or looks up a search, by an `executor` of `measure` (default: this process).

    `progress`: reports on standard error. `provenance` goes into the store. `observe` is called once, before any work,
    with a function that gives what the search has found so far, from any thread. Raises ValueError when a
    reference design cannot be scored: then no design can.
    """
    run = store.begin(options.to_data(), when=_now(), provenance=provenance)
    with Reporter(enabled=progress) as reporter, executor or Processes(measure, 1) as workers:
        evaluator = Evaluator(store, workers, options.settings)
        finished = stored_result(store, store.run(run))
        if finished is not None:
            return finished
        workers.start()
        running = _Search(options, evaluator, reporter)
        record = store.run(run)
        observe(lambda: running.so_far(record))
        return running.run(run)


class _Search:
    """One run in progress.

    `rows`: every scored design of the space, by its cost digest, in the order of scoring; `beaten`: those of them that
    were not measured in full because a rival dominates them; `measured`: the others; `rivals`: the front so far.
    """

    def __init__(self, options: SearchOptions, evaluator: Evaluator, reporter: Reporter) -> None:
        self.options = options
        self.question = options.question
        self.evaluator = evaluator
        self.reporter = reporter
        self.rows: dict[str, ScoredDesign] = {}
        self.beaten: dict[str, RuledOut] = {}
        self.rivals = Rivals(self.question.objectives)
        self.measured = MeasuredDesigns()
        self.failures: list[Failure] = []
        self.decode = lru_cache(maxsize=None)(options.space.decode)

    def run(self, run: str) -> SearchResult:
        """Searches, completes the scores of front and references, records the end."""
        options = self.options
        references = options.reference_designs
        self.reporter.stage("designs scored", min(options.budget, options.space.size) + len(references))
        self._require_scores(references)
        self._explore()
        self.reporter.end(len(self.rows) + len(self.failures) + len(references))
        rows, ruled_out = sorted_out(self.rows.values(), self.question)
        beaten_rows = tuple(self.beaten.values())
        front = [row.design for row in pareto_front(rows, self.question)]
        completed = self._completed(references, front)
        if not self.failures:
            self.evaluator.store.finish(run, self._members(references, [*ruled_out, *beaten_rows]), _now())
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
            beaten_rows,
            tuple(self.failures),
            len(self.evaluator.new),
            tuple(self.rows),
        )

    def so_far(self, record: RunRecord) -> SearchResult:
        """The result if the run, recorded as `record`, ended now; without references, which are completed last."""
        # A list of a dict's values is made in one step, so that a search in another thread cannot come between.
        scored, beaten_rows = list(self.rows.values()), tuple(self.beaten.values())
        rows, ruled_out = sorted_out(scored, self.question)
        front = tuple(pareto_front(rows, self.question))
        order = tuple(row.design.cost_digest for row in scored)
        return SearchResult(record, rows, front, (), ruled_out, beaten_rows, tuple(self.failures), 0, order)

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
                scales=tuple(column.scale for column in self.question.objectives),
                ladder=self._ladder,
                asynchronous=options.asynchronous,
            )
        )

    def _ladder(self, count: int) -> list[Genome]:
        """Designs by layer to begin with, from exact to cheap; none where accuracy is not traded for energy."""
        names = {column.name for column in self.question.objectives}
        space, settings = self.options.space, self.options.settings
        if count < 1 or len(space.layers) < 2 or not (names & _ENERGIES and names & _LOSSES):
            return []
        # Only now torch is needed.
        from dse.score.networks.layer_ladder import ladder, layer_harms

        genes = {space.array(genes).cost_digest: genes for genes in reversed(space.own_uniform())}
        # Without a known energy a design has no place on the ladder.
        energy = {each: design_costs(space.array(each), settings)["energy"] for each in reversed(genes.values())}
        choices = [each for each in energy if math.isfinite(energy[each])]
        if not choices:
            return []
        designs = [space.array(each) for each in choices]
        harms = layer_harms([name for name, _ in space.layers], designs, settings)
        energies = np.array([energy[each] for each in choices])
        steps = ladder(harms, np.outer([products for _, products in space.layers], energies), count)
        return [tuple(gene for number in step for gene in choices[number]) for step in steps]

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
        judgements: list[Judgement] = []
        for first in range(0, len(genomes), _BLOCK):
            judgements += self._evaluate_block(genomes[first : first + _BLOCK])
        return judgements

    def _evaluate_block(self, genomes: Sequence[Genome]) -> list[Judgement]:
        """Cheap scores of all, then wave by wave what can still matter. Judgements wait until all that is measured is
        known, so that estimates rest on the whole block."""
        limits, scorers = self.question.constraints, self.question.scorers
        designs = [self.decode(genome) for genome in genomes]
        outcomes: dict[int, Outcome] = {}
        cheap = [scorer for scorer in scorers if scorer.cost == "cheap"]
        if len(cheap) == len(scorers):
            outcomes.update(enumerate(self.evaluator.score(designs, cheap, self.reporter.advance, limits=limits)))
            for index, genome in enumerate(genomes):
                self._record(genome, outcomes[index])
        else:
            bounds = []
            for scores in self.evaluator.score(designs, cheap, limits=limits):
                # What could not be scored is tried once more among the others, and fails there.
                bounds.append(self.rivals.bound({} if isinstance(scores, Failure) else scores))
            for wave in waves(bounds):
                members = [designs[index] for index in wave]
                against = self.evaluator.score_against(
                    self.rivals, members, scorers, self.reporter.advance, limits=limits
                )
                for index, outcome in zip(wave, against, strict=True):
                    self._record(genomes[index], outcome)
                    outcomes[index] = outcome
        return [self._judgement(genome, outcomes[index]) for index, genome in enumerate(genomes)]

    def _stream(self, genomes: Iterator[Genome]) -> Iterator[tuple[Genome, Judgement]]:
        taken: dict[str, Genome] = {}

        def designs() -> Iterator[Candidate]:
            for genome in genomes:
                taken[self._key(genome)] = genome
                yield self.decode(genome)

        limits = self.question.constraints
        stream = self.evaluator.stream(designs(), self.question.scorers, limits=limits, rivals=lambda: self.rivals)
        for entry, scores in stream:
            self.reporter.advance()
            genome = taken.pop(entry.cost_digest)
            self._record(genome, scores)
            yield genome, self._judgement(genome, scores)

    def _record(self, genome: Genome, outcome: Outcome) -> None:
        """Takes in what became of a design: a row, or a failure, and perhaps a rival of those that follow."""
        candidate = self.decode(genome)
        if isinstance(outcome, Failure):
            self.failures.append(outcome)
            return
        scores = outcome.scores if isinstance(outcome, Beaten) else outcome
        row = self.rows[candidate.cost_digest] = ScoredDesign(candidate, scores)
        if isinstance(outcome, Beaten):
            self.beaten[candidate.cost_digest] = beaten(row, outcome, self.question)
        elif (values := self._ranked(candidate, scores)) is not None:
            self.measured.add(genome, values)
            if not broken(self.question.constraints, scores):
                self.rivals = self.rivals.joined_by(candidate.label, values)

    def _judgement(self, genome: Genome, outcome: Outcome) -> Judgement:
        limits = self.question.constraints
        if isinstance(outcome, Failure):
            return Judgement(None, [0.0] * len(limits))
        if not isinstance(outcome, Beaten):
            return Judgement(self._ranked(self.decode(genome), outcome), violations(limits, outcome))
        bound = self.rivals.bound({**outcome.bounds, **outcome.scores})
        missing = [column.name not in outcome.scores for column in self.question.objectives]
        return Judgement(self.measured.estimated(genome, bound, missing), violations(limits, outcome.scores))

    def _ranked(self, candidate: Candidate, scores: Scores) -> list[float] | None:
        """The objectives, minimised; None where one is undefined or was not measured."""
        values = goal(ScoredDesign(candidate, scores), self.question.objectives)
        return values if values is not None and all(map(math.isfinite, values)) else None

    def _key(self, genome: Genome) -> str:
        return self.decode(genome).cost_digest


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""Scores designs: reads what the store holds, measures the rest by an executor, and stores each new score at once.

A worker measures scorer by scorer, cheap ones first, and stops as soon as the scores so far break a constraint: the
scores of a design that is ruled out are therefore partial.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dse.score.constraints import Constraint, broken
from dse.score.executor import Executor, TaskOutcome
from dse.score.outside_scorer import load_scorer
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import Scorer, Scores, ScoreSettings
from dse.score.store import Store
from dse.space.per_layer import Candidate

__all__ = ["Evaluator", "Failure", "ScorerKey", "ScoresByScorer", "ScoringTask", "measure"]

ScoresByScorer = dict[str, dict[str, float]]
"""Name of a scorer -> the scores that it measured."""
# The number of torch's threads belongs to the process: a Dask worker with several threads would change it under
# itself.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class ScorerKey:
    """How a worker finds a scorer: by name among the built-in ones, or by `source` ("package.module:NAME").

    `version` and `settings_hash` are what the result is stored under, so the worker must have the same.
    """

    name: str
    version: int
    settings_hash: str
    source: str = ""


@dataclass(frozen=True)
class ScoringTask:
    """One unit of work: a design, the scorers still to run, the constraints that may end it early.

    `known`: the scores that the design has already, for the constraints.
    """

    candidate: Candidate
    scorers: tuple[ScorerKey, ...]
    settings: ScoreSettings
    limits: tuple[Constraint, ...] = ()
    known: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A design that could not be scored, and why, in one line."""

    design: Candidate
    reason: str


def measure(task: ScoringTask) -> ScoresByScorer:
    """The scores of each scorer of the task, in order, up to where they break a constraint.

    Runs on one thread and one at a time in a process, so that results do not depend on the number of workers. Raises
    ValueError where this process has other scorers, weights or images than the one that made the task.
    """
    scorers = [_scorer(key, task.settings) for key in task.scorers]
    with _ONE_AT_A_TIME:
        return _measure(task, scorers)


def _scorer(key: ScorerKey, settings: ScoreSettings) -> Scorer:
    """This process's scorer of that key."""
    scorer = load_scorer(key.source) if key.source else SCORERS.get(key.name)
    if scorer is None or scorer.version != key.version or scorer.settings_hash(settings) != key.settings_hash:
        raise ValueError(
            f"a worker must have scorer {key.name!r} version {key.version} with the same weights, images and "
            "technology, but its installation differs; install the same version of this program there."
        )
    return scorer


def _measure(task: ScoringTask, scorers: Sequence[Scorer]) -> ScoresByScorer:
    threads = None
    known = dict(task.known)
    measured: ScoresByScorer = {}
    try:
        for scorer in scorers:
            if broken(task.limits, known):
                break
            if scorer.cost == "network" and threads is None:
                import torch

                threads = torch.get_num_threads()
                torch.set_num_threads(1)
            measured[scorer.name] = scorer.measure(task.candidate, task.settings)
            known |= measured[scorer.name]
    finally:
        if threads is not None:
            torch.set_num_threads(threads)
    return measured


class Evaluator:
    """Scores designs with `settings` through `store` and an executor of `measure`.

    `new`: cost digests of the designs for which something was computed, not only read.
    """

    def __init__(self, store: Store, executor: Executor[ScoringTask, ScoresByScorer], settings: ScoreSettings) -> None:
        self.store = store
        self.settings = settings
        self.new: set[str] = set()
        self._executor = executor

    def score(
        self,
        designs: Sequence[Candidate],
        scorers: Sequence[Scorer],
        done: Callable[[], None] = lambda: None,
        *,
        limits: tuple[Constraint, ...] = (),
    ) -> list[Scores | Failure]:
        """The scores of every design, in order, all scorers together; `done` is called once for each design.

        `scorers`: cheap ones first. A design that breaks one of `limits` has the scores up to there. A design whose
        scores are neither stored nor computable becomes a Failure.
        """
        scored: dict[str, Scores | Failure] = {}
        waiting = list({design.cost_digest: design for design in designs}.values())
        while waiting:
            claimed: set[tuple[str, str]] = set()
            tasks: list[ScoringTask] = []
            later: list[Candidate] = []
            for design in waiting:
                known, missing = self._known_and_missing(design, scorers, limits)
                # Designs that behave alike share scores: the first of them is scored, the others look again.
                # A scorer's key is the digest of what it depends on; two designs of equal error may differ in cost.
                keys = {(getattr(design, scorer.key), scorer.name) for scorer in missing}
                if not missing:
                    scored[design.cost_digest] = known
                    done()
                elif keys & claimed:
                    later.append(design)
                else:
                    # The first waiting design always gets here or is done, so that `waiting` shrinks in every round.
                    claimed |= keys
                    tasks.append(self._task(design, known, missing, limits))
            for design, scores in self._run(tasks, scorers, limits):
                scored[design.cost_digest] = scores
                done()
            waiting = later
        return [scored[design.cost_digest] for design in designs]

    def stream(
        self, designs: Iterable[Candidate], scorers: Sequence[Scorer], *, limits: tuple[Constraint, ...] = ()
    ) -> Iterator[tuple[Candidate, Scores | Failure]]:
        """Yields each design with its scores as soon as they are there; takes a design when a worker is free for it."""

        def tasks() -> Iterator[ScoringTask]:
            for design in designs:
                # Without a missing scorer the task is empty, and comes back with nothing new.
                yield self._task(design, *self._known_and_missing(design, scorers, limits), limits)

        return self._run(tasks(), scorers, limits)

    def _run(
        self, tasks: Iterable[ScoringTask], scorers: Sequence[Scorer], limits: tuple[Constraint, ...]
    ) -> Iterator[tuple[Candidate, Scores | Failure]]:
        running: dict[int, ScoringTask] = {}

        def numbered() -> Iterator[ScoringTask]:
            for index, task in enumerate(tasks):
                # Filled as the executor takes tasks: it holds those under way and not the whole search.
                running[index] = task
                yield task

        for index, outcome in self._executor.stream(numbered()):
            task = running.pop(index)
            yield task.candidate, self._store(task, outcome, scorers, limits)

    def _store(
        self,
        task: ScoringTask,
        outcome: TaskOutcome[ScoresByScorer],
        scorers: Sequence[Scorer],
        limits: tuple[Constraint, ...],
    ) -> Scores | Failure:
        if outcome.result is None:
            return Failure(task.candidate, outcome.error or "no result")
        if outcome.result:
            self.store.put(task.candidate, outcome.result, scorers, self.settings)
            self.new.add(task.candidate.cost_digest)
        # Read back, so that a measured design and one found in the store get the same answer in the same way.
        return self.known(task.candidate, scorers, limits)

    def known(self, design: Candidate, scorers: Sequence[Scorer], limits: tuple[Constraint, ...] = ()) -> Scores:
        """The stored scores of `scorers` in order, up to the first that is missing or breaks one of `limits`."""
        return self._known_and_missing(design, scorers, limits)[0]

    def stored(
        self, design: Candidate, scorers: Sequence[Scorer], limits: tuple[Constraint, ...] = ()
    ) -> Scores | None:
        """The stored scores of a design, up to where they break `limits`; None where any of them is missing."""
        known, missing = self._known_and_missing(design, scorers, limits)
        return None if missing else known

    def _known_and_missing(
        self, design: Candidate, scorers: Sequence[Scorer], limits: tuple[Constraint, ...]
    ) -> tuple[Scores, list[Scorer]]:
        """(what `known` gives, the scorers that are missing).

        Scores that another run stored beyond the first missing one do not count, so that what becomes of a design
        depends on it alone.
        """
        known: dict[str, float] = {}
        for position, scorer in enumerate(scorers):
            if broken(limits, known):
                break
            scores = self._stored(design, scorer)
            if scores is None:
                # Those beyond that are stored already are not measured again, even if they do not count yet.
                return known, [scorer, *(s for s in scorers[position + 1 :] if self._stored(design, s) is None)]
            known |= scores
        return known, []

    def _task(
        self, design: Candidate, known: Scores, missing: Sequence[Scorer], limits: tuple[Constraint, ...]
    ) -> ScoringTask:
        keys = tuple(
            ScorerKey(scorer.name, scorer.version, scorer.settings_hash(self.settings), scorer.source)
            for scorer in missing
        )
        return ScoringTask(design, keys, self.settings, limits, dict(known))

    def _stored(self, design: Candidate, scorer: Scorer) -> Scores | None:
        return self.store.get(getattr(design, scorer.key), scorer, scorer.settings_hash(self.settings))

"""Scores designs: reads what the store holds, measures the rest by an executor, and stores each new score at once.

A worker measures scorer by scorer, cheap ones first, and stops as soon as the scores so far break a constraint, or show
that rivals dominate the design whatever the others are (`dse.score.rivals`): the scores of a design that is ruled out
or beaten are therefore partial. What becomes of a design follows from it, the constraints and the rivals alone, never
from what else the store holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from dse.score.constraints import Constraint, broken
from dse.score.executor import Executor, TaskOutcome
from dse.score.outside_scorer import load_scorer
from dse.score.rivals import Rivals
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import Scorer, Scores, ScoreSettings
from dse.score.store import Store
from dse.space.per_layer import Candidate

__all__ = ["Beaten", "Evaluator", "Failure", "ScorerKey", "ScoresByScorer", "ScoringTask", "measure"]

ScoresByScorer = dict[str, dict[str, float]]
"""Name of a scorer -> the scores that it measured."""
# The number of torch's threads belongs to the process: a Dask worker with several threads would change it under
# itself.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class ScorerKey:
    """How a worker finds a scorer: by name among the built-in ones, or by `source` ("package.module:NAME").

    `version` and `settings_hash` are what the result is stored under, so the worker must have the same. `screen_of`:
    the scorer that this one is a screen of, or empty.
    """

    name: str
    version: int
    settings_hash: str
    source: str = ""
    screen_of: str = ""


@dataclass(frozen=True)
class ScoringTask:
    """One unit of work: a design, the scorers still to run, the constraints and rivals that may end it early.

    `known`: the scores that the design has already, for constraints and rivals.
    """

    candidate: Candidate
    scorers: tuple[ScorerKey, ...]
    settings: ScoreSettings
    limits: tuple[Constraint, ...] = ()
    known: dict[str, float] = field(default_factory=dict)
    rivals: Rivals | None = None


@dataclass(frozen=True)
class _Question:
    """What is asked about designs: scorers in order, screens included, and what may end the measurements early."""

    scorers: tuple[Scorer, ...]
    limits: tuple[Constraint, ...]
    rivals: Rivals | None


@dataclass(frozen=True)
class Beaten:
    """A design that a rival dominates whatever the scores are that it does not have.

    `scores`: those that it has; `bounds`: what screens showed about the others at best; `rival`: the label of one.
    """

    scores: Scores
    bounds: Scores
    rival: str


@dataclass(frozen=True)
class Failure:
    """A design that could not be scored, and why, in one line."""

    design: Candidate
    reason: str


def measure(task: ScoringTask) -> ScoresByScorer:
    """The scores of each scorer of the task, in order, up to where they break a constraint or rivals beat the design.

    Runs on one thread and one at a time in a process, so that results do not depend on the number of workers. Raises
    ValueError where this process has other scorers, weights or images than the one that made the task.
    """
    scorers = [_scorer(key, task.settings) for key in task.scorers]
    with _ONE_AT_A_TIME:
        return _measure(task, scorers)


def _scorer(key: ScorerKey, settings: ScoreSettings) -> Scorer:
    """This process's scorer of that key."""
    scorer = load_scorer(key.source) if key.source else SCORERS.get(key.screen_of or key.name)
    if scorer is not None and key.screen_of:
        scorer = next((screen for screen in scorer.screens(settings) if screen.name == key.name), None)
    if scorer is None or scorer.version != key.version or scorer.settings_hash(settings) != key.settings_hash:
        raise ValueError(
            f"a worker must have scorer {key.name!r} version {key.version} with the same weights, images and "
            "technology, but its installation differs; install the same version of this program there."
        )
    return scorer


def _measure(task: ScoringTask, scorers: Sequence[Scorer]) -> ScoresByScorer:
    known = dict(task.known)
    bounds: Scores = {}
    measured: ScoresByScorer = {}
    with ExitStack() as stack:
        limited = False
        for scorer in scorers:
            if broken(task.limits, known) or _beaten(scorer, known, bounds, task.rivals):
                break
            if scorer.cost == "network" and not limited:
                from cnn_eval.support.thread_limits import torch_threads

                stack.enter_context(torch_threads(1))
                limited = True
            measured[scorer.name] = scorer.measure(task.candidate, task.settings)
            if scorer.bounds is not None:
                bounds = scorer.bounds(measured[scorer.name])
            else:
                known |= measured[scorer.name]
    return measured


def _beaten(scorer: Scorer, known: Scores, bounds: Scores, rivals: Rivals | None) -> str | None:
    """The label of a rival that makes `scorer` superfluous; None where it has to measure.

    What a cheap scorer measures enters every row of the results, whether it can matter or not.
    """
    return rivals.over({**bounds, **known}) if rivals is not None and scorer.cost == "network" else None


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
        scored = self._score(designs, _Question(tuple(scorers), limits, None), done)
        # Without rivals nothing is beaten.
        return [scores for scores in scored if not isinstance(scores, Beaten)]

    def score_against(
        self,
        rivals: Rivals,
        designs: Sequence[Candidate],
        scorers: Sequence[Scorer],
        done: Callable[[], None] = lambda: None,
        *,
        limits: tuple[Constraint, ...] = (),
    ) -> list[Scores | Beaten | Failure]:
        """As `score`; but a design that `rivals` dominate, whatever else it has, becomes Beaten."""
        return self._score(designs, _Question(self._with_screens(scorers, rivals), limits, rivals), done)

    def _score(
        self, designs: Sequence[Candidate], question: _Question, done: Callable[[], None]
    ) -> list[Scores | Beaten | Failure]:
        scored: dict[str, Scores | Beaten | Failure] = {}
        waiting = list({design.cost_digest: design for design in designs}.values())
        while waiting:
            claimed: set[tuple[str, str]] = set()
            tasks: list[ScoringTask] = []
            later: list[Candidate] = []
            for design in waiting:
                known, missing = self._known_and_missing(design, question)
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
                    tasks.append(self._task(design, known, missing, question))
            for design, scores in self._run(tasks, question):
                scored[design.cost_digest] = scores
                done()
            waiting = later
        return [scored[design.cost_digest] for design in designs]

    def stream(
        self,
        designs: Iterable[Candidate],
        scorers: Sequence[Scorer],
        *,
        limits: tuple[Constraint, ...] = (),
        rivals: Callable[[], Rivals],
    ) -> Iterator[tuple[Candidate, Scores | Beaten | Failure]]:
        """Yields each design with its scores as soon as they are there; takes a design when a worker is free for it.

        `rivals` gives those of the moment.
        """

        def tasks() -> Iterator[tuple[ScoringTask, _Question]]:
            for design in designs:
                now = rivals()
                question = _Question(self._with_screens(scorers, now), limits, now)
                # Without a missing scorer the task is empty, and comes back with nothing new.
                yield self._task(design, *self._known_and_missing(design, question), question), question

        return self._run_each(tasks())

    def _with_screens(self, scorers: Sequence[Scorer], rivals: Rivals) -> tuple[Scorer, ...]:
        """The scorers, with their screens before them where a screen can tell something about an objective."""
        objectives = {column.name for column in rivals.objectives}
        chain: list[Scorer] = []
        for scorer in scorers:
            if any(column.name in objectives for column in scorer.columns):
                chain += scorer.screens(self.settings)
            chain.append(scorer)
        return tuple(chain)

    def _run(
        self, tasks: Iterable[ScoringTask], question: _Question
    ) -> Iterator[tuple[Candidate, Scores | Beaten | Failure]]:
        return self._run_each((task, question) for task in tasks)

    def _run_each(
        self, tasks: Iterable[tuple[ScoringTask, _Question]]
    ) -> Iterator[tuple[Candidate, Scores | Beaten | Failure]]:
        running: dict[int, tuple[ScoringTask, _Question]] = {}

        def numbered() -> Iterator[ScoringTask]:
            for index, (task, question) in enumerate(tasks):
                # Filled as the executor takes tasks: it holds those under way and not the whole search.
                running[index] = task, question
                yield task

        for index, outcome in self._executor.stream(numbered()):
            task, question = running.pop(index)
            yield task.candidate, self._store(task, outcome, question)

    def _store(
        self, task: ScoringTask, outcome: TaskOutcome[ScoresByScorer], question: _Question
    ) -> Scores | Beaten | Failure:
        if outcome.result is None:
            return Failure(task.candidate, outcome.error or "no result")
        if outcome.result:
            self.store.put(task.candidate, outcome.result, question.scorers, self.settings)
            self.new.add(task.candidate.cost_digest)
        # Read back, so that a measured design and one found in the store get the same answer in the same way.
        return self._known_and_missing(task.candidate, question)[0]

    def _known_and_missing(self, design: Candidate, question: _Question) -> tuple[Scores | Beaten, list[Scorer]]:
        """(the stored scores in order, up to the first that is missing or not wanted; the scorers that are missing).

        Scores that another run stored beyond the first missing one do not count, so that what becomes of a design
        depends on it alone.
        """
        known: dict[str, float] = {}
        bounds: Scores = {}
        for position, scorer in enumerate(question.scorers):
            if broken(question.limits, known):
                break
            rival = _beaten(scorer, known, bounds, question.rivals)
            if rival is not None:
                return Beaten(known, bounds, rival), []
            scores = self._stored(design, scorer)
            if scores is None:
                # Those beyond that are stored already are not measured again, even if they do not count yet.
                later = question.scorers[position + 1 :]
                return known, [scorer, *(entry for entry in later if self._stored(design, entry) is None)]
            if scorer.bounds is not None:
                bounds = scorer.bounds(scores)
            else:
                known |= scores
        return known, []

    def _task(
        self, design: Candidate, known: Scores | Beaten, missing: Sequence[Scorer], question: _Question
    ) -> ScoringTask:
        screens = {screen.name: scorer.name for scorer in question.scorers for screen in scorer.screens(self.settings)}
        keys = tuple(
            ScorerKey(
                scorer.name,
                scorer.version,
                scorer.settings_hash(self.settings),
                scorer.source,
                screens.get(scorer.name, ""),
            )
            for scorer in missing
        )
        scores = known.scores if isinstance(known, Beaten) else known
        return ScoringTask(design, keys, self.settings, question.limits, dict(scores), question.rivals)

    def _stored(self, design: Candidate, scorer: Scorer) -> Scores | None:
        return self.store.get(getattr(design, scorer.key), scorer, scorer.settings_hash(self.settings))

"""Scores designs: first from the store, the rest by an executor's workers, every new score stored at once.

A worker measures scorer by scorer, cheap ones first, and stops as soon as the scores so far break a constraint: the
scores of a design that is ruled out are therefore partial.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dse.score.constraints import Constraint, broken
from dse.score.executor import Executor, Outcome
from dse.score.scorers import SCORERS, Scorer, Scores, Settings
from dse.score.store import Store
from dse.space.per_layer import Subject

__all__ = ["Evaluator", "Failure", "Task", "measure"]

Measured = dict[str, dict[str, float]]
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Task:
    """What a worker gets: a design, what is known of it, the missing scorers as (name, version, settings hash).

    The version and hash are what the result is stored under, so the worker must have the same.
    """

    design: Subject
    scorers: tuple[tuple[str, int, str], ...]
    settings: Settings
    limits: tuple[Constraint, ...] = ()
    known: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A design that could not be scored, and why, in one line."""

    design: Subject
    reason: str


def measure(task: Task) -> Measured:
    """Scorer -> its scores, in order, up to where they break a constraint.

    Runs on one thread and one at a time in a process, so that results do not depend on the number of workers. Raises
    ValueError where this process has other scorers, weights or images than the one that made the task.
    """
    for name, version, settings_hash in task.scorers:
        mine = SCORERS.get(name)
        if mine is None or mine.version != version or mine.settings_hash(task.settings) != settings_hash:
            raise ValueError(
                f"a worker must have scorer {name!r} version {version} with the same weights, images and technology, "
                "but its installation differs; install the same version of this program there."
            )
    with _ONE_AT_A_TIME:
        return _measure(task)


def _measure(task: Task) -> Measured:
    threads = None
    known = dict(task.known)
    found: Measured = {}
    try:
        for name, _, _ in task.scorers:
            if broken(task.limits, known):
                break
            scorer = SCORERS[name]
            if scorer.cost == "network" and threads is None:
                import torch

                threads = torch.get_num_threads()
                torch.set_num_threads(1)
            found[name] = scorer.measure(task.design, task.settings)
            known |= found[name]
    finally:
        if threads is not None:
            torch.set_num_threads(threads)
    return found


class Evaluator:
    """Scores designs with `settings` through `store` and an executor of `measure`. `new`: cost digests of the designs
    of which something was computed."""

    def __init__(self, store: Store, executor: Executor[Task, Measured], settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.new: set[str] = set()
        self._executor = executor

    def score(
        self,
        designs: Sequence[Subject],
        scorers: Sequence[Scorer],
        done: Callable[[], None] = lambda: None,
        *,
        limits: tuple[Constraint, ...] = (),
    ) -> list[Scores | Failure]:
        """The scores of every design, in order, all scorers together; `done` is called once for each design.

        `scorers`: in the order of `SCORERS`. A design that breaks one of `limits` has the scores up to there. Scores
        that are neither stored nor computable become a Failure.
        """
        found: dict[str, Scores | Failure] = {}
        waiting = list({design.cost_digest: design for design in designs}.values())
        while waiting:
            claimed: set[tuple[str, str]] = set()
            tasks: list[Task] = []
            later: list[Subject] = []
            for design in waiting:
                known, missing = self._look(design, scorers, limits)
                # Designs that behave alike share scores: the first of them is scored, the others look again.
                keys = {(getattr(design, scorer.key), scorer.name) for scorer in missing}
                if not missing:
                    found[design.cost_digest] = known
                    done()
                elif keys & claimed:
                    later.append(design)
                else:
                    claimed |= keys
                    tasks.append(self._task(design, known, missing, limits))
            for design, scores in self._run(tasks, scorers, limits):
                found[design.cost_digest] = scores
                done()
            waiting = later
        return [found[design.cost_digest] for design in designs]

    def stream(
        self, designs: Iterable[Subject], scorers: Sequence[Scorer], *, limits: tuple[Constraint, ...] = ()
    ) -> Iterator[tuple[Subject, Scores | Failure]]:
        """Each design with its scores, as they come: a design is taken when a worker is free for it."""

        def tasks() -> Iterator[Task]:
            for design in designs:
                # Without a missing scorer the task is empty, and comes back with nothing new.
                yield self._task(design, *self._look(design, scorers, limits), limits)

        return self._run(tasks(), scorers, limits)

    def _run(
        self, tasks: Iterable[Task], scorers: Sequence[Scorer], limits: tuple[Constraint, ...]
    ) -> Iterator[tuple[Subject, Scores | Failure]]:
        running: dict[int, Task] = {}

        def numbered() -> Iterator[Task]:
            for index, task in enumerate(tasks):
                running[index] = task
                yield task

        for index, outcome in self._executor.stream(numbered()):
            task = running.pop(index)
            yield task.design, self._keep(task, outcome, scorers, limits)

    def _keep(
        self, task: Task, outcome: Outcome[Measured], scorers: Sequence[Scorer], limits: tuple[Constraint, ...]
    ) -> Scores | Failure:
        if outcome.result is None:
            return Failure(task.design, outcome.error or "no result")
        if outcome.result:
            self.store.put(task.design, outcome.result, scorers, self.settings)
            self.new.add(task.design.cost_digest)
        return self.known(task.design, scorers, limits)

    def known(self, design: Subject, scorers: Sequence[Scorer], limits: tuple[Constraint, ...] = ()) -> Scores:
        """The stored scores of `scorers` in order, up to the first that is missing or breaks one of `limits`."""
        return self._look(design, scorers, limits)[0]

    def stored(self, design: Subject, scorers: Sequence[Scorer], limits: tuple[Constraint, ...] = ()) -> Scores | None:
        """The scores of a design from the store alone; None unless all are there, up to where they break `limits`."""
        known, missing = self._look(design, scorers, limits)
        return None if missing else known

    def _look(
        self, design: Subject, scorers: Sequence[Scorer], limits: tuple[Constraint, ...]
    ) -> tuple[Scores, list[Scorer]]:
        """(`known`, the scorers that are missing).

        Scores that another run stored beyond the first missing one do not count, so that what becomes of a design
        depends on it alone.
        """
        known: dict[str, float] = {}
        for place, scorer in enumerate(scorers):
            if broken(limits, known):
                break
            found = self._stored(design, scorer)
            if found is None:
                return known, [scorer, *(s for s in scorers[place + 1 :] if self._stored(design, s) is None)]
            known |= found
        return known, []

    def _task(self, design: Subject, known: Scores, missing: Sequence[Scorer], limits: tuple[Constraint, ...]) -> Task:
        keys = tuple((scorer.name, scorer.version, scorer.settings_hash(self.settings)) for scorer in missing)
        return Task(design, keys, self.settings, limits, dict(known))

    def _stored(self, design: Subject, scorer: Scorer) -> Scores | None:
        return self.store.get(getattr(design, scorer.key), scorer, scorer.settings_hash(self.settings))

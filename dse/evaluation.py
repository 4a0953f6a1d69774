"""Scores designs: first from the store, the rest in worker processes, every new score stored at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dse.executor import Executor, Outcome
from dse.layered import Subject
from dse.scorers import SCORERS, Scorer, Scores, Settings
from dse.store import Store

__all__ = ["Evaluator", "Failure", "Task", "measure"]

Measured = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Task:
    """What a worker gets: a design and the scorers, by name, to run on it."""

    design: Subject
    scorers: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True)
class Failure:
    """A design that could not be scored, and why, in one line."""

    design: Subject
    reason: str


def measure(task: Task) -> Measured:
    """Scorer -> its scores. Runs on one thread, so that results do not depend on the number of workers."""
    scorers = [SCORERS[name] for name in task.scorers]
    if not any(scorer.cost == "network" for scorer in scorers):
        return {scorer.name: scorer.measure(task.design, task.settings) for scorer in scorers}
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {scorer.name: scorer.measure(task.design, task.settings) for scorer in scorers}
    finally:
        torch.set_num_threads(threads)


class Evaluator:
    """Scores designs with `settings` through `store` and an executor of `measure`. `new` counts designs computed."""

    def __init__(self, store: Store, executor: Executor[Task, Measured], settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.new = 0
        self._executor = executor

    def score(
        self, designs: Sequence[Subject], scorers: Sequence[Scorer], done: Callable[[], None] = lambda: None
    ) -> list[Scores | Failure]:
        """The scores of every design, in order, all scorers together; `done` is called once for each design.

        Scores that are neither stored nor computable become a Failure.
        """
        tasks: list[Task] = []
        claimed: set[tuple[str, str]] = set()
        for design in designs:
            missing = []
            for scorer in scorers:
                key = (getattr(design, scorer.key), scorer.name)
                if key not in claimed and self._stored(design, scorer) is None:
                    claimed.add(key)
                    missing.append(scorer.name)
            if missing:
                tasks.append(Task(design, tuple(missing), self.settings))
            else:
                done()
        reasons: dict[str, str] = {}

        def keep(index: int, outcome: Outcome[Measured]) -> None:
            task = tasks[index]
            if outcome.result is None:
                reasons[task.design.cost_digest] = outcome.error or "no result"
            else:
                self.store.put(task.design, outcome.result, scorers, self.settings)
                self.new += 1
            done()

        if tasks:
            self._executor.run(tasks, keep)
        return [self._collect(design, scorers, reasons) for design in designs]

    def stored(self, design: Subject, scorers: Sequence[Scorer]) -> Scores | None:
        """The scores of a design from the store alone; None unless all are there."""
        found: dict[str, float] = {}
        for scorer in scorers:
            scores = self._stored(design, scorer)
            if scores is None:
                return None
            found |= scores
        return found

    def _stored(self, design: Subject, scorer: Scorer) -> Scores | None:
        return self.store.get(getattr(design, scorer.key), scorer, scorer.settings_hash(self.settings))

    def _collect(self, design: Subject, scorers: Sequence[Scorer], reasons: dict[str, str]) -> Scores | Failure:
        found = self.stored(design, scorers)
        if found is None:
            return Failure(design, reasons.get(design.cost_digest, "a design that behaves alike could not be scored"))
        return found

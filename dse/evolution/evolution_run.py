"""An evolution under one or more sets of error limits: walks in three rounds, kept in a folder, resumed from it.

First round: many short walks for each target from the exact seed designs, with different random numbers. How far such
a walk gets is mostly luck (a tenth of the energy between one and the next), so that the rounds halve successively:
second, a quarter as many walks of four times the length from the cheapest circuits so far, third, two long ones.

A circuit starts a walk wherever it meets the limits, whichever target it was evolved for: a tighter limit on the same
metric, or another metric (a circuit evolved for its mean error often has a small worst case). Whether it does is
measured, not inferred. Walks are tasks of their own, so that the number of workers changes nothing but the time.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.support.documents import parse_json
from circuits.support.files import read_bytes, require_writable, write_atomically
from dse.evolution.error_limits import Limits
from dse.evolution.genome import Genome, genome_of
from dse.evolution.limit_check import LimitCheck
from dse.evolution.operand_weights import OperandWeights
from dse.evolution.walk_tasks import SPARE, WalkResult, WalkTask, run_walk
from dse.score.executor import Executor, Processes, TaskOutcome

WALKS = "walks"
RECORD = "evolution.json"
_MAXIMUM_BYTES = 1 << 24
MAXIMUM_WIDTH = 16
"""Most bits of an operand: the planes of wider circuits would not fit a processor's cache."""


@dataclass(frozen=True)
class Target:
    """Limits for which a circuit is wanted, from a seed `design`; `name` becomes the circuit's.

    `others`: further designs of the same function. Walks of the first round start from `design` and these in turn.
    """

    name: str
    design: Design
    limits: Limits
    others: tuple[Design, ...] = ()

    @property
    def seeds(self) -> tuple[Design, ...]:
        return (self.design, *self.others)


@dataclass(frozen=True)
class EvolutionOptions:
    """`evaluations`: children for each target, a third of them in each round.

    `restarts`: walks of the first round; with one walk there is one round."""

    targets: tuple[Target, ...]
    objective: str
    evaluations: int
    restarts: int
    seed: int
    weights: OperandWeights | None = None

    def record(self) -> dict[str, Any]:
        """All that the circuits depend on, ready for JSON."""
        return {
            "targets": [
                [t.name, [seed.digest for seed in t.seeds], [list(bound) for bound in t.limits.bounds]]
                for t in self.targets
            ],
            "objective": self.objective,
            "evaluations": self.evaluations,
            "restarts": self.restarts,
            "seed": self.seed,
            "weights": None if self.weights is None else self.weights.digest,
        }


def check_seeds(seeds: Sequence[Design]) -> None:
    """Raises DesignError for designs that cannot be evolved, or not together."""
    first = seeds[0]
    for design in seeds:
        if design.format is not None:
            raise DesignError(
                f"an integer multiplier can be evolved, but {design.label!r} has format {design.format!r}; give a "
                'design with format = "integer".'
            )
        if max(design.shape) > MAXIMUM_WIDTH:
            raise DesignError(
                f"operands of at most {MAXIMUM_WIDTH} bits can be evolved, but {design.label!r} is "
                f"{design.shape[0]} x {design.shape[1]}; give a narrower design."
            )
        if (design.shape, design.signed) != (first.shape, first.signed):
            raise DesignError(
                f"seed designs must have the same operands, but {first.label!r} is {_operands(first)} and "
                f"{design.label!r} is {_operands(design)}; evolve them apart."
            )


def _operands(design: Design) -> str:
    return f"{design.shape[0]} x {design.shape[1]} {'signed' if design.signed else 'unsigned'}"


def evolve(
    options: EvolutionOptions,
    folder: Path,
    *,
    workers: int,
    fresh: bool = False,
    done: Callable[[int, int], None] = lambda finished, walks: None,
) -> list[WalkResult]:
    """Runs or continues an evolution in `folder`; the best circuit for each target, in their order.

    `done(finished, walks)` is called as walks end. Raises DesignError where the folder holds another evolution.
    """
    for target in options.targets:
        check_seeds(target.seeds)
    require_writable(folder)
    _claim(options, folder, fresh)
    (folder / WALKS).mkdir(exist_ok=True)
    rounds = _rounds(options)
    total = len(options.targets) * sum(walks for walks, _ in rounds)
    known: dict[Target, list[WalkResult]] = {target: [] for target in options.targets}
    before = 0
    with Processes(run_walk, workers) as executor:
        for number, (walks, children) in enumerate(rounds):
            tasks = []
            for target in options.targets:
                starts = [walk.genome for walk in cheapest(options, known, target, walks)] if number else []
                tasks += [_task(options, folder, target, children, number, k, starts) for k in range(walks)]
            results = _finished(executor, tasks, lambda count, before=before: done(before + count, total))  # type: ignore[misc]
            before += len(tasks)
            for k, walk in enumerate(results):
                known[options.targets[k // walks]].append(walk)
    return [cheapest(options, known, target, 1)[0] for target in options.targets]


def _rounds(options: EvolutionOptions) -> list[tuple[int, int]]:
    """(walks, children of each) of each round, for one target."""
    restarts = options.restarts
    if restarts == 1:
        return [(1, options.evaluations)]
    share = options.evaluations / 3
    return [(walks, max(1, int(share / walks))) for walks in (restarts, max(2, restarts // 4), 2)]


def _task(
    options: EvolutionOptions,
    folder: Path,
    target: Target,
    children: int,
    number: int,
    walk: int,
    starts: Sequence[Genome],
) -> WalkTask:
    """A walk of round `number`, from one of `starts` in turn, or from a seed in the first round."""
    # From the name, not the position: a target's random numbers do not depend on the other targets' number.
    stream = int.from_bytes(hashlib.sha256(target.name.encode()).digest()[:4], "little")
    seed = target.seeds[walk % len(target.seeds)]
    start = starts[walk % len(starts)] if starts else None
    return WalkTask(
        target.design,
        target.limits,
        options.objective,
        children,
        (options.seed, stream, number, walk),
        folder / WALKS / f"{target.name}-{number}-{walk}.npz",
        options.weights,
        start if start is not None or seed == target.design else genome_of(seed, spare=SPARE),
    )


def _finished(
    executor: Executor[WalkTask, WalkResult], tasks: Sequence[WalkTask], done: Callable[[int], None]
) -> list[WalkResult]:
    count = 0

    def report(index: int, outcome: TaskOutcome[WalkResult]) -> None:
        nonlocal count
        del index
        count += 1
        done(count)
        if outcome.error is not None:
            raise DesignError(f"a walk must end, but: {outcome.error}.")

    results = []
    for outcome in executor.run(tasks, report):
        assert outcome.result is not None
        results.append(outcome.result)
    return results


def cheapest(
    options: EvolutionOptions, known: Mapping[Target, Sequence[WalkResult]], target: Target, count: int
) -> list[WalkResult]:
    """The cheapest circuits that meet the limits of `target`, of different costs: at most `count`, at least one.

    Considers all walks for the target and the best one for each other target of the same design. (Costs of different
    designs do not compare: leakage is charged over the design's delay.)
    """
    check = LimitCheck(target.design, target.limits, options.weights)
    walks = list(known[target])
    for other, results in known.items():
        if other is not target and other.design == target.design:
            best = min(results, key=lambda walk: walk.cost)
            if check.meets(best.genome):
                walks.append(best)
    by_cost = {walk.cost: walk for walk in reversed(walks) if math.isfinite(walk.cost)}
    # Where no circuit meets the limits, the walks go on from where they were.
    return [by_cost[cost] for cost in sorted(by_cost)[:count]] or walks[:1]


def _claim(options: EvolutionOptions, folder: Path, fresh: bool) -> None:
    """Writes the record of the evolution into its folder, or compares it with the one there."""
    record = folder / RECORD
    content = json.loads(json.dumps(options.record()))
    if fresh:
        shutil.rmtree(folder / WALKS, ignore_errors=True)
    elif record.exists():
        saved = parse_json(read_bytes(record, limit=_MAXIMUM_BYTES), str(record))
        if saved == content:
            return
        keys = [key for key in content if not isinstance(saved, dict) or saved.get(key) != content[key]]
        raise DesignError(
            f"--out {folder} must be empty or hold this evolution, but holds one with other {', '.join(keys)}; give "
            "another --out, or --fresh to start over."
        )
    write_atomically(record, (json.dumps(content, indent=2) + "\n").encode())

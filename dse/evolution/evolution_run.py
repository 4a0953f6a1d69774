"""An evolution under one or more sets of error limits: walks in two rounds, kept in a folder, resumed from it.

First round: several walks for each target, from the seed design, with different random numbers. Second round: for each
target one walk from the best circuit so far that meets its limits; that may come from a target with tighter limits.
Walks are tasks of their own, so that the number of workers changes nothing but the time.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.support.documents import parse_json
from circuits.support.files import read_bytes, require_writable, write_atomically
from dse.evolution.error_limits import TERMS, Limits, unit
from dse.evolution.operand_weights import OperandWeights
from dse.evolution.walk_tasks import WalkResult, WalkTask, run_walk
from dse.score.executor import Executor, Processes, TaskOutcome

WALKS = "walks"
RECORD = "evolution.json"
_MAXIMUM_BYTES = 1 << 24
MAXIMUM_WIDTH = 16
"""Most bits of an operand: the planes of wider circuits would not fit a processor's cache."""


@dataclass(frozen=True)
class Target:
    """Limits for which a circuit is wanted, from a seed `design`; `name` becomes the circuit's."""

    name: str
    design: Design
    limits: Limits


@dataclass(frozen=True)
class EvolutionOptions:
    """`evaluations`: children for each target, half of them spread over `restarts` walks, the rest in one more walk."""

    targets: tuple[Target, ...]
    objective: str
    evaluations: int
    restarts: int
    seed: int
    weights: OperandWeights | None = None

    def record(self) -> dict[str, Any]:
        """All that the circuits depend on, ready for JSON."""
        return {
            "targets": [[t.name, t.design.digest, [list(bound) for bound in t.limits.bounds]] for t in self.targets],
            "objective": self.objective,
            "evaluations": self.evaluations,
            "restarts": self.restarts,
            "seed": self.seed,
            "weights": None if self.weights is None else self.weights.digest,
        }


def check_design(design: Design) -> None:
    """Raises DesignError for a design that cannot be evolved."""
    if design.format is not None:
        raise DesignError(
            f"an integer multiplier can be evolved, but {design.label!r} has format {design.format!r}; give a design "
            'with format = "integer".'
        )
    if max(design.shape) > MAXIMUM_WIDTH:
        raise DesignError(
            f"operands of at most {MAXIMUM_WIDTH} bits can be evolved, but {design.label!r} is "
            f"{design.shape[0]} x {design.shape[1]}; give a narrower design."
        )


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
        check_design(target.design)
    require_writable(folder)
    _claim(options, folder, fresh)
    (folder / WALKS).mkdir(exist_ok=True)
    restarts = options.restarts
    share = max(1, options.evaluations // (2 * restarts)) if restarts > 1 else options.evaluations
    rest = max(0, options.evaluations - share * restarts)
    total = len(options.targets) * (restarts + (rest > 0))
    first = [
        _task(options, folder, target, share, restart) for target in options.targets for restart in range(restarts)
    ]
    with Processes(run_walk, workers) as executor:
        results = _finished(executor, first, lambda count: done(count, total))
        best = [_best(options, results, target) for target in options.targets]
        if rest == 0:
            return best
        second = [
            replace(_task(options, folder, target, rest, restarts), start=walk.genome)
            for target, walk in zip(options.targets, best, strict=True)
        ]
        last = _finished(executor, second, lambda count: done(len(first) + count, total))
    return [min(pair, key=lambda walk: walk.cost) for pair in zip(best, last, strict=True)]


def _task(options: EvolutionOptions, folder: Path, target: Target, children: int, restart: int) -> WalkTask:
    # From the name, not the position: a target's circuit does not depend on the other targets' number.
    stream = int.from_bytes(hashlib.sha256(target.name.encode()).digest()[:4], "little")
    return WalkTask(
        target.design,
        target.limits,
        options.objective,
        children,
        (options.seed, stream, restart),
        folder / WALKS / f"{target.name}-{restart}.npz",
        options.weights,
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


def _best(options: EvolutionOptions, results: Sequence[WalkResult], target: Target) -> WalkResult:
    """The cheapest circuit of the first round that is known to meet the limits of `target`."""
    chosen = None
    for k, walk in enumerate(results):
        other = options.targets[k // options.restarts]
        fits = other.design == target.design and implies(other.limits, target.limits, target.design)
        if fits and (chosen is None or walk.cost < chosen.cost):
            chosen = walk
    assert chosen is not None
    return chosen


def implies(tighter: Limits, limits: Limits, design: Design) -> bool:
    """Whether circuits that meet `tighter` also meet `limits`, judged metric by metric."""
    signed = design.signed
    known = {(TERMS[name]): bound * unit(name, design.shape, signed=signed) for name, bound in tighter.bounds}
    return all(
        known.get(TERMS[name], math.inf) <= bound * unit(name, design.shape, signed=signed)
        for name, bound in limits.bounds
    )


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

"""One walk of the evolution as a task for a worker: runs in chunks, leaves a checkpoint after each, goes on from it.

A walk depends on its task alone. The parent is evaluated anew at the start of every chunk, whether the walk was
interrupted there or not, so that a walk that was killed ends with the same circuit as one that was not.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from circuits.cost import circuit_of, circuit_timing, technology
from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.support.files import read_bytes, write_atomically
from dse.evolution.error_limits import Limits
from dse.evolution.genome import Genome, genome_of, netlist_of
from dse.evolution.operand_pairs import energy_operands, pair_blocks
from dse.evolution.operand_weights import OperandWeights
from dse.evolution.walk_state import STATISTICS, WalkState, walk_state

CHUNK = 200_000
"""Children between two checkpoints: one to two seconds."""
SPARE = 32
_MAXIMUM_BYTES = 1 << 26


@dataclass(frozen=True)
class WalkTask:
    """A walk of `children` children from `start` (None: the seed design's own circuit) under `limits`.

    `seed`: of its random numbers. `checkpoint`: its file; None keeps none.
    """

    design: Design
    limits: Limits
    objective: str
    children: int
    seed: tuple[int, ...]
    checkpoint: Path | None = None
    weights: OperandWeights | None = None
    start: Genome | None = None


@dataclass(frozen=True)
class WalkResult:
    """The best circuit of a walk; `cost` is infinite where no circuit met the limits. `statistics`: see
    `walk_state`."""

    genome: Genome
    cost: float
    children: int
    statistics: dict[str, int]


def run_walk(task: WalkTask) -> WalkResult:
    """Runs or continues a walk to its end."""
    genome = task.start or genome_of(task.design, spare=SPARE)
    saved = _read(task.checkpoint)
    if saved is not None and saved["done"] >= task.children:
        return _result(genome, saved, STATISTICS)
    state = _state(task, genome)
    done = 0
    if saved is not None:
        done = int(saved["done"])
        _restore(state, saved)
    while done < task.children:
        state.prepare()
        size = min(CHUNK, task.children - done)
        state.walk(size)
        done += size
        saved = _snapshot(state, done)
        _write(task.checkpoint, saved)
    assert saved is not None
    return _result(genome, saved, STATISTICS)


def progress(checkpoint: Path) -> int:
    """Children that the walk behind a checkpoint has tried."""
    saved = _read(checkpoint)
    return 0 if saved is None else int(saved["done"])


def _state(task: WalkTask, genome: Genome) -> WalkState:
    signed = task.design.signed
    blocks = pair_blocks(genome.widths, len(genome.outputs), task.limits, signed=signed, weights=task.weights)
    netlist = netlist_of(genome_of(task.design), "seed")
    delay = circuit_timing(circuit_of(netlist, technology())).delay
    return walk_state(
        genome,
        blocks,
        task.limits,
        task.objective,
        signed=signed,
        seed=task.seed,
        leakage_delay=delay,
        operands=energy_operands(genome.widths, task.weights),
    )


def _snapshot(state: WalkState, done: int) -> dict[str, Any]:
    genes, buffers = state.genes, state.buffers
    return {
        "done": np.int64(done),
        "parent": np.array(genes[:3]),
        "outputs": genes.outputs,
        "best": buffers.best,
        "best_outputs": buffers.best_outputs,
        "cost": buffers.cost,
        "random": buffers.random,
        "statistics": buffers.statistics,
    }


def _restore(state: WalkState, saved: dict[str, Any]) -> None:
    genes, buffers = state.genes, state.buffers
    for column, values in zip(genes[:3], saved["parent"], strict=True):
        column[:] = values
    genes.outputs[:] = saved["outputs"]
    for name in ("best", "best_outputs", "cost", "random", "statistics"):
        getattr(buffers, name)[:] = saved[name]


def _result(genome: Genome, saved: dict[str, Any], names: tuple[str, ...]) -> WalkResult:
    functions, first, second = (np.array(column, dtype=np.int32) for column in saved["best"])
    best = Genome(genome.widths, functions, first, second, np.array(saved["best_outputs"], dtype=np.int32))
    statistics = {name: int(count) for name, count in zip(names, saved["statistics"], strict=True)}
    return WalkResult(best, float(saved["cost"][1]), int(saved["done"]), statistics)


def _read(path: Path | None) -> dict[str, Any] | None:
    if path is None or not path.exists():
        return None
    content = read_bytes(path, limit=_MAXIMUM_BYTES, what="a checkpoint of an evolution")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (ValueError, OSError, EOFError) as error:
        raise DesignError(f"{path} must be a checkpoint of an evolution, but: {error}; delete it.") from None


def _write(path: Path | None, saved: dict[str, Any]) -> None:
    if path is not None:
        stream = io.BytesIO()
        np.savez(stream, **saved)
        write_atomically(path, stream.getvalue())

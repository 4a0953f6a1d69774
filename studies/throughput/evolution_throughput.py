"""Measures the evolution of multipliers: full evaluations and candidates a second. Part of the throughput study."""

from __future__ import annotations

import time

from circuits import Design
from dse.evolution.error_limits import parse_limits
from dse.evolution.genome import genome_of
from dse.evolution.limit_check import LimitCheck
from dse.evolution.operand_pairs import energy_operands, pair_blocks
from dse.evolution.walk_state import WalkState, walk_state
from studies.frame.study import Row

_LIMIT = "mae_percent<=0.18"
_SUBJECT = "evolution, Dadda 8x8 in two-input gates, a thread"


def rows(*, quick: bool = False) -> list[Row]:
    """Returns full evaluations and candidates a second of thread CPU time.

    A full evaluation takes all gates, all 65,536 pairs and the MAE, without early exit. Candidates (incremental, early
    exit) are counted after a tenth as many, so that most are those of a circuit near its limit.
    """
    repetitions, children, rounds = (300, 50_000, 3) if quick else (2000, 400_000, 5)
    seed = Design(topology="dadda", width=8, format=None)
    genome = genome_of(seed)
    check = LimitCheck(seed, parse_limits([_LIMIT]))
    check.evaluate(genome, 10)
    seconds = []
    for _ in range(rounds):
        start = time.thread_time()
        check.evaluate(genome, repetitions)
        seconds.append(time.thread_time() - start)
    measured = [Row(_SUBJECT, "full evaluations, MAE", repetitions / min(seconds), unit="evaluations/s")]
    for objective in ("area", "energy"):
        speed = _candidates(objective, children)
        measured.append(Row(_SUBJECT, f"candidates, {_LIMIT}, least {objective}", speed, unit="candidates/s"))
    return measured


def _state(objective: str) -> WalkState:
    seed = Design(topology="dadda", width=8, format=None)
    limits = parse_limits([_LIMIT])
    return walk_state(
        genome_of(seed),
        pair_blocks((8, 8), 16, limits, signed=False),
        limits,
        objective,
        signed=False,
        seed=1,
        leakage_delay=678.0,
        operands=energy_operands((8, 8), None),
    )


def _candidates(objective: str, children: int) -> float:
    state = _state(objective)
    state.prepare()
    state.walk(children // 10)
    start = time.thread_time()
    state.walk(children)
    return children / (time.thread_time() - start)

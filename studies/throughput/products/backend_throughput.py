"""Measures the backends, and the time to compile a design. Part of the throughput study."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from circuits import design, simulate
from circuits.engine.llvm.gates_function import gates_ir
from circuits.engine.llvm.jit import Target, object_code
from studies.frame.study import Row
from studies.throughput.timing import best


def rows(rounds: int) -> list[Row]:
    """Measures the three backends on the same bit planes, and the time to compile a design."""
    subject = "backends, exact ripple array"
    program = design("exact").program()
    planes = np.random.default_rng(3).integers(0, 2**64, (program.input_count, 2048), dtype=np.uint64)
    names = ("reference", "interpreted", "compiled")
    seconds = best(rounds, time.thread_time, *(partial(simulate, program, planes, name) for name in names))
    rows = [
        Row(subject, name, 64 * 2048 / elapsed, unit="products/s") for name, elapsed in zip(names, seconds, strict=True)
    ]
    ir = gates_ir(program, Target.host(), np.arange(len(program)))
    (elapsed,) = best(rounds, time.thread_time, partial(object_code, ir, Target.host()))
    return [*rows, Row(subject, "compiling one design", 1000 * elapsed, unit="ms")]

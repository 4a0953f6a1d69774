"""Measures the speed of the engines on this machine, as ratios against a named baseline in the same run.

Each theme is a module of this folder with `rows`; `MEASUREMENTS` lists them. How times are taken:
`studies.throughput.timing`.
"""

from __future__ import annotations

from collections.abc import Callable

from circuits.engine.llvm.jit import Target
from circuits.engine.task_threads import default_threads
from circuits.support.processor import chosen_device
from circuits.support.provenance import machine
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.throughput import (
    attack_throughput,
    device_throughput,
    evolution_throughput,
    metrics_throughput,
    network_throughput,
    search_throughput,
    thread_throughput,
)
from studies.throughput.products import (
    backend_throughput,
    gate_throughput,
    integer_throughput,
    method_throughput,
    small_layer_throughput,
)

TITLE = "products per second of the engines"
SOURCE = "our own study"
TOLERANCE = None
THREADS = "threads"

MEASUREMENTS: dict[str, Callable[[StudyOptions, int], list[Row]]] = {
    THREADS: lambda options, rounds: thread_throughput.rows(rounds),
    "methods": lambda options, rounds: method_throughput.rows(rounds),
    "integers": lambda options, rounds: integer_throughput.rows(rounds),
    "gates": lambda options, rounds: gate_throughput.rows(rounds, 24 if options.level == "quick" else 160),
    "networks": lambda options, rounds: network_throughput.rows(options),
    "small layers": lambda options, rounds: small_layer_throughput.rows(rounds),
    "lowered": lambda options, rounds: small_layer_throughput.lowered_rows(rounds),
    "backends": lambda options, rounds: backend_throughput.rows(rounds),
    "attack": lambda options, rounds: attack_throughput.carlini_wagner_rows(100 if options.level == "quick" else 1000),
    "memory": lambda options, rounds: thread_throughput.memory_rows(32 if options.level == "quick" else 192),
    "metrics": lambda options, rounds: metrics_throughput.rows(quick=options.level == "quick"),
    "transfer": lambda options, rounds: attack_throughput.rows(),
    "evolution": lambda options, rounds: evolution_throughput.rows(quick=options.level == "quick"),
    "search": lambda options, rounds: search_throughput.rows(3 if options.level == "quick" else 6),
}
"""Theme -> its rows, from the options and the number of rounds."""


def run(options: StudyOptions) -> StudyResult:
    """Runs all measurements. Level quick has fewer rounds, images and iterations, and smaller samples.

    With --device cuda it runs those of `device_throughput` alone.
    """
    if chosen_device() != "cpu":
        return device_throughput.run(options)
    rounds = 3 if options.level == "quick" else 9
    obstacle = thread_throughput.obstacle()
    measurements = [measure for theme, measure in MEASUREMENTS.items() if not (obstacle and theme == THREADS)]
    rows = [row for measure in measurements for row in measure(options, rounds)]
    not_measured = f" 2 threads over one: not measured, because {obstacle}." if obstacle else ""
    return StudyResult(
        rows,
        "measured",
        f"on {machine()}, {Target.host().vector_bits}-bit vectors, {default_threads()} cores; "
        f"best of interleaved rounds, so other load can only lower it.{not_measured}",
        {"rounds": rounds},
    )

"""Speed of the engines, measured on this machine: ratios against a named baseline in the same run.

Times are thread CPU time where one thread works, wall time where several do; alternatives are interleaved and the best
of several rounds is kept, which a busy machine disturbs least.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from circuits import Design, design, error_metrics, simulate
from circuits.engine import compiled
from circuits.engine.floating import default_threads
from circuits.engine.jit import Target, object_code
from cnn_eval.layers import approximate
from studies.study import Row, StudyOptions, StudyResult, machine

TITLE = "products per second of the engines"
SOURCE = "our own study"
_BLOCKS = 256  # of 512 products: operands and products of the gate kernels stay in the cache

CARRY_SAVE = Design(topology="carry_save_array", rounding="nearest_even", name="exact carry-save array")


def run(options: StudyOptions) -> StudyResult:
    """All measurements; quick has fewer rounds and measures error metrics at a stated fraction of their size."""
    quick = options.level == "quick"
    rounds = 3 if quick else 9
    rows = [*_gates(rounds), *_convolutions(rounds), *_small_layers(rounds), *_engines(rounds), *_metrics(quick)]
    return StudyResult(
        "throughput",
        TITLE,
        SOURCE,
        rows,
        "measured",
        f"on {machine()}, {Target.host().vector_bits}-bit vectors, {default_threads()} cores; "
        "best of interleaved rounds, so other load can only lower it.",
        {"rounds": rounds, "error metrics": "quick" if quick else "whole"},
    )


def best(rounds: int, clock: Callable[[], float], *actions: Callable[[], Any]) -> list[float]:
    """Seconds of each action: the least of interleaved rounds, after one that is not counted."""
    least = [float("inf")] * len(actions)
    for counted in range(-1, rounds):
        for k, action in enumerate(actions):
            started = clock()
            action()
            elapsed = clock() - started
            if counted >= 0:
                least[k] = min(least[k], elapsed)
    return least


def _gates(rounds: int) -> list[Row]:
    """Gate kernels alone: the scheduling gain, and heterogeneous arrays."""
    subject = "gates alone, one thread"
    rng = np.random.default_rng(0)
    cells = np.array(["exact", "ama1", "ama2", "ama3", "ama4"])
    mixed = Design(topology="carry_save_array", placement={"columns": list(rng.choice(cells, 48))}, name="mixed")
    kernels = {
        "exact carry-save array, skewed blocks": (CARRY_SAVE, 5),
        "exact carry-save array, row by row": (CARRY_SAVE, 1),
        "exact ripple array, skewed blocks": (design("exact"), 5),
        "heterogeneous carry-save array (exact, AMA1-4 by column)": (mixed, 5),
        "axfpm (AMA5: wires)": (design("axfpm"), 5),
    }
    operands = rng.integers(0, 2**64, (_BLOCKS, 48, 8), dtype=np.uint64)
    actions = []
    for entry, block_rows in kernels.values():
        program = compiled.compile_program(entry.program(), block_rows=block_rows)
        actions.append(partial(program.simulate, operands))
    seconds = best(4 * rounds, time.thread_time, *actions)
    speeds = [_BLOCKS * 512 / each for each in seconds]
    rows = [Row(subject, name, speed, unit="products/s") for name, speed in zip(kernels, speeds, strict=True)]
    return [*rows, Row(subject, "skewed blocks over row by row", speeds[0] / speeds[1], unit="ratio")]


def _convolutions(rounds: int) -> list[Row]:
    """Whole convolution layers, everything included."""
    layers = {
        "LeNet-5 conv2 (6 -> 16, 5x5, 12x12, batch 64)": (torch.nn.Conv2d(6, 16, 5, bias=False), (64, 6, 12, 12)),
        "64 -> 64, 3x3, 16x16, batch 8": (torch.nn.Conv2d(64, 64, 3, bias=False), (8, 64, 18, 18)),
    }
    names = ("exact", "heap", "axfpm_tiled", "axfpm")
    rows = []
    for subject, (layer, shape) in layers.items():
        x = torch.relu(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
        networks = [layer, *(approximate(layer, design(name)) for name in names)]
        actions = [partial(network, x) for network in networks]
        with torch.no_grad(), torch_threads(1):
            products = layer(x).numel() * layer.weight[0].numel()
            seconds = best(rounds, time.thread_time, *actions)
        for name, each in zip(names, seconds[1:], strict=True):
            rows.append(Row(subject, f"{design(name).label}, one thread", products / each, unit="products/s"))
        rows.append(Row(subject, "exact over torch's float32 layer", seconds[1] / seconds[0], unit="time ratio"))
        walls = []
        for threads in (1, default_threads()):
            with torch.no_grad(), torch_threads(threads):
                walls += best(rounds, time.perf_counter, actions[1])
        rows.append(
            Row(subject, f"exact, {default_threads()} threads over one", walls[0] / walls[1], unit="speed ratio")
        )
    return rows


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs torch, and with it the approximate layers, on `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _small_layers(rounds: int) -> list[Row]:
    """Batch 1 against batch 512: lanes span output channels."""
    layers: dict[str, tuple[torch.nn.Module, tuple[int, ...]]] = {
        "linear 256 -> 120": (torch.nn.Linear(256, 120, bias=False), (256,)),
        "linear 1024 -> 512": (torch.nn.Linear(1024, 512, bias=False), (1024,)),
        "LeNet-5 conv2": (torch.nn.Conv2d(6, 16, 5, bias=False), (6, 12, 12)),
    }
    rows = []
    for subject, (layer, shape) in layers.items():
        network = approximate(layer, design("exact"), layers="all")
        batches = {batch: torch.rand(batch, *shape, generator=torch.Generator().manual_seed(2)) for batch in (1, 512)}
        with torch.no_grad(), torch_threads(1):
            seconds = {batch: best(rounds, time.thread_time, partial(network, x))[0] for batch, x in batches.items()}
            products = layer(batches[1]).numel() * next(layer.parameters())[0].numel()
        rows.append(Row(subject, "exact, batch 512, one thread", 512 * products / seconds[512], unit="products/s"))
        rows.append(Row(subject, "batch 1 over batch 512", seconds[512] / 512 / seconds[1], unit="speed ratio"))
    return rows


def _engines(rounds: int) -> list[Row]:
    """The three backends on the same planes, and what compiling costs."""
    subject = "backends, exact ripple array"
    program = design("exact").program()
    planes = np.random.default_rng(3).integers(0, 2**64, (program.input_count, 2048), dtype=np.uint64)
    names = ("reference", "interpreted", "compiled")
    seconds = best(rounds, time.thread_time, *(partial(simulate, program, planes, name) for name in names))
    rows = [Row(subject, name, 64 * 2048 / each, unit="products/s") for name, each in zip(names, seconds, strict=True)]
    ir = compiled.gates_ir(program, Target.host(), np.arange(len(program)))
    (each,) = best(rounds, time.thread_time, partial(object_code, ir, Target.host()))
    return [*rows, Row(subject, "compiling one design", 1000 * each, unit="ms")]


def _metrics(quick: bool) -> list[Row]:
    """Error metrics of whole operand spaces, of large samples and of many designs; wall time, all cores."""
    subject = f"all error metrics, {default_threads()} cores"
    width, samples, designs = (14, 10**7, 100) if quick else (16, 10**8, 1000)
    rng = np.random.default_rng(4)
    cells = np.array(["exact", "ama1", "ama2", "ama3", "ama4"])
    mixed = Design(
        topology="carry_save_array", format=None, width=width, placement={"columns": list(rng.choice(cells, 2 * width))}
    )
    rows = []
    for quantity, entry, options in (
        (f"{width} x {width} mixed carry-save array, all pairs", mixed, {"method": "exhaustive"}),
        ("24 x 24 exact carry-save array, integers", _EXACT_INTEGERS, {"samples": samples}),
        ("24 x 24 exact carry-save array, float32", CARRY_SAVE, {"samples": samples}),
    ):
        error_metrics(entry, samples=2, method="sampled", backend="compiled")
        started = time.perf_counter()
        pairs = error_metrics(entry, **options).samples
        elapsed = time.perf_counter() - started
        rows.append(Row(subject, quantity, elapsed, unit="s", remark=f"{pairs:.3g} products"))

    tasks = np.random.SeedSequence(5).spawn(default_threads())
    share = [designs // len(tasks) + (k < designs % len(tasks)) for k in range(len(tasks))]
    with multiprocessing.get_context("spawn").Pool(len(tasks)) as pool:
        pool.starmap(_score_many, [(seed, 1) for seed in tasks])  # processes started, kernels loaded
        started = time.perf_counter()
        pool.starmap(_score_many, zip(tasks, share, strict=True), chunksize=1)
        elapsed = time.perf_counter() - started
    remark = f"{designs} designs, 1e+05 products each, interpreted"
    return [*rows, Row(subject, "different 24 x 24 arrays by a random cell a place", elapsed, unit="s", remark=remark)]


_EXACT_INTEGERS = Design(topology="carry_save_array", format=None, width=24)


def _score_many(seed: np.random.SeedSequence, count: int) -> None:
    """From placement to metrics, as a search does; nothing is compiled."""
    rng = np.random.default_rng(seed)
    cells = np.array(["exact", "ama1", "ama2", "ama3", "ama4", "ama5"])
    for _ in range(count):
        entry = Design(topology="carry_save_array", placement={"grid": rng.choice(cells, (25, 24)).tolist()})
        error_metrics(entry, samples=100_000, threads=1, backend="interpreted")

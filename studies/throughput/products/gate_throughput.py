"""Measures the gates' matrix products: real activations, depthwise layers, 16- and 19-bit floats. Part of `throughput`.

Baselines are the dense row-wise kernel of this version, which multiplies zeros too, and its own dense layers.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from circuits import Design, design
from circuits.engine.known_operands.wide_kernels import KERNELS
from circuits.engine.llvm.gates_function import compile_program
from cnn_eval.support.thread_limits import torch_threads
from studies.frame.study import Row
from studies.throughput.products.measured_layers import (
    dense_convolution,
    depthwise_layers,
    narrow_format_layers,
    real_layer,
)
from studies.throughput.timing import best, speed_row

CARRY_SAVE = Design(topology="carry_save_array", rounding="nearest_even", name="exact carry-save array")
_BLOCKS = 256  # blocks of 512 products, few enough for the kernels' operands and products to stay in the cache
_OTHER_FORMATS_TARGET = 0.5
_KNOWN = {"sparse": "zeros left out", "staged": "zeros left out and known weights"}
_DEPTHWISE_TARGET = 0.3


def rows(rounds: int, filters: int) -> list[Row]:
    """Measures everything; `filters`: how many of AlexNet's layer."""
    return [*_gates(rounds), *_real_activations(rounds, filters), *_depthwise(rounds), *_other_formats(rounds)]


def _gates(rounds: int) -> list[Row]:
    """Measures the gate kernels alone: the gain of scheduling, and heterogeneous arrays."""
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
    for kernel_design, block_rows in kernels.values():
        program = compile_program(kernel_design.program(), block_rows=block_rows)
        actions.append(partial(program.simulate, operands))
    seconds = best(4 * rounds, time.thread_time, *actions)
    speeds = [_BLOCKS * 512 / elapsed for elapsed in seconds]
    rows = [Row(subject, name, speed, unit="products/s") for name, speed in zip(kernels, speeds, strict=True)]
    return [*rows, Row(subject, "skewed blocks over row by row", speeds[0] / speeds[1], unit="ratio")]


def heterogeneous_ripple_array() -> Design:
    """A ripple array with a random cell at every place."""
    cells = np.random.default_rng(6).choice(["exact", "ama1", "ama2", "ama3", "ama4", "ama5"], (25, 24)).tolist()
    return Design(placement={"grid": cells}, name="random ripple array")


def _real_activations(rounds: int, filters: int) -> list[Row]:
    """Compares automatic products with the dense row-wise kernel, on activations of committed networks."""
    # All filters cost the same; zeros are left out among the rows of 64 images.
    alexnet = real_layer("alexnet", "AlexNet", "conv3", "cifar10", 64, filters)
    measured = [
        (real_layer("lenet5", "LeNet-5", "conv1", "mnist", 128), design("heap"), 1.6),
        (real_layer("lenet5", "LeNet-5", "conv2", "mnist", 128), design("heap"), 1.6),
        (alexnet, design("heap"), 2.4),
        (alexnet, design("axfpm_tiled"), 1.8),
        (alexnet, design("ama1_array"), 1.8),
        (alexnet, heterogeneous_ripple_array(), 1.8),
    ]
    speeds = []
    for layer, multiplier, target in measured:
        # "staged" is what "auto" takes once a circuit has computed enough products to repay the compilation.
        baseline, *others = best(rounds, time.thread_time, *(layer.wide_layer(multiplier, name) for name in KERNELS))
        for name, seconds, aim in zip(KERNELS[1:], others, (None, target), strict=True):
            quantity = f"{multiplier.label}, {_KNOWN[name]}, over the dense row-wise kernel"
            speeds.append(speed_row(layer.name, quantity, layer.products, seconds, baseline, aim, "gate"))
    return speeds


def _depthwise(rounds: int) -> list[Row]:
    """Compares depthwise layers with a dense layer, in products per second."""
    heap, dense = design("heap"), dense_convolution()
    layers = [dense, *depthwise_layers()]
    dense_seconds, *seconds = best(rounds, time.thread_time, *(layer.engine_layer(heap, "gate") for layer in layers))
    return [
        speed_row(
            layer.name,
            f"{heap.label} over its own dense rate",
            layer.products,
            elapsed,
            # The time in which the dense layer computes as many products.
            dense_seconds * layer.products / dense.products,
            _DEPTHWISE_TARGET,
            "gate",
        )
        for layer, elapsed in zip(layers[1:], seconds, strict=True)
    ]


def _other_formats(rounds: int) -> list[Row]:
    """Compares float16 and tf32 with float32, exact cells in all of them, gate by gate."""
    layer = narrow_format_layers(batch=16)[0]
    designs = [Design(format=name, rounding="nearest_even", name=name) for name in ("float32", "float16", "tf32")]
    with torch_threads(1):
        actions = [layer.engine_layer(multiplier, "gate") for multiplier in designs]
        baseline, *seconds = best(rounds, time.thread_time, *actions)
    return [
        speed_row(
            layer.name,
            f"{multiplier.label} over float32, exact cells, gate by gate",
            layer.products,
            elapsed,
            baseline,
            _OTHER_FORMATS_TARGET,
            "gate",
        )
        for multiplier, elapsed in zip(designs[1:], seconds, strict=True)
    ]

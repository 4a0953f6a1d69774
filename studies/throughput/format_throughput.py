"""Measures matrix products of exact circuits and of all formats, as ratios to a baseline. Part of `throughput`.

Thread CPU time on one thread. The baseline runs in the same interleaved rounds: torch's own float32 layer of the same
shape, or the float32 design of the same cells.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from torch import nn

from circuits import Design, design
from circuits.engine.float_operations import matmul
from circuits.engine.multiplier_circuit import code_dtype
from cnn_eval.layers.approximation import approximate
from studies.frame.study import Row
from studies.throughput.timing import best, torch_threads

LAYERS = {
    "LeNet-5 conv2 (6 -> 16, 5x5, 12x12, batch 128)": (nn.Conv2d(6, 16, 5), (128, 6, 12, 12)),
    "64 -> 64, 3x3 on 16x16, batch 8": (nn.Conv2d(64, 64, 3, padding=1), (8, 64, 16, 16)),
    "linear 1024 -> 512, batch 64": (nn.Linear(1024, 512), (64, 1024)),
    "linear 84 -> 10, batch 1": (nn.Linear(84, 10), (1, 84)),
    "depthwise 3x3, 32 channels 56x56, batch 8": (nn.Conv2d(32, 32, 3, padding=1, groups=32), (8, 32, 56, 56)),
    "depthwise 3x3, 960 channels 7x7, batch 8": (nn.Conv2d(960, 960, 3, padding=1, groups=960), (8, 960, 7, 7)),
}
FORMATS = ("tf32", "float16", "e8m15", "bfloat16", "fp8_e4m3")
WIDTHS = (8, 12, 16)


def rows(rounds: int) -> list[Row]:
    """All ratios; the greater the faster."""
    return [*_exact_layers(rounds), *_formats(rounds), *_integers(rounds)]


def _exact_layers(rounds: int) -> list[Row]:
    """The design `exact` in float32 over torch's own layers."""
    found = []
    for subject, (layer, shape) in LAYERS.items():
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        through_design = approximate(layer, design("exact"), layers="all")
        with torch.no_grad(), torch_threads(1):
            own, ours = best(10 * rounds, time.thread_time, partial(layer, x), partial(through_design, x))
        found.append(Row(subject, "exact, over torch's float32 layer", own / ours, unit="speed ratio"))
    return found


def _formats(rounds: int) -> list[Row]:
    """Exact cells in every format, gate by gate, over float32."""
    layer, x = nn.Conv2d(6, 16, 5), torch.relu(torch.randn((32, 6, 12, 12), generator=torch.Generator().manual_seed(1)))
    formats = ("float32", *FORMATS)
    networks = [
        approximate(layer, Design(format=name, rounding="nearest_even"), layers="all", compute="gate")
        for name in formats
    ]
    with torch.no_grad(), torch_threads(1):
        seconds = best(rounds, time.thread_time, *(partial(network, x) for network in networks))
    subject = "exact cells gate by gate, LeNet-5 conv2"
    return [
        Row(subject, f"{name}, over float32", seconds[0] / elapsed, unit="speed ratio")
        for name, elapsed in zip(formats[1:], seconds[1:], strict=True)
    ]


def _integers(rounds: int) -> list[Row]:
    """Exact carry-save arrays of integers: through gates with bit-sliced sums, and natively."""
    found = []
    rng = np.random.default_rng(2)
    for width in WIDTHS:
        multiplier = Design(topology="carry_save_array", format=None, width=width)
        x, w = (
            rng.integers(0, 1 << width, shape).astype(code_dtype(width, signed=False))
            for shape in ((2048, 150), (150, 16))
        )
        methods = ("gate", "native")
        actions = [partial(matmul, multiplier, x, w, method=method, threads=1) for method in methods]
        for method, elapsed in zip(methods, best(rounds, time.thread_time, *actions), strict=True):
            quantity = f"{width} x {width} bits, {method}, one thread"
            found.append(
                Row("matrix product [2048, 150] x [150, 16]", quantity, x.size * 16 / elapsed, unit="products/s")
            )
    return found

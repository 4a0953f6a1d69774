"""Measures formats whose products come from tables or from the machine's own multiplier, over torch's float32 layers.

Part of the throughput study. Rows of methods that this version does not have are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from circuits import Design
from circuits.engine.llvm.jit import Target
from circuits.support.processor import VARIABLE
from cnn_eval.support.thread_limits import torch_threads
from studies.frame.study import Row
from studies.throughput.products.measured_layers import MeasuredLayer, depthwise_layers, narrow_format_layers, serving
from studies.throughput.timing import best, speed_row

INT8 = Design(format=None, width=8, signed=True, placement="ama1", name="int8, AMA1")
EXACT = Design(rounding="nearest_even", name="exact float32")
_FORMATS = (
    # design, method, target over torch for the three layers
    (INT8, "table", 0.35),
    (Design(format="fp8_e4m3", name="fp8_e4m3"), "table", 0.3),
    (Design(format="bfloat16", name="bfloat16"), "table", 0.25),
    (EXACT, "native", 0.4),
)
_DEPTHWISE_TARGET = 0.7
_AVX2_TARGET = 0.06


def rows(rounds: int) -> list[Row]:
    """Measures all formats on dense layers, int8 and exact float32 on depthwise ones, and int8 by AVX2 code."""
    speeds = [
        _over_torch(layer, design, method, target, rounds)
        for design, method, target in _FORMATS
        for layer in narrow_format_layers()
        if serving(design, method)
    ]
    for design, method, _ in (_FORMATS[0], _FORMATS[3]):
        if serving(design, method):
            speeds += [_over_torch(layer, design, method, _DEPTHWISE_TARGET, rounds) for layer in depthwise_layers()]
    if serving(INT8, "table") and Target.host().vector_bits == 512:
        speeds += _by_avx2(rounds)
    return speeds


def _over_torch(layer: MeasuredLayer, design: Design, method: str, target: float, rounds: int) -> Row:
    actions = layer.torch_layer(), layer.engine_layer(design, method)
    with torch_threads(1):
        baseline, seconds = best(2 * rounds, time.thread_time, *actions)
    quantity = f"{design.label} over torch's float32 layer"
    return speed_row(layer.name, quantity, layer.products, seconds, baseline, target, method)


_AVX2_PROBE = """
import json, sys
from studies.throughput.products.method_throughput import int8_seconds
print(json.dumps(int8_seconds(int(sys.argv[1]))))
"""


def int8_seconds(rounds: int) -> list[list[float]]:
    """Seconds of torch's layer and of int8's table for each of the dense layers, in this process."""
    seconds = []
    for layer in narrow_format_layers():
        with torch_threads(1):
            actions = layer.torch_layer(), layer.engine_layer(INT8, "table")
            seconds.append(best(2 * rounds, time.thread_time, *actions))
    return seconds


def _by_avx2(rounds: int) -> list[Row]:
    """int8 in a process that is told to leave AVX-512 out; torch chooses its own instructions there as here."""
    command: Sequence[str] = [sys.executable, "-c", _AVX2_PROBE, str(rounds)]
    environment = {**os.environ, VARIABLE: "avx2"}
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [
        speed_row(
            layer.name,
            f"{INT8.label} by AVX2 code over torch's float32 layer",
            layer.products,
            seconds,
            baseline,
            _AVX2_TARGET,
            "table",
        )
        for layer, (baseline, seconds) in zip(narrow_format_layers(), json.loads(process.stdout), strict=True)
    ]

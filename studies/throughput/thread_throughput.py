"""Measures two threads against one, and the peak memory of a layer. Part of the throughput study."""

from __future__ import annotations

import subprocess
import sys
import time

from circuits import design
from circuits.engine.task_threads import default_threads
from studies.frame.study import Row
from studies.throughput.products.measured_layers import depthwise_layers, narrow_format_layers
from studies.throughput.timing import HIGHEST_LOAD, best, load_of_others

_TARGET = 1.8
_TARGET_FROM = 5.0
"""Milliseconds on one thread from which the target holds."""
_LEAST_ROUNDS = 15
"""Wall time is disturbed more than CPU time, and two threads twice as often as one."""


def obstacle() -> str:
    """Why two threads cannot be compared with one on this machine now; "" if they can."""
    if default_threads() < 2:
        return "there is one core"
    load = load_of_others()
    if load is None:
        return "the system does not tell how many cores others use"
    return f"others use {load:.2f} cores" if load > HIGHEST_LOAD else ""


def rows(rounds: int) -> list[Row]:
    """Compares two threads with one in wall time, in at least _LEAST_ROUNDS rounds; see `obstacle`."""
    speeds = []
    for multiplier in (design("exact"), design("heap")):
        for layer in (*narrow_format_layers(), depthwise_layers()[0]):
            actions = [layer.engine_layer(multiplier, "gate", threads) for threads in (1, 2)]
            one, two = best(max(rounds, _LEAST_ROUNDS), time.perf_counter, *actions)
            quantity = f"{multiplier.label}, gate by gate, 2 threads over one"
            target = (
                f"target: at least {_TARGET}" if 1000 * one >= _TARGET_FROM else f"no target under {_TARGET_FROM:g} ms"
            )
            remark = f"{target}; {1000 * one:.3g} ms on one thread"
            speeds.append(Row(layer.name, quantity, one / two, unit="speed ratio", remark=remark))
    return speeds


_MEMORY_PROBE = """
import re, resource, sys, torch
from circuits import design
from cnn_eval.layers.approximation import approximate
layer = torch.nn.Conv2d(64, 64, 3, padding=1)
network = approximate(layer, design("exact"))
with torch.no_grad():
    network(torch.rand(1, 64, 32, 32))
    resident = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    x = torch.rand(int(sys.argv[1]), 64, 64, 64)
    out = network(x)
# Not ru_maxrss, which a process inherits from the one that started it.
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
tensors = 4 * (x.numel() + out.numel() + layer.weight.numel())
print((peak - resident) / tensors, tensors / 2**20)
"""


def memory_rows(images: int) -> list[Row]:
    """Measures the peak memory of one large convolution over `images` images, in a separate process."""
    if not sys.platform.startswith("linux"):
        return []
    command = [sys.executable, "-c", _MEMORY_PROBE, str(images)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    ratio, megabytes = map(float, process.stdout.split())
    name = "peak over the layer's tensors, those included"
    return [Row(f"memory, 64 -> 64, 3x3, {megabytes:.0f} MB of tensors", name, ratio, unit="ratio")]

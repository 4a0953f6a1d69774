"""Measures the speed of the engines on this machine, as ratios against a named baseline in the same run.

Single-threaded work is measured in thread CPU time, multithreaded work in wall time. Alternatives run interleaved, and
the fastest of several rounds counts: other load can only add time, so that the minimum is the least affected estimate.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from circuits import Design, design, simulate
from circuits.engine.llvm.gates_function import compile_program, gates_ir
from circuits.engine.llvm.jit import Target, object_code
from circuits.engine.task_threads import default_threads
from circuits.support.provenance import machine
from cnn_eval.attacks.shared.base import MissingExtraError, foolbox_model
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from cnn_eval.support.verified_files import DataError
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.throughput import attack_throughput, evolution_throughput, metrics_throughput, search_throughput

TITLE = "products per second of the engines"
SOURCE = "our own study"
TOLERANCE = None
_BLOCKS = 256  # blocks of 512 products, few enough for the kernels' operands and products to stay in the cache

CARRY_SAVE = Design(topology="carry_save_array", rounding="nearest_even", name="exact carry-save array")


def run(options: StudyOptions) -> StudyResult:
    """Runs all measurements. Level quick has fewer rounds, images and iterations, and smaller samples."""
    rounds = 3 if options.level == "quick" else 9
    rows = [*_gates(rounds), *_convolutions(rounds), *_small_layers(rounds), *_engines(rounds)]
    quick = options.level == "quick"
    rows += [*_lowered(rounds), *_networks(options), *_carlini_wagner(100 if quick else 1000)]
    rows += [*_memory(32 if quick else 192), *metrics_throughput.rows(quick=quick)]
    rows += [*attack_throughput.rows(), *search_throughput.rows()]
    rows += evolution_throughput.rows(quick=quick)
    return StudyResult(
        rows,
        "measured",
        f"on {machine()}, {Target.host().vector_bits}-bit vectors, {default_threads()} cores; "
        "best of interleaved rounds, so other load can only lower it.",
        {"rounds": rounds},
    )


def best(rounds: int, clock: Callable[[], float], *actions: Callable[[], Any]) -> list[float]:
    """Returns the seconds of each action: its minimum over interleaved rounds, after one warm-up round."""
    fastest = [float("inf")] * len(actions)
    for counted in range(-1, rounds):  # round -1 warms up caches and kernels
        for k, action in enumerate(actions):
            start = clock()
            action()
            elapsed = clock() - start
            if counted >= 0:
                fastest[k] = min(fastest[k], elapsed)
    return fastest


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


def _convolutions(rounds: int) -> list[Row]:
    """Measures complete convolution layers, with all their overhead."""
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
        for name, elapsed in zip(names, seconds[1:], strict=True):
            rows.append(Row(subject, f"{design(name).label}, one thread", products / elapsed, unit="products/s"))
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
    """Compares batch 1 with batch 512 for complete layers without gradients.

    A layer with few rows distributes the SIMD lanes over its columns instead.
    """
    layers: dict[str, tuple[torch.nn.Module, tuple[int, ...]]] = {
        **{f"linear {k} -> {n}": (torch.nn.Linear(k, n), (k,)) for k, n in _LINEAR_LAYERS},
        "LeNet-5 conv2": (torch.nn.Conv2d(6, 16, 5), (6, 12, 12)),
        "64 -> 64, 3x3, 4x4": (torch.nn.Conv2d(64, 64, 3, padding=1), (64, 4, 4)),
        "16 -> 16, 3x3, 4x4": (torch.nn.Conv2d(16, 16, 3, padding=1), (16, 4, 4)),
    }
    rows = []
    ratio_by_products: dict[int, float] = {}
    for subject, (layer, shape) in layers.items():
        network = approximate(layer, design("exact"), layers="all")
        single, large_batch = (
            torch.rand(batch, *shape, generator=torch.Generator().manual_seed(2)) for batch in (1, 512)
        )
        with torch.no_grad(), torch_threads(1):
            products = layer(single).numel() * next(layer.parameters())[0].numel()
            repeats = max(1, 50_000 // products)
            calls: list[list[float]] = []
            batches: list[float] = []
            for _ in range(2):
                actions = (partial(_repeated, module, single, repeats) for module in (network, layer))
                calls.append(best(20 * rounds, time.thread_time, *actions))
                batches += best(-(-rounds // 2), time.thread_time, partial(network, large_batch))
        call, torch_call = (min(seconds) / repeats for seconds in zip(*calls, strict=True))
        at_512 = min(batches)
        ratio = at_512 / 512 / call
        ratio_by_products[products] = min(ratio, ratio_by_products.get(products, ratio))
        rows.append(Row(subject, "exact, batch 512, one thread", 512 * products / at_512, unit="products/s"))
        rows.append(Row(subject, "exact, batch 1, one call", 1e6 * call, unit="us"))
        rows.append(Row(subject, "torch's float32 layer, batch 1, one call", 1e6 * torch_call, unit="us"))
        remark = "" if ratio >= 0.25 else "the call from Python outlasts the products"
        rows.append(Row(subject, "batch 1 over batch 512", ratio, unit="speed ratio", remark=remark))
    slow = [products for products, ratio in ratio_by_products.items() if ratio < 0.25]
    fewest = min((products for products in ratio_by_products if products > max(slow, default=0)), default=float("nan"))
    return [*rows, Row("small layers", "batch 1 reaches 25 % of batch 512 from", fewest, unit="products")]


_LINEAR_LAYERS = ((256, 120), (120, 84), (84, 10), (1536, 384), (384, 192), (192, 10), (1024, 512))
"""The linear layers of LeNet-5, those of AlexNet for CIFAR-10, and a larger one, as (inputs, outputs)."""


def _repeated(layer: torch.nn.Module, x: torch.Tensor, times: int) -> None:
    for _ in range(times):
        layer(x)


def _engines(rounds: int) -> list[Row]:
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


def _lowered(rounds: int) -> list[Row]:
    """Compares lowered layers with torch's float32 layers on one thread."""
    layers: dict[str, tuple[torch.nn.Module, tuple[int, ...]]] = {
        "LeNet-5 conv1, batch 128": (torch.nn.Conv2d(1, 6, 5), (128, 1, 28, 28)),
        "LeNet-5 conv2, batch 128": (torch.nn.Conv2d(6, 16, 5), (128, 6, 12, 12)),
        "3 -> 64, 3x3, 32x32, batch 32": (torch.nn.Conv2d(3, 64, 3), (32, 3, 32, 32)),
        "64 -> 64, 3x3, 16x16, batch 32": (torch.nn.Conv2d(64, 64, 3), (32, 64, 18, 18)),
        "64, 3x3 depthwise, 32x32, batch 32": (torch.nn.Conv2d(64, 64, 3, groups=64), (32, 64, 34, 34)),
    }
    rows = []
    for subject, (layer, shape) in layers.items():
        x = torch.relu(torch.randn(shape, generator=torch.Generator().manual_seed(4)))
        names = ("axfpm", "axfpm_tiled")
        networks = [layer, *(approximate(layer, design(name), compute="lowered") for name in names)]
        with torch.no_grad(), torch_threads(1):
            seconds = best(4 * rounds, time.thread_time, *(partial(network, x) for network in networks))
        for name, elapsed in zip(names, seconds[1:], strict=True):
            rows.append(Row(f"lowered, {subject}", f"{name} over torch", elapsed / seconds[0], unit="time ratio"))
    return rows


def _networks(options: StudyOptions) -> list[Row]:
    """Measures LeNet-5 on 10,000 images (quick: 1,000) and AlexNet on 500 (quick: 40).

    LeNet-5 uses the MNIST test set if it has been fetched, otherwise embedded images. AlexNet uses embedded images.
    """
    quick = options.level == "quick"
    try:
        images = load("mnist", "test", source="full", folder=options.folder).images
        remark = "MNIST test set"
    except DataError:
        images = torch.cat([load("mnist", split).images for split in ("test", "train")])[:10_000]
        remark = "embedded images; fetch mnist for the test set"
    rows = _timed("lenet5", "LeNet-5", images[: 1000 if quick else 10_000], 1 if quick else 2, remark)
    photographs = load("cifar10", "test").images[: 40 if quick else 500]
    return rows + _timed("alexnet", "AlexNet", photographs, 1 if quick else 2, "embedded images of CIFAR-10")


def _timed(name: str, title: str, images: torch.Tensor, rounds: int, remark: str) -> list[Row]:
    """Measures a network in torch and through designs on all cores: seconds, images per second, ratio to torch."""
    model = load_model(name)
    networks = {
        "torch float32": model,
        "exact, gate by gate": approximate(model, design("exact")),
        "axfpm_tiled, gate by gate": approximate(model, design("axfpm_tiled")),
        "axfpm_tiled, lowered": approximate(model, design("axfpm_tiled"), compute="lowered"),
    }
    subject = f"{title}, {len(images)} images, {default_threads()} cores"
    rows = []
    baseline = None
    for label, network in networks.items():
        (seconds,) = best(rounds, time.perf_counter, partial(predict, network, images))
        baseline = baseline or seconds
        rows.append(Row(subject, label, seconds, unit="s", remark=remark))
        rows.append(Row(subject, label, len(images) / seconds, unit="images/s"))
        rows.append(Row(subject, f"{label}, over torch", seconds / baseline, unit="time ratio"))
    return rows


def _carlini_wagner(steps: int) -> list[Row]:
    """Measures one white-box C&W L2 attack: `steps` iterations on one image, straight-through gradients, one thread."""
    images = load("mnist", "test")
    rows = []
    for name, compute in (("exact", "gate"), ("axfpm_tiled", "gate"), ("axfpm_tiled", "lowered")):
        network = approximate(load_model("lenet5"), design(name), compute=compute)
        try:
            adversary = foolbox_model(network, images.images)
        except MissingExtraError:
            return []
        from foolbox.attacks.carlini_wagner import (
            L2CarliniWagnerAttack,
        )  # after foolbox_model, which silences its warnings

        attack = L2CarliniWagnerAttack(binary_search_steps=1, steps=steps, initial_const=1.0, abort_early=False)
        with torch_threads(1):
            start = time.perf_counter()
            attack.run(adversary, images.images[:1], images.labels[:1])
            elapsed = time.perf_counter() - start
        rows.append(Row(f"C&W L2, one image, {steps:,} iterations", f"{name}, {compute}", elapsed, unit="s"))
    return rows


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


def _memory(images: int) -> list[Row]:
    """Measures the peak memory of one large convolution over `images` images, in a separate process."""
    if not sys.platform.startswith("linux"):
        return []
    command = [sys.executable, "-c", _MEMORY_PROBE, str(images)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    ratio, megabytes = map(float, process.stdout.split())
    name = "peak over the layer's tensors, those included"
    return [Row(f"memory, 64 -> 64, 3x3, {megabytes:.0f} MB of tensors", name, ratio, unit="ratio")]

"""Measures layers of single images, and lowered layers. Part of the throughput study."""

from __future__ import annotations

import time
from functools import partial

import torch

from circuits import design
from cnn_eval.layers.approximation import approximate
from cnn_eval.support.thread_limits import torch_threads
from studies.frame.study import Row
from studies.throughput.timing import best


def rows(rounds: int) -> list[Row]:
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
        network = approximate(layer, design("exact"), layers="all", compute="gate")
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


def lowered_rows(rounds: int) -> list[Row]:
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

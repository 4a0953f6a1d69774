"""Measures products per second on a CUDA device and compares its bits with the processor's; of the throughput study.

`python -m studies run throughput --device cuda` runs it alone. Times are wall times of whole calls, packing included,
from an idle device to an idle device; those of layers are of CALLS calls in a row, as a network makes them. The first
call, which compiles, is left out, and the median of several counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from circuits import CELLS, Design, design, matmul
from circuits.engine.device import gate_products
from circuits.engine.device.cuda_driver import find_device
from circuits.engine.device.product_modules import table_module
from circuits.support.provenance import machine
from cnn_eval.data.loading import load
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLinear
from cnn_eval.layers.approximation import approximate
from cnn_eval.layers.convolution import Geometry, convolve
from cnn_eval.models.devices import require_cuda
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from studies.frame.study import Row, StudyOptions, StudyResult

_SEED = 0
_LAYERS = {
    "LeNet-5 conv2, batch 512": (512, 6, 14, 16, 5),
    "64 -> 64, 3x3, 32x32, batch 512": (512, 64, 34, 64, 3),
}
"""Name -> images, channels, their height and width, filters, kernel's height and width."""
CALLS = 10
_NETWORKS = ("lenet5", "alexnet", "resnet8")
_IMAGES = 10_000
_ATTACKED = 1_000
_EPSILON, _STEPS = 0.1, 40
"""Of the attack: a budget that does not fool every network, and the usual steps."""

INT8 = Design(format=None, width=8, signed=True, placement="ama1", name="int8 ama1")
"""A multiplier of signed codes whose operands cannot be exchanged."""
NARROW = (Design(format="bfloat16", placement="ama1", name="bfloat16 ama1"), Design(format="fp8_e4m3", name="fp8_e4m3"))
"""Formats that are looked up: by their fractions, and by their codes."""


def run(options: StudyOptions) -> StudyResult:
    """All measurements on the current CUDA device. Raises DesignError where there is none."""
    require_cuda()
    # The baseline computes in float32, not in TF32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    quick = options.level == "quick"
    rows = [*_identity(), *_speed(3 if quick else 9), *_network(_IMAGES // 10 if quick else _IMAGES), *_transfer()]
    wrong = [row for row in rows if row.unit == "differ" and row.measured]
    same = f"{len(wrong)} comparisons differ" if wrong else "every bit equal to the processor's"
    return StudyResult(
        rows,
        "measured",
        f"on {torch.cuda.get_device_name()}, {find_device(torch.cuda.current_device()).multiprocessors} "
        f"multiprocessors; {same}; host {machine()}.",
        {"level": options.level},
    )


def random_array() -> Design:
    """A ripple array with a random cell at every place."""
    rng = np.random.default_rng(_SEED)
    cells = [cell for cell in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5") if cell in CELLS]
    grid = rng.choice(cells, size=(25, 24)).tolist()
    return Design(placement={"grid": grid}, name="random array")


def _designs() -> list[Design]:
    return [*(design(name) for name in ("exact", "heap", "axfpm_tiled")), random_array()]


def _values(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(_SEED + len(shape))
    return torch.randn(shape, generator=generator)


def _codes(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(_SEED + len(shape))
    return torch.randint(-128, 128, shape, generator=generator, dtype=torch.int8)


def _differences(one: torch.Tensor, other: torch.Tensor) -> int:
    """How many elements differ in a bit, any NaN being equal to any NaN."""
    one, other = one.detach().cpu(), other.detach().cpu()
    same = one.view(torch.int32) == other.view(torch.int32)
    return int((~(same | one.isnan() & other.isnan())).sum())


def _product(each: Design, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """x @ w through a design, on the device."""
    product: Any = matmul(each, x.cuda(), w.cuda())
    assert isinstance(product, torch.Tensor)
    return product


def _identity() -> Iterator[Row]:
    """Counts results on the device that differ from the processor's."""
    x, w = _values(4000, 1), _values(1, 2500)
    subject = "10^7 random products"
    for each in (*_designs(), *NARROW):
        differ = _differences(_product(each, x, w), torch.from_numpy(matmul(each, x, w)))
        yield Row(subject, each.label, differ, unit="differ")
    # Where x w differs from w x, an exchange of operands would have shown above.
    lopsided = [_differences(_product(each, x, w).T, _product(each, w.T, x.T)) > 0 for each in _designs()]
    yield Row(subject, "designs that tell x w from w x", sum(lopsided), unit="designs")
    for name in _NETWORKS:
        for each in (design("exact"), design("heap")):
            layers, differ = _compared_layers(approximate(load_model(name), each, layers="all"), name)
            yield Row(f"{name}, {layers} layers", each.label, differ, unit="differ", remark="outputs, 4 images")


def _compared_layers(network: nn.Module, name: str) -> tuple[int, int]:
    """(layers, outputs that differ): each layer on the device gets the input that it has on the processor."""
    seen: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []
    layers = [module for module in network.modules() if isinstance(module, (ApproximateConv2d, ApproximateLinear))]
    for layer in layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs[0], output)))
    images = load("mnist" if name == "lenet5" else "cifar10", "test").images[:4]
    predict(network, images)
    for layer in layers:
        layer._forward_hooks.clear()
    network.cuda()
    with torch.no_grad():
        return len(layers), sum(_differences(module(inputs.cuda()), output) for module, inputs, output in seen)


def _seconds(action: Callable[[], Any], rounds: int, calls: int = 1) -> float:
    """Median of the times of a call, `calls` in a row."""
    action()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(calls):
            action()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - started) / calls)
    return statistics.median(times)


def _speed(rounds: int) -> Iterator[Row]:
    """Products per second of two layers through gates and tables."""
    for name, (batch, channels, side, filters, kernel) in _LAYERS.items():
        places = (side - kernel + 1) ** 2
        products = batch * places * channels * kernel * kernel * filters
        x, w = _values(batch, channels, side, side).cuda(), _values(filters, channels, kernel, kernel).cuda()
        codes, weights = _codes(batch, channels, side, side).cuda(), _codes(filters, channels, kernel, kernel).cuda()
        timed = {"torch float32": _seconds(lambda x=x, w=w: functional.conv2d(x, w), rounds, CALLS)}  # type: ignore[misc]
        for each in (*_designs(), *NARROW):
            timed |= _ways(each, x, w, rounds)
        timed |= _ways(INT8, codes, weights, rounds)
        for label, seconds in timed.items():
            yield Row(name, label, products / seconds, unit="products/s")
            yield Row(name, f"{label}, over torch", seconds / timed["torch float32"], unit="time ratio")


def _ways(each: Design, x: torch.Tensor, w: torch.Tensor, rounds: int) -> dict[str, float]:
    """Seconds of a convolution by the gates and, where there is one, by the table."""
    shared = find_device(torch.cuda.current_device()).shared_bytes
    served = {"gate": not gate_products.refusal(each), "table": table_module(each, shared) is not None}
    return {
        f"{each.label}, {method}": _seconds(lambda m=method: convolve(each, x, w, Geometry(), method=m), rounds, CALLS)  # type: ignore[misc]
        for method, serves in served.items()
        if serves
    }


def _network(count: int) -> Iterator[Row]:
    """Seconds of AlexNet on `count` images."""
    images = torch.cat([load("cifar10", split).images for split in ("test", "train")])
    images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count].cuda()
    remark = "the embedded images of CIFAR-10, repeated"
    model = load_model("alexnet").cuda()
    networks = {"torch float32": model, "exact, gate by gate": approximate(model, design("exact"))}
    networks["heap, gate by gate"] = approximate(model, design("heap"))
    for label, network in networks.items():
        seconds = _seconds(lambda network=network: predict(network, images), 1)  # type: ignore[misc]
        yield Row(f"AlexNet, {count:,} images", label, seconds, unit="s", remark=remark)


def _transfer() -> Iterator[Row]:
    """Seconds of PGD on the exact network, and of trying its examples on designs."""
    stored = load("mnist", "test")
    images, labels = stored.images[:_ATTACKED].cuda(), stored.labels[:_ATTACKED].cuda()
    source = load_model("lenet5").cuda().requires_grad_(False)
    subject = f"PGD, Linf {_EPSILON}, {_STEPS} steps, {_ATTACKED:,} images, LeNet-5"
    started = time.perf_counter()
    adversarial = _descended(source, images, labels)
    torch.cuda.synchronize()
    yield Row(subject, "crafting on torch's network", time.perf_counter() - started, unit="s")
    through = approximate(source, design("exact"))
    started = time.perf_counter()
    _descended(through, images, labels)
    torch.cuda.synchronize()
    yield Row(subject, "crafting through exact, gate by gate", time.perf_counter() - started, unit="s")
    fooled = (predict(source, images) == labels) & (predict(source, adversarial) != labels)
    for each in _designs():
        victim = approximate(source, each)
        seconds = _seconds(lambda victim=victim: predict(victim, adversarial), 1)  # type: ignore[misc]
        eligible = fooled & (predict(victim, images) == labels)
        rate = (eligible & (predict(victim, adversarial) != labels)).sum() / eligible.sum()
        yield Row(subject, f"transfer to {each.label}", 100 * float(rate), unit="%")
        yield Row(subject, f"trying the examples on {each.label}", seconds, unit="s")


def _descended(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Projected gradient descent from the images themselves, in the Linf ball."""
    x = images.clone()
    for _ in range(_STEPS):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(functional.cross_entropy(model(x), labels, reduction="sum"), x)
        moved = x.detach() + 2.5 * _EPSILON / _STEPS * gradient.sign()
        x = torch.min(torch.max(moved, images - _EPSILON), images + _EPSILON).clamp(0, 1)
    return x

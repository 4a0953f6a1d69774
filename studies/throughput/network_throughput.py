"""Measures whole networks over torch's, on the threads that the row names. Part of the throughput study."""

from __future__ import annotations

import time
from functools import partial

import torch

from circuits import Design, design
from circuits.designs import LIBRARY
from circuits.engine.matrix_products.product_methods import choose_method
from circuits.engine.task_threads import default_threads
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.sensitivities import products_per_image
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from cnn_eval.quantized.post_training import quantize
from cnn_eval.support.thread_limits import torch_threads
from cnn_eval.support.verified_files import DataError
from studies.frame.study import Row, StudyOptions
from studies.throughput.timing import best

_TARGETS = (
    # design, at most this many times torch's time
    (design("exact"), 2.0),
    (design("heap"), 5.0),
    (Design(format="bfloat16", name="bfloat16"), 3.0),
)

_TABLED = LIBRARY["u8_mae0.43"]
"""The integer design of the quantised network."""


def rows(options: StudyOptions) -> list[Row]:
    """Measures LeNet-5 on 10,000 images, AlexNet on 500 (quick: 40) and a quantised ResNet-20 on 10,000 (quick: 500).

    LeNet-5 uses the MNIST test set if it has been fetched, otherwise embedded images. AlexNet uses embedded images.
    """
    quick = options.level == "quick"
    try:
        images = load("mnist", "test", source="full", folder=options.folder).images
        remark = "MNIST test set"
    except DataError:
        images = torch.cat([load("mnist", split).images for split in ("test", "train")])[:10_000]
        remark = "embedded images; fetch mnist for the test set"
    rounds = 1 if quick else 2
    photographs = load("cifar10", "test").images[: 40 if quick else 500]
    return [
        *_lenet5(images, rounds, remark),
        *_alexnet(photographs, rounds, "embedded images of CIFAR-10"),
        _resnet20(options),
    ]


def _lenet5(images: torch.Tensor, rounds: int, remark: str) -> list[Row]:
    """Measures convolution layers through designs, computed as "auto" chooses, over torch on as many threads."""
    model = load_model("lenet5")
    threads = min(2, default_threads())
    subject = f"LeNet-5, {len(images):,} images, {threads} threads"
    networks = [approximate(model, multiplier) for multiplier, _ in _TARGETS]
    with torch_threads(threads):
        torch_seconds, *seconds = best(
            rounds, time.perf_counter, *(partial(predict, network, images) for network in (model, *networks))
        )
    measured = [Row(subject, "torch float32", torch_seconds, unit="s", remark=remark)]
    for (multiplier, target), elapsed in zip(_TARGETS, seconds, strict=True):
        label = multiplier.label
        how = f"by method {choose_method(multiplier)}; {remark}"
        measured.append(Row(subject, label, elapsed, unit="s", remark=how))
        ratio = elapsed / torch_seconds
        measured.append(
            Row(subject, f"{label}, over torch", ratio, unit="time ratio", remark=f"target: at most {target:g}")
        )
    return measured


def _alexnet(images: torch.Tensor, rounds: int, remark: str) -> list[Row]:
    """Measures AlexNet in torch and through designs on all cores: seconds and the ratio to torch."""
    model = load_model("alexnet")
    networks = {
        "torch float32": model,
        "exact, gate by gate": approximate(model, design("exact"), compute="gate"),
        "axfpm_tiled, gate by gate": approximate(model, design("axfpm_tiled"), compute="gate"),
        "axfpm_tiled, lowered": approximate(model, design("axfpm_tiled"), compute="lowered"),
    }
    subject = f"AlexNet, {len(images)} images, {default_threads()} cores"
    seconds = best(rounds, time.perf_counter, *(partial(predict, network, images) for network in networks.values()))
    measured = []
    for label, elapsed in zip(networks, seconds, strict=True):
        measured.append(Row(subject, label, elapsed, unit="s", remark=remark))
        measured.append(Row(subject, f"{label}, over torch", elapsed / seconds[0], unit="time ratio"))
    return measured


def _resnet20(options: StudyOptions) -> Row:
    """Measures the accuracy of ResNet-20 with 8-bit codes through one multiplier by its product table: seconds.

    Level quick computes fewer images and multiplies, as its remark says.
    """
    try:
        images = load("cifar10", "test", source="full", folder=options.folder).images
        remark = "CIFAR-10 test set"
    except DataError:
        images = load("cifar10", "test").images.repeat(10, 1, 1, 1)
        remark = "embedded images ten times; fetch cifar10 for the test set"
    computed = 500 if options.level == "quick" else len(images)
    threads = min(2, default_threads())
    network = quantize(load_model("resnet20"), load("cifar10", "train").images[:200], scheme="uint8")
    network = approximate(network, _TABLED, layers="all", compute="table")
    products = sum(products_per_image(network, images).values())
    with torch_threads(threads):
        (seconds,) = best(1, time.perf_counter, partial(predict, network, images[:computed]))
    seconds *= len(images) / computed
    part = "" if computed == len(images) else f"{computed} of them computed; "
    speed = f"{products * len(images) / seconds:.3g} products/s"
    return Row(
        f"quantised ResNet-20, {len(images):,} images, {threads} threads",
        f"{_TABLED.label} by table",
        seconds,
        unit="s",
        remark=f"target: under 60 s; {part}{speed}; {remark}",
    )

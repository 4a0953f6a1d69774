"""DA table 6: accuracy of float32, approximate, DoReFa-quantised and bfloat16 networks on MNIST and CIFAR-10."""

from __future__ import annotations

from dataclasses import dataclass

from circuits import design
from circuits.support.statistics import wilson
from cnn_eval.measure.network_accuracy import AccuracyResult, base_network, load_test_images, network
from cnn_eval.models.inference import predict
from cnn_eval.models.quantization import Bfloat16
from cnn_eval.models.registry import weights_record
from cnn_eval.quantized.recovery import recover
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import verdict
from studies.rows.further_victims import ALL_LAYERS, RECOVERED, RECOVERY_IMAGES, training_images
from studies.rows.sampled_rows import loss_row

TITLE = "accuracy of float32, approximate, quantised and bfloat16 networks"
SOURCE = "DA table 6"
TOLERANCE = 0.1
PUBLISHED = {
    "lenet5": {"Float32": 97.93, "Approximate (DA)": 97.67, "Bfloat16": 97.93},
    "alexnet": {
        "Float32": 81.0,
        "Approximate (DA)": 80.0,
        "Fully quantized": 80.0,
        "Weight-only quantized": 80.0,
        "Bfloat16": 81.0,
    },
}
IMAGES = {"quick": {"lenet5": 2000, "alexnet": 200}, "default": {"lenet5": 2000, "alexnet": 1000}}
RECOVERED_REMARK = "a gain and a bias for each channel, from unlabelled training images; not in DA"
CLOSE = 1.0
"""Largest difference from the published loss of accuracy, in percentage points, that counts as reproduced."""
DIRECTION = 5.0
"""Largest difference, in percentage points, that counts as reproduced in direction."""


@dataclass(frozen=True)
class Subject:
    """A network in the table.

    `published` is the paper's name for it, if any. `design` computes its `layers`; None stands for torch. If
    `recovered`, gains and biases of its channels are corrected first. If `bfloat16`, the whole network is computed in
    torch's bfloat16.
    """

    label: str
    model: str
    published: str | None = None
    design: str | None = None
    layers: str = "conv"
    recovered: bool = False
    bfloat16: bool = False


def _subjects(model: str) -> list[Subject]:
    """Returns the networks measured for a model, the exact one first. All losses are relative to it."""
    designs = [
        Subject(f"{model} {name}", model, published, design=name)
        for name, published in (
            ("exact", "Float32"),
            ("heap", None),
            ("axfpm", "Approximate (DA)"),
            ("axfpm_tiled", "Approximate (DA)"),
            ("axfpm_released", "Approximate (DA)"),
            ("bfloat16", "Bfloat16"),
        )
    ]
    designs.append(
        Subject(f"{model} axfpm_released{ALL_LAYERS}", model, "Approximate (DA)", design="axfpm_released", layers="all")
    )
    designs += [
        Subject(f"{model} {name}{RECOVERED}", model, design=name, recovered=True)
        for name in ("axfpm", "axfpm_released")
    ]
    whole = [Subject(f"{model}, all of it in torch's bfloat16", model, "Bfloat16", bfloat16=True)]
    quantised = [
        Subject("DoReFa float twin", "dorefa_float"),
        Subject("DoReFa full, 4 bits", "dorefa_full", "Fully quantized"),
        Subject("DoReFa weight-only, 4 bits", "dorefa_weight", "Weight-only quantized"),
    ]
    return designs + whole + (quantised if model == "alexnet" else [])


def run(options: StudyOptions) -> StudyResult:
    """Measures the accuracy of all networks.

    Levels quick and default use embedded test images (200 and 1,000 of CIFAR-10), full both full test sets.
    """
    rows, losses = [], []
    for model, published in PUBLISHED.items():
        baseline: AccuracyResult | None = None
        for subject in _subjects(model):
            result = _measure(subject, model, options)
            baseline = baseline or result
            percent = 100 * result.accuracy
            published_accuracy = published.get(subject.published) if subject.published else None
            low, high = wilson(int(result.correct.sum()), result.correct.size)
            remark = RECOVERED_REMARK if subject.recovered else ""
            rows.append(
                Row(subject.label, "accuracy", percent, published_accuracy, (100 * low, 100 * high), "%", remark=remark)
            )
            if result is baseline:
                continue
            expected = None if published_accuracy is None else published_accuracy - published["Float32"]
            rows.append(loss_row(subject.label, result, baseline, expected))
            if expected is not None:
                losses.append((subject.label, -rows[-1].measured, -expected))
    far = [loss for loss in losses if abs(loss[1] - loss[2]) > CLOSE]
    worst = max((abs(ours - theirs) for _, ours, theirs in far), default=0.0)
    listed = "; ".join(f"{label} loses {ours:.2f}, published {theirs:.2f}" for label, ours, theirs in far)
    return StudyResult(
        rows,
        verdict(reproduced=not far, in_direction=worst <= DIRECTION),
        (f"more than {CLOSE:g} point from the published loss: {listed}" if far else "every loss is the published one")
        + f" (of {len(losses)} rows; each loss is from the exact network on the same images, so that our networks' own "
        "accuracy does not count). The networks are ours: DA gives no widths. heap is a reconstruction.",
        {
            "data": options.data,
            "images": IMAGES.get(options.level, "all"),
            "weights_sha256": {
                name: weights_record(name)["sha256"]
                for name in ("lenet5", "alexnet", "dorefa_float", "dorefa_full", "dorefa_weight")
            },
        },
    )


def _measure(subject: Subject, model: str, options: StudyOptions) -> AccuracyResult:
    """Measures the accuracy of one network on the test images of `model`."""
    images, labels = load_test_images(model=model, data=options.data, folder=options.data_folder)
    if options.data == "embedded":
        # The embedded images are in file order rather than sorted by class, so the first ones are an unbiased sample.
        count = IMAGES[options.level][model]
        images, labels = images[:count], labels[:count]
    if subject.design is not None:
        computed = network(design(subject.design), model=subject.model, layers=subject.layers)
        if subject.recovered:
            computed = recover(computed, training_images(model)[: RECOVERY_IMAGES[options.level]])
    else:
        computed = base_network(subject.model)
        if subject.bfloat16:
            computed = Bfloat16(computed)
    return AccuracyResult((predict(computed, images) == labels).numpy())

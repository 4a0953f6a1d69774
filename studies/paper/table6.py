"""DA table 6: accuracy of float32, approximate, DoReFa-quantised and bfloat16 networks on MNIST and CIFAR-10."""

from __future__ import annotations

from dataclasses import dataclass

from circuits import design
from circuits.support.statistics import wilson
from cnn_eval.measure.network_accuracy import AccuracyResult, base_network, difference, load_test_images, network
from cnn_eval.models.inference import predict
from cnn_eval.models.quantization import Bfloat16
from cnn_eval.models.registry import weights_record
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import verdict

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
CLOSE = 1.0
"""Percentage points within which a loss of accuracy counts as the published one."""
DIRECTION = 5.0
"""Percentage points within which it counts as of the published size."""


@dataclass(frozen=True)
class Subject:
    """A row: the network, the paper's name for it if it has one, the design of its convolutions (None: torch)."""

    label: str
    model: str
    published: str | None = None
    design: str | None = None
    bfloat16: bool = False


def _subjects(model: str) -> list[Subject]:
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
    whole = [Subject(f"{model}, all of it in torch's bfloat16", model, "Bfloat16", bfloat16=True)]
    quantised = [
        Subject("DoReFa float twin", "dorefa_float"),
        Subject("DoReFa full, 4 bits", "dorefa_full", "Fully quantized"),
        Subject("DoReFa weight-only, 4 bits", "dorefa_weight", "Weight-only quantized"),
    ]
    return designs + whole + (quantised if model == "alexnet" else [])


def run(options: StudyOptions) -> StudyResult:
    """Quick and default on embedded test images (of CIFAR-10 200 and 1,000); full on both full test sets."""
    rows, losses = [], []
    for model, published in PUBLISHED.items():
        baseline: AccuracyResult | None = None
        for subject in _subjects(model):
            result = _measure(subject, model, options)
            baseline = baseline or result
            percent = 100 * result.accuracy
            number = published.get(subject.published) if subject.published else None
            low, high = wilson(int(result.correct.sum()), result.correct.size)
            moved, (least, most) = difference(result, baseline)
            remark = f"{100 * moved:+.2f} ({100 * least:+.2f} .. {100 * most:+.2f}) to {model} exact"
            rows.append(Row(subject.label, "accuracy", percent, number, (100 * low, 100 * high), "%", remark=remark))
            if number is not None and result is not baseline:
                losses.append((subject.label, -100 * moved, published["Float32"] - number))
    far = [entry for entry in losses if abs(entry[1] - entry[2]) > CLOSE]
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
    images, labels = load_test_images(model=model, data=options.data, folder=options.data_folder)
    if options.data == "embedded":
        # the embedded images are ordered by file, not by class: the first ones are as good as any
        count = IMAGES[options.level][model]
        images, labels = images[:count], labels[:count]
    if subject.design is not None:
        computed = network(design(subject.design), model=subject.model)
    else:
        computed = base_network(subject.model)
        if subject.bfloat16:
            computed = Bfloat16(computed)
    return AccuracyResult((predict(computed, images) == labels).numpy())

"""MobileNetV2 for ImageNet through other arithmetic: how far its answers agree with those of the float network.

Twenty pictures with known labels can be had from package registries, too few to measure an accuracy. So what is
measured is agreement with the float network on these pictures: of the most likely class, and of the 1,000 logits. All
52 convolutions, 17 of them depthwise, and the linear layer go through the design.

Scales of integers and gains and biases of `recover` are taken from one half of the pictures and measured on the other,
and the halves then change places: no picture is measured that anything was fitted to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from circuits import Design, design
from circuits.support.statistics import wilson
from cnn_eval.data.file_sets.imagenet_pictures import load_imagenet_pictures
from cnn_eval.layers.approximation import approximate
from cnn_eval.models.inference import logits
from cnn_eval.models.networks.mobilenet_v2 import pretrained
from cnn_eval.quantized.post_training import quantize
from cnn_eval.quantized.recovery import recover
from cnn_eval.support.verified_files import DataError
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "MobileNetV2 for ImageNet through other arithmetic: agreement with float on twenty pictures"
SOURCE = "our own study; weights of torchvision, pictures of Foolbox"
TOLERANCE = None
"""What it needs is not in the package, so that not every machine can run it."""

FLOAT_DESIGNS = ("bfloat16", "heap", "axfpm")
EXACT_INT8 = Design(topology="dadda", width=8, signed=True, format=None, name="int8 exact")
FETCH = "`python -m cnn_eval data fetch mobilenet_v2` and `... imagenet_pictures`"
_BATCH = 10
Tensor = torch.Tensor
Build = Callable[[Tensor], nn.Module]
"""A network from the pictures that something may be fitted to."""


def run(options: StudyOptions) -> StudyResult:
    """Measures all designs at every level, since it takes under a minute; nothing where the files are missing."""
    try:
        model, (images, labels) = pretrained(), load_imagenet_pictures()
    except DataError as error:
        reason = f"nothing was measured, because files are missing; fetch them with {FETCH} ({error})"
        return StudyResult([Row("pictures", "measured", 0, unit="count")], "measured", reason)
    in_float = logits(model, images, batch_size=_BATCH)
    right = int((in_float.argmax(1) == labels).sum())
    rows = [Row("pictures", "measured", len(images), unit="count")]
    rows.append(Row("float", "pictures whose label is the most likely class", right, unit="count"))
    told = []
    networks: dict[str, Build] = {EXACT_INT8.label: partial(_int8, model)}
    networks |= {name: partial(_through, model, name) for name in FLOAT_DESIGNS}
    for name, build in networks.items():
        plain = _agreement_rows(name, "without recovery", _outputs(build, images), in_float)
        recovered = _agreement_rows(name, "recovered", _outputs(_recovered(build), images), in_float)
        rows += plain + recovered
        told.append(f"{name} {plain[0].measured:.0f} and {recovered[0].measured:.0f} %")
    return StudyResult(
        rows,
        "measured",
        f"of {len(images)} pictures, without recovery and recovered, the most likely class is float's for "
        f"{'; '.join(told)}. These are agreements with float, which itself has {right} of {len(images)} right, and no "
        "accuracies.",
        {"layers": "all", "scheme": "int8", "fitted to": f"the other {len(images) // 2} pictures"},
    )


def _int8(model: nn.Module, fitted: Tensor) -> nn.Module:
    return approximate(quantize(model, fitted, scheme="int8"), EXACT_INT8, layers="all")


def _through(model: nn.Module, name: str, fitted: Tensor) -> nn.Module:
    return approximate(model, design(name), layers="all")


def _recovered(build: Build) -> Build:
    return lambda fitted: recover(build(fitted), fitted)


def _outputs(build: Build, images: Tensor) -> Tensor:
    """Logits [N, classes]; the network of each half is fitted to the other half."""
    even = torch.arange(len(images)) % 2 == 0
    outputs = torch.empty(0)
    for half in (even, ~even):
        found = logits(build(images[~half]), images[half], batch_size=_BATCH)
        if not len(outputs):
            outputs = found.new_empty(len(images), found.shape[1])
        outputs[half] = found
    return outputs


def _agreement_rows(name: str, how: str, outputs: Tensor, in_float: Tensor) -> list[Row]:
    """Agreement of the most likely class in per cent; of the logits, the mean over pictures of Pearson's correlation
    with float and of the root mean square difference, as a part of the spread of float's."""
    same = int((outputs.argmax(1) == in_float.argmax(1)).sum())
    low, high = wilson(same, len(outputs))
    ours, theirs = (each.double() - each.double().mean(1, keepdim=True) for each in (outputs, in_float))
    correlation = (ours * theirs).sum(1) / (ours.norm(dim=1) * theirs.norm(dim=1))
    difference = (outputs.double() - in_float.double()).norm(dim=1) / theirs.norm(dim=1)
    return [
        Row(
            name,
            f"most likely class as in float, {how}",
            100 * same / len(outputs),
            interval=(100 * low, 100 * high),
            unit="%",
        ),
        Row(name, f"correlation of logits with float's, {how}", float(correlation.mean())),
        Row(name, f"difference of logits over their spread, {how}", float(difference.mean()), unit="ratio"),
    ]

"""Quantised networks through 8-bit multipliers from very good to very bad: as they are, recovered, and retrained.

For every multiplier: the mean absolute error, the energy of all products of an image, and the accuracy of the quantised
network through it, without retraining, after `recover`, and after retraining the recovered network. What the field
reports is the pattern: multipliers whose networks answer at random come close to the exact one by retraining.

Unsigned multipliers multiply magnitudes (sign_magnitude). With affine codes (uint8) the term -z_w sum q_x stays exact
where a truncated product of a small activation vanishes: most activations then add a large constant error, which
neither recovery nor retraining takes away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from circuits import Design, cost_report, error_metrics
from circuits.designs import LIBRARY
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import AccuracyResult, difference
from cnn_eval.measure.sensitivities import products_per_image
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import has_committed_weights, load_model
from cnn_eval.quantized.post_training import quantize
from cnn_eval.quantized.recovery import recover
from cnn_eval.retraining.finetune_settings import FinetuneSettings
from cnn_eval.retraining.finetuning import finetune
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "quantised networks through 8-bit multipliers: as they are, recovered, retrained"
SOURCE = "our own study; the pattern of retraining: Appmult-aware retraining, DATE 2025, ResNet-18"
TOLERANCE = 0.05
"""Retrained weights depend on the last bits of gradients."""


def _integer(name: str, topology: str = "ripple_array", **fields: object) -> Design:
    return Design(topology=topology, width=8, format=None, name=name, **fields)  # type: ignore[arg-type]


MULTIPLIERS: tuple[Design, ...] = (
    LIBRARY["u8_mae0.037"],
    _integer("truncated, 7 columns", truncate_columns=7),
    LIBRARY["u8_mae0.43"],
    _integer("broken array, 2 rows, 8 columns", "broken_array", options={"horizontal": 2, "vertical": 8}),
    _integer("approximate Booth, 12 columns", "approximate_booth", signed=True, options={"encoder": "2", "p": 12}),
    _integer("truncated, 9 columns", truncate_columns=9),
    LIBRARY["u8_mae2.28"],
    _integer("truncated, 12 columns", truncate_columns=12),
    _integer("AMA4 array", placement="ama4"),
    _integer("AMA5 array", placement="ama5"),
)
"""From a mean absolute error of .04 % to one of 12 % of the range of products; the eighth one has 7.6 %."""
WORST_RETRAINED = "truncated, 12 columns"
"""The multiplier of 7 to 8 % MAE on which the pattern is tried."""


@dataclass(frozen=True)
class _Size:
    """What a level runs. `retrained`: network -> names of the multipliers to retrain through."""

    retrained: Mapping[str, tuple[str, ...]]
    test_images: int
    training_images: int
    epochs: int
    calibration_images: int = 200
    recovery_images: int = 100


_EVERY = tuple(design.label for design in MULTIPLIERS)
_THREE = ("u8_mae0.43", "truncated, 9 columns", WORST_RETRAINED)
_SIZES = MappingProxyType(
    {
        "quick": _Size({"resnet8": (WORST_RETRAINED,)}, 100, 320, 1, 60, 40),
        "default": _Size({"resnet20": _EVERY}, 1000, 1000, 3),
        "full": _Size({"resnet20": _EVERY, "mobilenet_cifar": _THREE}, 10_000, 50_000, 3, 500, 200),
    }
)


@dataclass(frozen=True)
class _Images:
    test: torch.Tensor
    labels: torch.Tensor
    training: torch.Tensor
    training_labels: torch.Tensor


def run(options: StudyOptions) -> StudyResult:
    """Measures one network (level full: two) through all multipliers; see `_SIZES`."""
    size = _SIZES[options.level]
    images = _images(options, size)
    rows: list[Row] = []
    pattern = []
    missing = [name for name in size.retrained if not has_committed_weights(name)]
    for name, retrained in size.retrained.items():
        if name not in missing:
            found, told = _network_rows(name, retrained, images, size)
            rows += found
            pattern += told
    without = f" Not measured, because they have no weights yet: {', '.join(missing)}." if missing else ""
    return StudyResult(
        rows,
        "measured",
        " ".join(pattern) + without,
        {
            "test images": size.test_images,
            "training images": size.training_images,
            "epochs": size.epochs,
            "calibration images": size.calibration_images,
            "images to recover from": size.recovery_images,
            "learning rate": _settings("", size).learning_rate,
        },
    )


def _scheme(design: Design) -> str:
    return "int8" if design.signed else "sign_magnitude"


def _images(options: StudyOptions, size: _Size) -> _Images:
    train, test = (
        load("cifar10", split, source=options.data, folder=options.data_folder) for split in ("train", "test")
    )
    some, few = slice(size.test_images), slice(size.training_images)
    return _Images(test.images[some], test.labels[some], train.images[few], train.labels[few])


def _settings(name: str, size: _Size) -> FinetuneSettings:
    return FinetuneSettings(
        model=name,
        epochs=size.epochs,
        batch_size=32,
        learning_rate=1e-3,
        crop=4,
        mirror=True,
        threads=torch.get_num_threads(),
    )


def _network_rows(name: str, retrained: tuple[str, ...], images: _Images, size: _Size) -> tuple[list[Row], list[str]]:
    """The rows of one network, and sentences on what retraining did."""
    model = load_model(name)
    in_float = _measured(model, images)
    rows = [_accuracy(f"{name}, float", "accuracy", in_float)]
    products = sum(products_per_image(model, images.test).values())
    exact: dict[str, tuple[nn.Module, AccuracyResult]] = {}
    for scheme in dict.fromkeys(map(_scheme, MULTIPLIERS)):
        quantized = quantize(model, images.training[: size.calibration_images], scheme=scheme)
        exact[scheme] = quantized, _measured(quantized, images)
        rows.append(_accuracy(f"{name}, exact {scheme}", "accuracy", exact[scheme][1]))
        rows.append(_difference(f"{name}, exact {scheme}", "accuracy less float", exact[scheme][1], in_float))
    told = []
    for design in MULTIPLIERS:
        quantized, baseline = exact[_scheme(design)]
        subject = f"{name}, {design.label}"
        rows += _cost_and_error(subject, design, products)
        network = approximate(quantized, design, layers="all")
        recovered = recover(network, images.training[: size.recovery_images])
        stages = {"without retraining": network, "recovered": recovered}
        if design.label in retrained:
            stages["retrained"] = finetune(recovered, images.training, images.training_labels, _settings(name, size))
        measured = {stage: _measured(each, images) for stage, each in stages.items()}
        for stage, result in measured.items():
            rows.append(_accuracy(subject, f"accuracy, {stage}", result))
            rows.append(_difference(subject, f"less exact, {stage}", result, baseline))
        if "retrained" in measured:
            before, after = (100 * measured[stage].accuracy for stage in ("without retraining", "retrained"))
            told.append(f"{subject}: {before:.1f} % -> {after:.1f} % by retraining.")
    return rows, told


def _measured(model: nn.Module, images: _Images) -> AccuracyResult:
    return AccuracyResult((predict(model, images.test) == images.labels).numpy())


def _cost_and_error(subject: str, design: Design, products: int) -> list[Row]:
    """MAE in per cent of the range of products, and the energy of `products` products."""
    error = 100 * error_metrics(design).med.value / 2.0 ** sum(design.shape)
    energy = cost_report(design).drawn.energy * products
    return [
        Row(subject, "MAE", error, unit="%"),
        Row(subject, "energy of all products an image", energy * 1e-9, unit="uJ", remark=f"{products:,} products"),
    ]


def _accuracy(subject: str, quantity: str, result: AccuracyResult) -> Row:
    low, high = result.interval
    return Row(subject, quantity, 100 * result.accuracy, interval=(100 * low, 100 * high), unit="%")


def _difference(subject: str, quantity: str, result: AccuracyResult, baseline: AccuracyResult) -> Row:
    """Paired difference in percentage points."""
    moved, (low, high) = difference(result, baseline)
    return Row(subject, quantity, 100 * moved, interval=(100 * low, 100 * high), unit="pp")

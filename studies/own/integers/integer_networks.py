"""Quantised networks through 8-bit multipliers from very good to very bad: as they are, recovered, and retrained.

For every multiplier: the mean absolute error, the energy of all products of an image, and the accuracy of the quantised
network through it, without retraining, after `recover`, and after retraining the recovered network. What the field
reports is the pattern: multipliers whose networks answer at random come close to the exact one by retraining.

Unsigned multipliers multiply magnitudes (sign_magnitude), and for comparison affine codes (uint8). There the term
-z_w sum q_x stays exact where a truncated product of a small activation vanishes, so that most activations add a large
constant error.

Level default retrains on the full training images where they have been fetched, else on the embedded ones, and takes
longer than other studies: an hour of one core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn

from circuits import Design
from circuits.designs import LIBRARY
from cnn_eval.data.loading import LabelledImages, load
from cnn_eval.models.registry import has_committed_weights
from cnn_eval.retraining.finetune_settings import FinetuneSettings
from cnn_eval.retraining.finetuning import finetune
from cnn_eval.support.verified_files import DataError
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows.quantized_rows import AS_IT_IS, RECOVERED, RETRAINED, NetworkImages, QuantizedRows, stages

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
AFFINE_RETRAINED = "truncated, 9 columns"
"""The multiplier that tells whether retraining helps affine codes too."""


@dataclass(frozen=True)
class _Size:
    """What a level runs. `retrained`: network -> names of the multipliers to retrain through; `affine`: those that are
    retrained with affine codes too."""

    retrained: Mapping[str, tuple[str, ...]]
    test_images: int
    training_images: int
    epochs: int
    calibration_images: int = 200
    recovery_images: int = 100
    batch_size: int = 64
    affine: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_EVERY = tuple(design.label for design in MULTIPLIERS)
_EIGHT = tuple(name for name in _EVERY if name not in ("u8_mae0.037", "truncated, 7 columns"))
"""Without the two that lose next to nothing as they are."""
_THREE = ("u8_mae0.43", "truncated, 9 columns", WORST_RETRAINED)
_SIZES = MappingProxyType(
    {
        "quick": _Size({"resnet8": (WORST_RETRAINED,)}, 100, 320, 1, 60, 40, 32),
        "default": _Size(
            {"resnet20": _EIGHT, "mobilenet_cifar": _THREE}, 1000, 9600, 2, affine={"resnet20": (AFFINE_RETRAINED,)}
        ),
        "full": _Size(
            {"resnet20": _EVERY, "mobilenet_cifar": _THREE}, 10_000, 50_000, 3, 500, 200, affine={"resnet20": _THREE}
        ),
    }
)
_MAGNITUDES, _AFFINE = "sign_magnitude", "uint8"
"""The schemes of unsigned multipliers."""
_Source = Literal["embedded", "full"]


def run(options: StudyOptions) -> StudyResult:
    """Measures one network (levels default and full: two) through all multipliers; see `_SIZES`."""
    size = _SIZES[options.level]
    images, source = _images(options, size)
    missing = [name for name in size.retrained if not has_committed_weights(name)]
    rows: list[Row] = []
    told: list[str] = []
    for name in size.retrained:
        if name not in missing:
            found, pattern = _network_rows(name, images, size, options)
            rows += found
            told += pattern
    if missing:
        told.append(f"Not measured, because they have no weights yet: {', '.join(missing)}.")
    return StudyResult(
        rows,
        "measured",
        " ".join(told),
        {
            "test images": len(images.labels),
            "training images": f"{len(images.training)} ({source})",
            "epochs": size.epochs,
            "batch size": size.batch_size,
            "calibration images": size.calibration_images,
            "images to recover from": size.recovery_images,
            "learning rate": _settings("", size).learning_rate,
        },
    )


def _images(options: StudyOptions, size: _Size) -> tuple[NetworkImages, _Source]:
    """(images of the level, the set that the training images are from)."""
    test = load("cifar10", "test", source=options.data, folder=options.data_folder)
    train, source = _training_images(options)
    some, few = slice(size.test_images), slice(size.training_images)
    images = NetworkImages(
        test.images[some],
        test.labels[some],
        train.images[few],
        train.labels[few],
        size.calibration_images,
        size.recovery_images,
    )
    return images, source


def _training_images(options: StudyOptions) -> tuple[LabelledImages, _Source]:
    if options.level == "default":
        try:
            return load("cifar10", "train", source="full", folder=options.folder), "full"
        except DataError:
            return load("cifar10", "train"), "embedded"
    return load("cifar10", "train", source=options.data, folder=options.data_folder), options.data


def _settings(name: str, size: _Size) -> FinetuneSettings:
    # After 50 steps resnet20 through u8_mae2.28, at 75 % once recovered, has 82 % at a learning rate of 1e-4, 77 % at
    # 3e-4 and 10 % at 1e-3; through 12 truncated columns, at 11 %, it has 17 % at 1e-4 and 35 % at 3e-4.
    return FinetuneSettings(
        model=name,
        epochs=size.epochs,
        batch_size=size.batch_size,
        learning_rate=3e-4,
        crop=4,
        mirror=True,
        threads=torch.get_num_threads(),
    )


def _network_rows(name: str, images: NetworkImages, size: _Size, options: StudyOptions) -> tuple[list[Row], list[str]]:
    """The rows of one network, part by part, and sentences on what recovery and retraining did."""
    measured = QuantizedRows(name, images)

    def retrain(network: nn.Module) -> nn.Module:
        return finetune(network, images.training, images.training_labels, _settings(name, size))

    rows = options.part(f"{name}, exact", partial(measured.exact_rows, _SCHEMES))
    told, lost_by_affine = [], []
    for design in MULTIPLIERS:
        subject = f"{name}, {design.label}"
        rows += options.part(f"{subject}, errors and energy", partial(measured.design_rows, design))
        accuracies = {}
        for scheme in _schemes(design):
            label, through = "", size.retrained[name]
            if scheme == _AFFINE:
                label, through = f"{scheme}, ", size.affine.get(name, ())
            measure = partial(
                measured.accuracy_rows,
                design,
                scheme,
                retrain=retrain if design.label in through else None,
                label=label,
            )
            found = options.part(f"{subject}, {scheme}", measure)
            rows += found
            accuracies[scheme] = stages(found, label)
            told += _told(", ".join([subject, *([scheme] if label else [])]), accuracies[scheme])
        if _AFFINE in accuracies:
            lost_by_affine.append(accuracies[_MAGNITUDES][AS_IT_IS] - accuracies[_AFFINE][AS_IT_IS])
    return rows, [*told, *_told_of_affine(name, lost_by_affine)]


def _schemes(design: Design) -> tuple[str, ...]:
    return ("int8",) if design.signed else (_MAGNITUDES, _AFFINE)


_SCHEMES = list(dict.fromkeys(scheme for design in MULTIPLIERS for scheme in _schemes(design)))


def _told(subject: str, accuracies: Mapping[str, float]) -> list[str]:
    if RETRAINED not in accuracies:
        return []
    before, recovered, after = (accuracies[stage] for stage in (AS_IT_IS, RECOVERED, RETRAINED))
    return [f"{subject}: {before:.1f} % -> {recovered:.1f} % by recovery -> {after:.1f} % by retraining."]


def _told_of_affine(name: str, lost: Sequence[float]) -> list[str]:
    """A sentence on how many points affine codes lose to magnitudes, as the networks are."""
    if not lost:
        return []
    worse = sum(points > 0 for points in lost)
    return [
        f"{name} without retraining: affine codes ({_AFFINE}) are worse than magnitudes through {worse} of {len(lost)} "
        f"unsigned multipliers, by up to {max(lost):.0f} points."
    ]

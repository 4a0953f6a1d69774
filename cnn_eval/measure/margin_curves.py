"""Margins: how many adversarial examples transfer, by how far past the decision boundary they were crafted.

Every attack is run on the exact network in mode "minimum", which ends just past its boundary. What carries an example
further is C&W's confidence kappa, DeepFool's overshoot, or a factor on the perturbation that FGSM or PGD found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from circuits.errors import unknown_name
from circuits.support.statistics import wilson
from cnn_eval.attacks import attack
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.examples.example_cache import craft
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.success import judge

__all__ = ["CURVES", "PUBLISHED", "Curve", "MarginPoint", "measure_margins"]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What is varied: `parameter` of the attack, or the perturbation's length where that is None; ascending `values`,
    the first of them what the attack does by itself."""

    title: str
    knob: str
    parameter: str | None
    values: tuple[float, ...]


_FACTORS = (1.0, 1.05, 1.1, 1.2, 1.5, 2.0)
CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "cw": Curve(
            title="C&W L2", knob="confidence κ, logits", parameter="confidence", values=(0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
        ),
        "deepfool": Curve(
            title="DeepFool", knob="overshoot", parameter="overshoot", values=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
        ),
        "fgsm": Curve(title="FGSM, smallest budget", knob="factor on the budget", parameter=None, values=_FACTORS),
        "pgd": Curve(title="PGD, smallest budget", knob="factor on the budget", parameter=None, values=_FACTORS),
    }
)
PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "Ax-FPM": {"fgsm": 12, "pgd": 28, "cw": 1, "deepfool": 17},
        "HEAP": {"fgsm": 16, "pgd": 30, "cw": 6, "deepfool": 18},
    }
)
"""Multiplier -> attack -> transfer rate in percent, LeNet-5 on MNIST: DA tables 2 and 10. They do not say how far past
the boundary their examples lie; with the attacks' default settings it would be the first value of each curve."""


@dataclass(frozen=True)
class MarginPoint:
    """`fooled` of `eligible` examples, those whose clean image both networks classify rightly and that fool the exact
    network, crafted with `value` of the curve `attack`, fool `subject`; `median_l2`: of the eligible perturbations."""

    attack: str
    value: float
    subject: str
    fooled: int
    eligible: int
    median_l2: float | None

    @property
    def rate(self) -> float | None:
        """Transfer rate; None where none is eligible."""
        return self.fooled / self.eligible if self.eligible else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `rate`."""
        return wilson(self.fooled, self.eligible)


def measure_margins(
    source: nn.Module,
    victims: Mapping[str, nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    attacks: Sequence[str] = tuple(CURVES),
    values: Mapping[str, Sequence[float]] = MappingProxyType({}),
    hyperparameters: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    cache: Path | None = None,
    progress: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[MarginPoint]:
    """For every attack, value and victim the transfer rate of examples crafted on `source`.

    `images`: float32 [N, C, H, W] in [0, 1] with true `labels`, int64 [N]. `values`: attack -> the values to measure,
    by default those of its curve; `hyperparameters`: attack -> what differs from the attack's defaults. `cache`: folder
    of crafted examples (see `craft`); `note` hears of damaged entries. Raises UnknownNameError for an unknown attack;
    ValueError where the source or a victim classifies no image rightly and where nothing that was crafted fools the
    source.
    """
    for name in attacks:
        if name not in CURVES:
            raise unknown_name("attack", name, CURVES)
    check_images(images)
    check_labels(labels, len(images))
    for name, network in {"the exact network": source, **victims}.items():
        if not bool((predict(network, images) == labels).any()):
            raise ValueError(
                f"every network must classify some of the {len(images)} images rightly, but {name} does none; check "
                "its weights and the images."
            )
    return list(
        chain.from_iterable(
            _curve(
                name,
                values.get(name, CURVES[name].values),
                source,
                victims,
                images,
                labels,
                hyperparameters.get(name, {}),
                cache,
                progress,
                note,
            )
            for name in dict.fromkeys(attacks)
        )
    )


def _curve(
    name: str,
    values: Sequence[float],
    source: nn.Module,
    victims: Mapping[str, nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    hyperparameters: Mapping[str, Any],
    cache: Path | None,
    progress: bool,
    note: Callable[[str], None],
) -> list[MarginPoint]:
    curve = CURVES[name]
    clean = predict(source, images)

    def crafted(**more: float) -> torch.Tensor:
        made = attack(name, **{**hyperparameters, **more})
        what = "".join(f", {key} {value:g}" for key, value in more.items())
        found = craft(
            source, made, images, labels, mode="minimum", cache=cache, title=f"{name}{what}" if progress else None
        )
        if found.damage:
            note(f"{found.damage} It was crafted again.")
        return found.adversarial

    points = []
    smallest = crafted() if curve.parameter is None else images
    for value in values:
        if curve.parameter is None:
            adversarial = (images + value * (smallest - images)).clamp(0, 1)
        else:
            adversarial = crafted(**{curve.parameter: value})
        classes = predict(source, adversarial)
        if not bool(((clean == labels) & (classes != labels)).any()):
            raise ValueError(
                f"{name} must fool the exact network at least once, but does on none of {len(images)} images; give "
                "other images or a stronger setting."
            )
        for subject, victim in victims.items():
            outcome = judge(victim, images, adversarial, labels, source_clean=clean, source_adversarial=classes)
            sizes = outcome.noise["l2"][outcome.eligible]
            count = int(outcome.eligible.sum())
            median = float(sizes.median()) if count else None
            points.append(MarginPoint(name, value, subject, outcome.fooled, count, median))
    return points

"""Margin curves: the transfer rate of adversarial examples over how far past the decision boundary they lie.

Every attack runs on the exact network in mode "minimum" and stops just past its decision boundary. Another network's
boundary lies a little further or nearer, so such an example transfers by chance. Three parameters push an example
further past the boundary: the confidence kappa of C&W, which demands

    best wrong logit - logit of the true class >= kappa,

the overshoot eta of DeepFool, which takes (1 + eta) times the step to the boundary, and for FGSM and PGD a factor on
the smallest perturbation that succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from circuits.errors import unknown_name
from circuits.support.statistics import wilson
from cnn_eval.attacks.attack_registry import attack
from cnn_eval.attacks.shared.primitives import scale_perturbation
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.examples.example_cache import craft
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.success import judge

__all__ = ["CURVES", "PUBLISHED", "Curve", "MarginPoint", "measure_margins"]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What is varied for one attack: `parameter` of the attack, or a factor on the perturbation where that is None.

    `values` are ascending; the first is the attack's own default. `axis_label` names what is varied, for plots.
    """

    title: str
    axis_label: str
    parameter: str | None
    values: tuple[float, ...]


_FACTORS = (1.0, 1.05, 1.1, 1.2, 1.5, 2.0)
CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "cw": Curve(
            title="C&W L2",
            axis_label="confidence κ, logits",
            parameter="confidence",
            values=(0.0, 0.5, 1.0, 2.0, 5.0, 10.0),
        ),
        "deepfool": Curve(
            title="DeepFool", axis_label="overshoot", parameter="overshoot", values=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
        ),
        "fgsm": Curve(
            title="FGSM, smallest budget", axis_label="factor on the budget", parameter=None, values=_FACTORS
        ),
        "pgd": Curve(title="PGD, smallest budget", axis_label="factor on the budget", parameter=None, values=_FACTORS),
    }
)
PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "Ax-FPM": {"fgsm": 12, "pgd": 28, "cw": 1, "deepfool": 17},
        "HEAP": {"fgsm": 16, "pgd": 30, "cw": 6, "deepfool": 18},
    }
)
"""Multiplier -> attack -> published transfer rate in percent, LeNet-5 on MNIST: DA tables 2 and 10. DA does not say how
far past the boundary its examples lie; with the attacks' default settings it is the first value of each curve."""


@dataclass(frozen=True)
class MarginPoint:
    """Transfer of the examples that `attack` crafted with `value` of its curve, to the network named `victim`.

    `fooled` of `eligible` examples fool the victim. Eligible are those whose clean image both networks classify
    correctly and that fool the exact network; `median_l2` is the median L2 norm of their perturbations.
    """

    attack: str
    value: float
    victim: str
    fooled: int
    eligible: int
    median_l2: float | None

    @property
    def rate(self) -> float | None:
        """Transfer rate; None if no example is eligible."""
        return self.fooled / self.eligible if self.eligible else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `rate`."""
        return wilson(self.fooled, self.eligible)


@dataclass(frozen=True)
class _Problem:
    """What all curves share: the networks, the images, and where crafted examples are kept."""

    source: nn.Module
    victims: Mapping[str, nn.Module]
    images: torch.Tensor
    labels: torch.Tensor
    cache: Path | None
    progress: bool
    note: Callable[[str], None]
    keep: Callable[[str, float, torch.Tensor], None]


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
    keep: Callable[[str, float, torch.Tensor], None] = lambda name, value, adversarial: None,
) -> list[MarginPoint]:
    """The transfer rate of examples crafted on `source`, for every attack, value and victim.

    `images`: float32 [N, C, H, W] in [0, 1] with true `labels`, int64 [N]. `victims`: name -> network under attack.
    `values`: attack -> values to measure, by default those of its curve. `hyperparameters`: attack -> deviations from
    the attack's defaults. `cache`: folder of crafted examples (see `craft`); `note` receives a message about each
    damaged file in it; `keep` the examples of every attack and value, float32 [N, C, H, W]. Raises
    UnknownNameError for an unknown attack; ValueError if the source or a victim classifies no image correctly, or if
    no crafted example fools the source.
    """
    for name in attacks:
        if name not in CURVES:
            raise unknown_name("attack", name, CURVES)
    check_images(images)
    check_labels(labels, len(images))
    for name, network in {"the exact network": source, **victims}.items():
        if not bool((predict(network, images) == labels).any()):
            raise ValueError(
                f"every network must classify some of the {len(images)} images correctly, but {name} classifies none; "
                "check its weights and the images."
            )
    problem = _Problem(source, victims, images, labels, cache, progress, note, keep)
    points = []
    for name in dict.fromkeys(attacks):
        curve_values = values.get(name, CURVES[name].values)
        points += _curve_points(problem, name, curve_values, hyperparameters.get(name, {}))
    return points


def _curve_points(
    problem: _Problem, name: str, values: Sequence[float], hyperparameters: Mapping[str, Any]
) -> list[MarginPoint]:
    """The points of the attack `name`, by value and victim."""
    images, labels = problem.images, problem.labels
    parameter = CURVES[name].parameter
    clean = predict(problem.source, images)
    smallest = _craft(problem, name, hyperparameters) if parameter is None else images
    points = []
    for value in values:
        if parameter is None:
            adversarial = scale_perturbation(images, smallest, value)
        else:
            adversarial = _craft(problem, name, hyperparameters, **{parameter: value})
        problem.keep(name, value, adversarial)
        classes = predict(problem.source, adversarial)
        if not bool(((clean == labels) & (classes != labels)).any()):
            raise ValueError(
                f"{name} must fool the exact network at least once, but does on none of {len(images)} images; give "
                "other images or a stronger setting."
            )
        for victim_name, victim in problem.victims.items():
            outcome = judge(victim, images, adversarial, labels, source_clean=clean, source_adversarial=classes)
            norms = outcome.noise["l2"][outcome.eligible]
            count = int(outcome.eligible.sum())
            median = float(norms.median()) if count else None
            points.append(MarginPoint(name, value, victim_name, outcome.fooled, count, median))
    return points


def _craft(problem: _Problem, name: str, hyperparameters: Mapping[str, Any], **varied: float) -> torch.Tensor:
    """Minimum-norm adversarial images from the attack `name`, with the `varied` parameter, perhaps from the cache."""
    setting = "".join(f", {key} {value:g}" for key, value in varied.items())
    crafted = craft(
        problem.source,
        attack(name, **{**hyperparameters, **varied}),
        problem.images,
        problem.labels,
        mode="minimum",
        cache=problem.cache,
        title=f"{name}{setting}" if problem.progress else None,
    )
    if crafted.damage:
        problem.note(f"{crafted.damage} It was crafted again.")
    return crafted.adversarial

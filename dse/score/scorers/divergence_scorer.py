"""Scorer `divergence`: how far the network's answers move, as a smooth stand-in for its loss of accuracy.

    divergence = mean over images of KL(p || q),   p, q = softmax of the logits with exact products and with the design

Few images change their class, so that a loss of accuracy says little on few images; their logits all move, and for
small errors the divergence grows with the square of the movement. It is measured only where it is asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from circuits.support.numbers import SIGNIFICANT
from dse.score.scorers.accuracy_scorer import answer_settings
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings
from dse.space.per_layer import Candidate

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["DIVERGENCE"]

_LEAST_IMAGES = 2
"""Images for which a standard error is defined."""


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    from cnn_eval.models.inference import logits
    from dse.score.networks.scored_networks import baseline_of, evaluation_images, through

    exact = _exact_logits(baseline_of(candidate, settings), settings)
    images = evaluation_images(settings)[0][: settings.images]
    each = divergences(exact, logits(through(candidate, settings), images))
    mean = float(each.mean())
    if len(each) < _LEAST_IMAGES:
        return {"divergence": mean}
    half = 1.96 * float(each.std()) / len(each) ** 0.5
    return {"divergence": mean, "divergence_low": max(0.0, mean - half), "divergence_high": mean + half}


@lru_cache(maxsize=4)
def _exact_logits(network: nn.Module, settings: ScoreSettings) -> torch.Tensor:
    from cnn_eval.models.inference import logits
    from dse.score.networks.scored_networks import evaluation_images

    return logits(network, evaluation_images(settings)[0][: settings.images])


def divergences(exact: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """KL divergence of each image's answer, in nats, float64 [N], from logits [N, classes]."""
    from torch.nn import functional

    own, other = (functional.log_softmax(values.double(), dim=1) for values in (exact, changed))
    # Rounding may leave a negative of the order of 1e-16.
    return (own.exp() * (own - other)).sum(dim=1).clamp(min=0)


DIVERGENCE = Scorer(
    name="divergence",
    version=1,
    cost="network",
    key="digest",
    columns=(
        Column(
            name="divergence",
            unit="nat",
            label="divergence of the network's answers from exact products",
            format=SIGNIFICANT,
            scale="log",
            heading="diverg.\nnat",
            note="divergence: mean Kullback-Leibler divergence of the network's answers from those of exact products.",
            best=0.0,
        ),
    ),
    settings=answer_settings,
    measure=_measure,
    is_asked_for=lambda settings: False,
    title=lambda settings: (
        "divergence",
        f"{settings.model}, answers to {settings.images:,} {settings.dataset} test images against exact products",
    ),
)

"""Scorer `accuracy`: accuracy of the network with the design in its convolutions, and the loss against exact products.

Integer designs are scored in the quantised network, and lose against that network with exact products.

Details: images (number), images_lost (right with exact products, wrong with the design) and images_gained.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from circuits.designs.named_designs import design
from circuits.support.statistics import paired_difference_interval
from dse.score.scorers.evaluation_data import integer_networks, network_settings, record_digest
from dse.score.scorers.scorer import Column, ComparisonLine, Scorer, Scores, ScoreSettings, interval_text, plain_text
from dse.space.per_layer import Candidate, for_network

if TYPE_CHECKING:
    from torch import nn

    from cnn_eval.measure.network_accuracy import AccuracyResult

__all__ = ["ACCURACY"]

_NOTE = (
    "accuracy: {model} on {images:,} {dataset} test images; loss: percentage points against exact products on the same "
    "images."
)


def _loss_interval(name: str, scores: Scores) -> tuple[float, float] | None:
    """The interval for paired samples: both networks saw the same images."""
    if "images_lost" not in scores:
        return None
    lost, gained, images = (int(scores[key]) for key in ("images_lost", "images_gained", "images"))
    low, high = paired_difference_interval(lost, gained, images)
    return 100 * low, 100 * high


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    return {
        **network_settings(settings),
        "images": settings.images,
        "data": record_digest("datasets", settings.dataset),
        "baseline": design("exact").digest,
    }


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    result = _evaluate(candidate, settings)
    networks = integer_networks(candidate, settings)
    exact = (
        _evaluate_exact(settings)
        if networks is None
        else _evaluate_network(networks.exact(for_network(candidate)), settings)
    )
    low, high = result.interval
    return {
        "accuracy": 100 * result.accuracy,
        "accuracy_low": 100 * low,
        "accuracy_high": 100 * high,
        "accuracy_loss": 100 * float(int(exact.correct.sum()) - int(result.correct.sum())) / result.correct.size,
        "images": float(result.correct.size),
        "images_lost": float((exact.correct & ~result.correct).sum()),
        "images_gained": float((~exact.correct & result.correct).sum()),
    }


def _evaluate(candidate: Candidate, settings: ScoreSettings) -> AccuracyResult:
    from cnn_eval.measure.network_accuracy import evaluate
    from cnn_eval.models.registry import model_entry

    assert model_entry(settings.model).dataset == settings.dataset
    networks = integer_networks(candidate, settings)
    if networks is not None:
        return _evaluate_network(networks.through(for_network(candidate)), settings)
    return evaluate(
        for_network(candidate), model=settings.model, data="embedded", samples=settings.images, layers="conv"
    )


def _evaluate_network(network: nn.Module, settings: ScoreSettings) -> AccuracyResult:
    from cnn_eval import load_images, measure_accuracy

    images, labels = load_images(settings.dataset, samples=settings.images)
    return measure_accuracy(network, images=images, labels=labels)


@lru_cache(maxsize=4)
def _evaluate_exact(settings: ScoreSettings) -> AccuracyResult:
    return _evaluate(design("exact"), settings)


def _comparison(settings: ScoreSettings) -> list[ComparisonLine]:
    return [
        ComparisonLine("accuracy, %", interval_text("accuracy", ".2f")),
        ComparisonLine("loss against exact, pp", plain_text("accuracy_loss", ".2f")),
        ComparisonLine(
            "images lost / gained",
            lambda scores: f"{scores['images_lost']:.0f} / {scores['images_gained']:.0f}",
        ),
    ]


ACCURACY = Scorer(
    name="accuracy",
    version=1,
    cost="network",
    key="digest",
    columns=(
        Column(
            name="accuracy",
            unit="%",
            label="accuracy",
            format=".2f",
            minimise=False,
            heading="accuracy\n%",
            note=_NOTE,
        ),
        Column(
            name="accuracy_loss",
            unit="pp",
            label="accuracy loss against exact products",
            format=".2f",
            scale="symlog",
            heading="loss\npp",
            note=_NOTE,
            interval=_loss_interval,
        ),
    ),
    settings=_settings,
    measure=_measure,
    title=lambda settings: (
        "accuracy",
        f"{settings.model}, {settings.images:,} {settings.dataset} test images (95 % interval)",
    ),
    comparison=_comparison,
)

"""Scorer `accuracy`: accuracy of the network with the design in its convolutions, and the loss against exact products.

Integer designs are scored in the quantised network, and lose against that network with exact products.

`accuracy_loss` is never negative, so that 0 is the best possible and a search can tell when no design does better; the
signed difference is `signed_loss`. Details: images (number), images_lost (right with exact products, wrong with the
design) and images_gained.

In a search the images that the exact network is least sure of come first, since a design loses those before others: a
design that would be dominated even were all the remaining images right is not measured on those.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.designs.named_designs import design
from circuits.support.statistics import paired_difference_interval, wilson
from dse.score.networks.network_keys import data_digest, network_settings
from dse.score.scorers.scorer import Column, ComparisonLine, Scorer, Scores, ScoreSettings, interval_text, plain_text
from dse.space.per_layer import Candidate

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ACCURACY"]

_VERSION = 2
_SCREEN_VERSION = 3
_SCREENS = (200, 600)
"""Numbers of images after which a search decides whether the remaining ones can matter."""
_NOTE = (
    "accuracy: {model} on {images:,} {dataset} test images; loss: percentage points against exact products on the same "
    "images, 0 where the design is better."
)


def _loss_interval(name: str, scores: Scores) -> tuple[float, float] | None:
    """The interval for paired samples: both networks saw the same images."""
    if "images_lost" not in scores:
        return None
    lost, gained, images = (int(scores[key]) for key in ("images_lost", "images_gained", "images"))
    low, high = paired_difference_interval(lost, gained, images)
    return 100 * low, 100 * high


def answer_settings(settings: ScoreSettings) -> dict[str, Any]:
    """What answers to the test images, compared with those of exact products, depend on."""
    return {
        **network_settings(settings),
        "images": settings.images,
        "data": data_digest(settings),
        "baseline": design("exact").digest,
    }


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    right = _answers(candidate, settings).first(settings.images)
    exact = _exact_answers(candidate, settings).first(settings.images)
    low, high = wilson(int(right.sum()), right.size)
    loss = 100 * float(int(exact.sum()) - int(right.sum())) / right.size
    return {
        "accuracy": 100 * float(right.mean()),
        "accuracy_low": 100 * low,
        "accuracy_high": 100 * high,
        "accuracy_loss": max(0.0, loss),
        "signed_loss": loss,
        "images": float(right.size),
        "images_lost": float((exact & ~right).sum()),
        "images_gained": float((~exact & right).sum()),
    }


@lru_cache(maxsize=8)
def _screens(settings: ScoreSettings) -> tuple[Scorer, ...]:
    """The accuracy on the hardest images alone; not where these are nearly all."""
    counts = [count for count in _SCREENS if 2 * count <= settings.images]
    return tuple(
        Scorer(
            name=f"accuracy_{count}",
            version=_SCREEN_VERSION,
            cost="network",
            key="digest",
            columns=(),
            settings=answer_settings,
            measure=partial(_measure_first, count=count),
            bounds=_bounds,
        )
        for count in counts
    )


def _measure_first(candidate: Candidate, settings: ScoreSettings, *, count: int) -> dict[str, float]:
    """How many of the hardest `count` images are right, and how many of all with exact products."""
    return {
        "images": float(settings.images),
        "images_seen": float(count),
        "images_right": float(_answers(candidate, settings).first(count).sum()),
        "images_right_exact": float(_exact_answers(candidate, settings).first(settings.images).sum()),
    }


def _bounds(screen: Scores) -> dict[str, float]:
    """The columns as they would be, were all the remaining images right."""
    images = screen["images"]
    right = screen["images_right"] + images - screen["images_seen"]
    loss = 100 * (screen["images_right_exact"] - right) / images
    return {"accuracy": 100 * right / images, "accuracy_loss": max(0.0, loss), "signed_loss": loss}


class _Answers:
    """Which images a network classifies correctly, computed as far as they are asked for, the hardest ones first.

    Always in the same batches, those that screens ask for: torch's own layers may sum in another order in others, and
    a score must not depend on how far a screen came before.
    """

    def __init__(self, network: nn.Module, settings: ScoreSettings, hardest: NDArray[np.int64]) -> None:
        from dse.score.networks.scored_networks import evaluation_images

        self._network = network
        images, labels = evaluation_images(settings)
        self._images, self._labels = images[hardest], labels[hardest]
        self._correct = np.zeros(0, dtype=bool)

    def first(self, count: int) -> NDArray[np.bool_]:
        """Of the first `count` images, bool [count]."""
        from cnn_eval.models.inference import predict

        while (done := len(self._correct)) < count:
            end = next((border for border in _SCREENS if border > done), len(self._images))
            images, labels = self._images[done:end], self._labels[done:end]
            self._correct = np.concatenate([self._correct, (predict(self._network, images) == labels).numpy()])
        return self._correct[:count]


# One design at a time is measured in a process, first by the screens and then in full: only the last one is kept.
@lru_cache(maxsize=1)
def _answers(candidate: Candidate, settings: ScoreSettings) -> _Answers:
    from dse.score.networks.scored_networks import baseline_of, through

    return _Answers(through(candidate, settings), settings, _hardest(baseline_of(candidate, settings), settings))


def _exact_answers(candidate: Candidate, settings: ScoreSettings) -> _Answers:
    """Those of the network that the candidate loses against."""
    from dse.score.networks.scored_networks import baseline_of

    return _answers_of_exact(baseline_of(candidate, settings), settings)


@lru_cache(maxsize=4)
def _answers_of_exact(network: nn.Module, settings: ScoreSettings) -> _Answers:
    return _Answers(network, settings, _hardest(network, settings))


@lru_cache(maxsize=4)
def _hardest(network: nn.Module, settings: ScoreSettings) -> NDArray[np.int64]:
    """The numbers of the images, those first for whose label the network with exact products has least margin."""
    from cnn_eval.models.inference import logits
    from dse.score.networks.scored_networks import evaluation_images

    images, labels = (values[: settings.images] for values in evaluation_images(settings))
    values = logits(network, images)
    own = values.gather(1, labels[:, None])
    others = values.scatter(1, labels[:, None], -np.inf).amax(1, keepdim=True)
    return np.argsort((own - others)[:, 0].numpy(), kind="stable")


def _comparison(settings: ScoreSettings) -> list[ComparisonLine]:
    return [
        ComparisonLine("accuracy, %", interval_text("accuracy", ".2f")),
        ComparisonLine("loss against exact, pp", plain_text("signed_loss", ".2f")),
        ComparisonLine(
            "images lost / gained",
            lambda scores: f"{scores['images_lost']:.0f} / {scores['images_gained']:.0f}",
        ),
    ]


ACCURACY = Scorer(
    name="accuracy",
    version=_VERSION,
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
            best=100.0,
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
            best=0.0,
        ),
        Column(
            name="signed_loss",
            unit="pp",
            label="accuracy loss, negative where the design is better",
            format=".2f",
            scale="symlog",
            in_table=False,
            interval=_loss_interval,
        ),
    ),
    settings=answer_settings,
    measure=_measure,
    screens=_screens,
    title=lambda settings: (
        "accuracy",
        f"{settings.model}, {settings.images:,} {settings.dataset} test images (95 % interval)",
    ),
    comparison=_comparison,
)

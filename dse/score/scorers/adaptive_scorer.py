"""Scorer `adaptive`: accuracy under a white-box attack that uses every gradient the design has."""

from __future__ import annotations

from typing import Any

from dse.score.networks.attack_images import attack_refusal, attacks_are_asked_for
from dse.score.networks.network_keys import data_digest, network_settings
from dse.score.scorers.scorer import Column, ComparisonLine, Scorer, ScoreSettings, interval_text
from dse.space.per_layer import Candidate

__all__ = ["ADAPTIVE"]

_NOTE = (
    "robust (adaptive_robustness): accuracy on the first {attack_images} test images under a white-box attack on this "
    "very network (PGD on the logit margin, Linf {attack_epsilon:g}, {attack_steps} steps, {attack_restarts} starts, "
    "with every gradient the design has)."
)


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    return {
        **network_settings(settings),
        "data": data_digest(settings),
        "images": settings.attack_images,
        "epsilon": settings.attack_epsilon,
        "steps": settings.attack_steps,
        "restarts": settings.attack_restarts,
        "seed": settings.seed,
    }


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    from cnn_eval.measure.robustness import AdaptiveAttack, adaptive_robustness
    from dse.score.networks.scored_networks import evaluation_images, networks_for, subject_of

    attack = AdaptiveAttack(
        epsilon=settings.attack_epsilon,
        steps=settings.attack_steps,
        restarts=settings.attack_restarts,
        seed=settings.seed,
    )
    subject, layers = subject_of(candidate, settings), settings.network.layers
    result = adaptive_robustness(
        subject,
        attack,
        model=networks_for(candidate, settings).exact(subject),
        samples=settings.attack_images,
        layers=layers if isinstance(layers, str) else "all",
        data=evaluation_images(settings),
    )
    low, high = result.interval
    return {
        "adaptive_robustness": 100 * result.accuracy,
        "adaptive_robustness_low": 100 * low,
        "adaptive_robustness_high": 100 * high,
        "adaptive_clean": 100 * float(result.clean.mean()),
        "adaptive_images": float(result.robust.size),
        "adaptive_gradients": float(len(result.gradients)),
    }


def _refusal(settings: ScoreSettings) -> str:
    if not settings.attack_images:
        return "there are no images to attack; give --attack-images"
    if settings.network.recover:
        return "the attack does not know recovered networks; leave out --recover"
    return attack_refusal(settings)


ADAPTIVE = Scorer(
    name="adaptive",
    version=1,
    cost="network",
    key="digest",
    columns=(
        Column(
            name="adaptive_robustness",
            unit="%",
            label="accuracy under adaptive attack",
            format=".1f",
            minimise=False,
            heading="robust\n%",
            note=_NOTE,
            best=100.0,
        ),
    ),
    settings=_settings,
    measure=_measure,
    is_asked_for=attacks_are_asked_for,
    refusal=_refusal,
    title=lambda settings: (
        "adaptive attack",
        f"the first {settings.attack_images} test images, white-box PGD on the logit margin, Linf "
        f"{settings.attack_epsilon:g}, {settings.attack_steps} steps, {settings.attack_restarts} starts, every "
        "gradient that the design has",
    ),
    comparison=lambda settings: [
        ComparisonLine("accuracy under attack, %", interval_text("adaptive_robustness", ".1f"))
    ],
)

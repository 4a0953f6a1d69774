"""Scorer `margin`: the transfer rate of the stored examples after their perturbations are scaled by a factor."""

from __future__ import annotations

from typing import Any

from dse.score.networks.attack_images import attacks_are_asked_for, example_refusal
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings
from dse.score.scorers.transfer_scorer import (
    NOTE,
    comparison_of,
    pooled_interval,
    transfer_results,
    transfer_scores,
    transfer_settings,
)
from dse.space.per_layer import Candidate

__all__ = ["MARGIN"]


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    return {**transfer_settings(settings), "factor": settings.margin}


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    return transfer_scores("margin", transfer_results(candidate, settings, settings.margin))


MARGIN = Scorer(
    name="margin",
    version=1,
    cost="network",
    key="digest",
    columns=(
        Column(
            name="margin_rate",
            unit="%",
            label="transfer rate at margin, all examples",
            format=".1f",
            heading="margin_rate",
            in_table=False,
            note=NOTE,
            best=0.0,
            interval=pooled_interval,
        ),
        Column(
            name="margin_pgd",
            unit="%",
            label="transfer rate at margin, PGD",
            format=".1f",
            heading="margin_pgd",
            in_table=False,
            note=NOTE,
            best=0.0,
        ),
        Column(
            name="margin_fgsm_smallest",
            unit="%",
            label="transfer rate at margin, smallest FGSM",
            format=".1f",
            heading="FGSM\nx1.2 %",
            note=NOTE,
            best=0.0,
        ),
    ),
    settings=_settings,
    measure=_measure,
    is_asked_for=attacks_are_asked_for,
    refusal=example_refusal,
    title=lambda settings: (
        "transfer at margin",
        f"the same with perturbations {settings.margin:g} times as large",
    ),
    comparison=comparison_of("margin"),
)

"""Scorer `transfer`: share of adversarial examples, made on the exact network, that also fool the design's.

The committed networks have stored examples; for another network they are crafted once and kept in the user's cache.
Details of each example set: its interval, and the counts fooled and eligible (examples that fool the exact network).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from circuits.support.statistics import wilson
from dse.score.networks.attack_images import attacks_are_asked_for, example_refusal, recipes
from dse.score.networks.network_keys import data_digest, has_stored_examples, network_settings, record_digest
from dse.score.scorers.scorer import Column, ComparisonLine, Scorer, Scores, ScoreSettings, interval_text
from dse.space.per_layer import Candidate

if TYPE_CHECKING:
    from cnn_eval.scenarios.transfer import TransferResult

__all__ = [
    "NOTE",
    "TRANSFER",
    "comparison_of",
    "pooled_interval",
    "transfer_results",
    "transfer_scores",
    "transfer_settings",
]

NOTE = (
    "PGD, FGSM (transfer): transfer rate, the share of stored adversarial examples made on the exact network that also "
    "fool this one; x{margin:g} (margin): with perturbations {margin:g} times as large."
)
"""One note for the rates of this scorer and of scorer `margin`."""


def pooled_interval(name: str, scores: Scores) -> tuple[float, float] | None:
    """Wilson's interval for a rate over several example sets, PREFIX_rate, from the counts of all sets PREFIX_*."""
    prefix = name.removesuffix("rate")
    sets = [key.removesuffix("_fooled") for key in scores if key.startswith(prefix) and key.endswith("_fooled")]
    if not sets:
        return None
    fooled, eligible = (int(sum(scores[f"{key}_{count}"] for key in sets)) for count in ("fooled", "eligible"))
    low, high = wilson(fooled, eligible)
    return 100 * low, 100 * high


def transfer_settings(settings: ScoreSettings) -> dict[str, Any]:
    """The settings that transfer rates depend on: the network and the example sets, or what they are crafted from."""
    if not has_stored_examples(settings):
        return {**network_settings(settings), "crafted": recipes(settings.examples), "data": data_digest(settings)}
    records = {name: record_digest("datasets", f"{settings.model}_{name}") for name in settings.examples}
    return {**network_settings(settings), "examples": records}


def transfer_scores(prefix: str, results: Mapping[str, TransferResult]) -> dict[str, float]:
    """The rate over all example sets, PREFIX_rate, and the rate, interval and counts of each, PREFIX_SET."""
    fooled = sum(result.fooled for result in results.values())
    eligible = sum(result.eligible for result in results.values())
    scores = {f"{prefix}_rate": _percent(fooled, eligible)}
    for name, result in results.items():
        low, high = result.interval
        scores[f"{prefix}_{name}"] = _percent(result.fooled, result.eligible)
        scores[f"{prefix}_{name}_low"], scores[f"{prefix}_{name}_high"] = 100 * low, 100 * high
        scores[f"{prefix}_{name}_fooled"] = float(result.fooled)
        scores[f"{prefix}_{name}_eligible"] = float(result.eligible)
    return scores


def _percent(count: int, whole: int) -> float:
    return 100 * count / whole if whole else math.nan


def comparison_of(prefix: str) -> Callable[[ScoreSettings], list[ComparisonLine]]:
    """The lines of a comparison, one for each example set: rate, interval and counts of PREFIX_SET."""

    def rate(key: str) -> Callable[[Scores], str]:
        percent = interval_text(key, ".1f")
        return lambda scores: f"{percent(scores)}\n{scores[f'{key}_fooled']:.0f} of {scores[f'{key}_eligible']:.0f}"

    return lambda settings: [ComparisonLine(name, rate(f"{prefix}_{name}")) for name in settings.examples]


def transfer_results(candidate: Candidate, settings: ScoreSettings, factor: float) -> Mapping[str, TransferResult]:
    """Example set -> how many of its examples fool the candidate's network, their perturbations scaled by `factor`."""
    from cnn_eval.measure.robustness import transfer_at_margin
    from cnn_eval.scenarios.transfer import measure_transfer
    from dse.score.networks.crafted_examples import crafted_transfer
    from dse.score.networks.scored_networks import through

    victim = through(candidate, settings)
    if not has_stored_examples(settings):
        return crafted_transfer(victim, settings, factor)
    if factor == 1:
        return measure_transfer(victim, examples=settings.examples, model=settings.model)
    return transfer_at_margin(victim, factor=factor, examples=settings.examples, model=settings.model)


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    return transfer_scores("transfer", transfer_results(candidate, settings, 1))


TRANSFER = Scorer(
    name="transfer",
    version=1,
    cost="network",
    key="digest",
    columns=(
        Column(
            name="transfer_rate",
            unit="%",
            label="transfer rate, all examples",
            format=".1f",
            heading="transfer_rate",
            in_table=False,
            note=NOTE,
            best=0.0,
            interval=pooled_interval,
        ),
        Column(name="transfer_pgd", unit="%", label="transfer rate, PGD", format=".1f", heading="PGD\n%", note=NOTE),
        Column(
            name="transfer_fgsm_smallest",
            unit="%",
            label="transfer rate, smallest FGSM",
            format=".1f",
            heading="FGSM\n%",
            note=NOTE,
            best=0.0,
        ),
    ),
    settings=transfer_settings,
    measure=_measure,
    is_asked_for=attacks_are_asked_for,
    refusal=example_refusal,
    title=lambda settings: (
        "transfer",
        "stored examples that fool the exact network and also this one, % (95 % interval)",
    ),
    comparison=comparison_of("transfer"),
)

"""Scorer `error`: NMED and MRED of the multiplier, by sampled operands uniform in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from circuits.designs.design_record import Design
from circuits.support.numbers import SIGNIFICANT
from dse.score.scorers.layer_scores import each_layer
from dse.score.scorers.scorer import Column, ComparisonLine, Scorer, ScoreSettings, interval_text, plain_text

__all__ = ["ERROR"]

_NOTE = "NMED, MRED: {samples:,} operand pairs uniform in [0, 1], of integers in their whole range."
_COLUMNS = (
    Column(name="nmed", unit="1", label="NMED", format=SIGNIFICANT, scale="log", heading="NMED", note=_NOTE),
    Column(name="mred", unit="1", label="MRED", format=SIGNIFICANT, scale="log", heading="MRED", note=_NOTE),
)


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    return {"samples": settings.samples, "seed": settings.seed, "distribution": "uniform01"}


def _measure(design: Design, settings: ScoreSettings) -> dict[str, float]:
    return dict(_errors(design, settings.samples, settings.seed))


# Designs for each layer are made of few circuits, which are measured once.
@lru_cache(maxsize=512)
def _errors(design: Design, samples: int, seed: int) -> dict[str, float]:
    from circuits.accuracy.measurement import error_metrics

    metrics = error_metrics(design, samples=samples, distribution="uniform01", seed=seed, threads=1)
    return {
        **{name: value for metric in ("nmed", "mred") for name, value in _estimate(metric, getattr(metrics, metric))},
        "larger": 100 * metrics.larger.value,
    }


def _estimate(name: str, estimate: Any) -> Iterable[tuple[str, float]]:
    return (name, estimate.value), (f"{name}_low", estimate.low), (f"{name}_high", estimate.high)


def _comparison(settings: ScoreSettings) -> list[ComparisonLine]:
    return [
        ComparisonLine("NMED (P_max = 1)", interval_text("nmed", SIGNIFICANT)),
        ComparisonLine("MRED", interval_text("mred", SIGNIFICANT)),
        ComparisonLine("larger than exact, %", plain_text("larger", ".2f")),
    ]


ERROR = Scorer(
    name="error",
    version=1,
    cost="cheap",
    key="digest",
    columns=_COLUMNS,
    settings=_settings,
    measure=each_layer(_measure, _COLUMNS),
    title=lambda settings: ("error", f"{settings.samples:,} operand pairs uniform in [0, 1] (95 % interval)"),
    comparison=_comparison,
)

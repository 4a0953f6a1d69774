"""The scorers: what can be measured of a design, in one table.

A scorer measures several columns at once, is keyed by the digest of what it depends on (behaviour, or behaviour and
cost data) and has a version, raised by hand whenever the same design and settings would give other numbers. A stored
score is found again by digest, scorer, version and the hash of the settings that the scorer declares.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import cnn_eval
from circuits.cost import AREA_UNIT, DELAY_UNIT, ENERGY_UNIT, technology
from circuits.cost.cells45 import TABLE as CELL_TABLE
from circuits.cost.characterize.gate_networks import TABLE as NETWORK_TABLE
from circuits.designs.design_record import Design
from circuits.designs.named_designs import design
from circuits.errors import DesignError, unknown_name
from circuits.support.numbers import SIGNIFICANT
from dse.space.per_layer import SUMMED, Subject, each_layer, for_network

if TYPE_CHECKING:
    from cnn_eval.measure.network_accuracy import AccuracyResult
    from cnn_eval.scenarios.transfer import TransferResult

__all__ = [
    "COLUMNS",
    "EMBEDDED_IMAGES",
    "SCORERS",
    "TECHNOLOGY",
    "Column",
    "Scorer",
    "Scores",
    "Settings",
    "columns_for",
    "objectives",
    "scorers_of",
]

Scores = Mapping[str, float]
"""Column or detail -> value; a detail is an interval bound or a count beside a column, as "nmed_low"."""

TECHNOLOGY = technology()
"""What costs are counted in, 45 nm; its note stands beside every cost shown."""
EMBEDDED_IMAGES = 2000
"""Test images that the package holds, the most that accuracy can be measured on."""
_EVALUATION_DATA = Path(cnn_eval.__file__).parent


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the scores of a run are measured with.

    `images`: test images of the embedded `dataset`, from the first, for the trained `model`; `examples`: stored
    adversarial example sets, all their examples, and `margin`: the factor of their perturbations for the transfer rate
    at margin; `attack_*`: images, Linf budget, steps and random starts of the adaptive attack; `samples`: operand pairs
    of the error metrics, `cost_samples`: of the cost model's switching activity, all drawn from `seed`.
    """

    model: str = "lenet5"
    dataset: str = "mnist"
    images: int = 2000
    examples: tuple[str, ...] = ("pgd", "fgsm_smallest")
    margin: float = 1.2
    attack_images: int = 100
    attack_epsilon: float = 0.1
    attack_steps: int = 20
    attack_restarts: int = 2
    samples: int = 100_000
    cost_samples: int = 2048
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Column:
    """A number that a scorer gives; smaller is better unless `minimise` is False.

    `unit` stands in every header; `format` says how tables print it (see `circuits.support.numbers.number`); `label` names
    axes, which are drawn to `scale`: "linear", "log", or "symlog" (linear up to 1, logarithmic beyond). `scope` says,
    where the number is not that of one multiplier, of what it is.
    """

    name: str
    unit: str
    label: str
    format: str
    minimise: bool = True
    scale: Literal["linear", "log", "symlog"] = "linear"
    scope: str = ""

    @property
    def header(self) -> str:
        """Name, scope and unit, e.g. "delay [ps]" or "area, sum of 2 layers [um^2]"."""
        return f"{self.name}{self.scoped} [{self.unit}]"

    @property
    def scoped(self) -> str:
        """The scope as it follows a name: ", sum of 2 layers", or nothing."""
        return f", {self.scope}" if self.scope else ""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """One measurement.

    `cost`: "cheap" (circuit alone) or "network". `key`: the digest that decides the result. `settings`: the JSON-ready
    settings that it depends on, checksums of weights and images included. `measure` gives all columns and details.
    """

    name: str
    version: int
    cost: Literal["cheap", "network"]
    key: Literal["digest", "cost_digest"]
    columns: tuple[Column, ...]
    settings: Callable[[Settings], dict[str, Any]]
    measure: Callable[[Subject, Settings], dict[str, float]]

    def settings_hash(self, settings: Settings) -> str:
        """SHA-256 (hex) of the settings that this scorer depends on; read once a process."""
        return _settings_hash(self, settings)


@lru_cache(maxsize=256)
def _settings_hash(scorer: Scorer, settings: Settings) -> str:
    return hashlib.sha256(json.dumps(scorer.settings(settings), sort_keys=True).encode()).hexdigest()


# ---- error


def _error_settings(settings: Settings) -> dict[str, Any]:
    return {"samples": settings.samples, "seed": settings.seed, "distribution": "uniform01"}


def _measure_error(design: Design, settings: Settings) -> dict[str, float]:
    from circuits.accuracy.measurement import error_metrics

    found = error_metrics(design, samples=settings.samples, distribution="uniform01", seed=settings.seed, threads=1)
    return {
        **{name: value for metric in ("nmed", "mred") for name, value in _estimate(metric, getattr(found, metric))},
        "larger": 100 * found.larger.value,
    }


def _estimate(name: str, estimate: Any) -> Iterable[tuple[str, float]]:
    return (name, estimate.value), (f"{name}_low", estimate.low), (f"{name}_high", estimate.high)


# ---- cost


def _cost_settings(settings: Settings) -> dict[str, Any]:
    return {"samples": settings.cost_samples, "seed": settings.seed, "technology": _technology_digest()}


@lru_cache(maxsize=1)
def _technology_digest() -> str:
    """SHA-256 (hex) of the characterised table and of the networks behind estimates."""
    digest = hashlib.sha256(TECHNOLOGY.name.encode())
    for path in (CELL_TABLE, NETWORK_TABLE):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _measure_cost(design: Design, settings: Settings) -> dict[str, float]:
    from circuits.cost.cost_model import BASELINES, cost_report

    found = cost_report(design, samples=settings.cost_samples, seed=settings.seed, technology=TECHNOLOGY)
    measures = ("energy", "delay", "area", "transistors")
    values = {name: float(found.value("drawn", name)) for name in measures}
    values |= {f"{name}_simplified": float(found.value("simplified", name)) for name in measures}
    for suffix, baseline in zip(("to_exact", "to_own_topology"), BASELINES, strict=True):
        values |= {f"{name}_{suffix}": found.ratio(name, baseline=baseline) for name in measures}
    return values


# ---- accuracy


def _network_settings(settings: Settings) -> dict[str, Any]:
    return {"model": settings.model, "weights": _record_digest("weights", settings.model), "layers": "conv"}


def _accuracy_settings(settings: Settings) -> dict[str, Any]:
    return {
        **_network_settings(settings),
        "images": settings.images,
        "data": _record_digest("datasets", settings.dataset),
        "baseline": design("exact").digest,
    }


def _record_digest(folder: str, name: str) -> str:
    """SHA-256 of the record beside a weights, image or example file; the record holds the file's own SHA-256.

    Read without cnn_eval's loaders, which load torch: a finished search prints its result without it.
    """
    return hashlib.sha256((_EVALUATION_DATA / folder / f"{name}.json").read_bytes()).hexdigest()


def _measure_accuracy(subject: Subject, settings: Settings) -> dict[str, float]:
    found = _evaluate(subject, settings)
    exact = _evaluate_exact(settings)
    low, high = found.interval
    return {
        "accuracy": 100 * found.accuracy,
        "accuracy_low": 100 * low,
        "accuracy_high": 100 * high,
        "accuracy_loss": 100 * float(int(exact.correct.sum()) - int(found.correct.sum())) / found.correct.size,
        "images": float(found.correct.size),
        "images_lost": float((exact.correct & ~found.correct).sum()),
        "images_gained": float((~exact.correct & found.correct).sum()),
    }


def _evaluate(subject: Subject, settings: Settings) -> AccuracyResult:
    from cnn_eval.measure.network_accuracy import evaluate
    from cnn_eval.models.registry import model_entry

    assert model_entry(settings.model).dataset == settings.dataset
    return evaluate(for_network(subject), model=settings.model, data="embedded", samples=settings.images, layers="conv")


@lru_cache(maxsize=4)
def _evaluate_exact(settings: Settings) -> AccuracyResult:
    return _evaluate(design("exact"), settings)


# ---- transfer


def _transfer_settings(settings: Settings) -> dict[str, Any]:
    records = {name: _record_digest("datasets", f"{settings.model}_{name}") for name in settings.examples}
    return {**_network_settings(settings), "examples": records}


def _measure_transfer(subject: Subject, settings: Settings) -> dict[str, float]:
    from cnn_eval.scenarios.transfer import measure_transfer

    return _transfer_columns(
        "transfer", measure_transfer(for_network(subject), examples=settings.examples, model=settings.model)
    )


def _margin_settings(settings: Settings) -> dict[str, Any]:
    return {**_transfer_settings(settings), "factor": settings.margin}


def _measure_margin(subject: Subject, settings: Settings) -> dict[str, float]:
    from cnn_eval.measure.robustness import transfer_at_margin

    found = transfer_at_margin(
        for_network(subject), factor=settings.margin, examples=settings.examples, model=settings.model
    )
    return _transfer_columns("margin", found)


def _transfer_columns(prefix: str, found: Mapping[str, TransferResult]) -> dict[str, float]:
    fooled = sum(result.fooled for result in found.values())
    eligible = sum(result.eligible for result in found.values())
    values = {f"{prefix}_rate": _percent(fooled, eligible)}
    for name, result in found.items():
        low, high = result.interval
        values[f"{prefix}_{name}"] = _percent(result.fooled, result.eligible)
        values[f"{prefix}_{name}_low"], values[f"{prefix}_{name}_high"] = 100 * low, 100 * high
        values[f"{prefix}_{name}_fooled"] = float(result.fooled)
        values[f"{prefix}_{name}_eligible"] = float(result.eligible)
    return values


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan


# ---- adaptive robustness


def _adaptive_settings(settings: Settings) -> dict[str, Any]:
    return {
        **_network_settings(settings),
        "data": _record_digest("datasets", settings.dataset),
        "images": settings.attack_images,
        "epsilon": settings.attack_epsilon,
        "steps": settings.attack_steps,
        "restarts": settings.attack_restarts,
        "seed": settings.seed,
    }


def _measure_adaptive(subject: Subject, settings: Settings) -> dict[str, float]:
    from cnn_eval.measure.robustness import AdaptiveAttack, adaptive_robustness

    attack = AdaptiveAttack(
        epsilon=settings.attack_epsilon,
        steps=settings.attack_steps,
        restarts=settings.attack_restarts,
        seed=settings.seed,
    )
    found = adaptive_robustness(for_network(subject), attack, model=settings.model, samples=settings.attack_images)
    low, high = found.interval
    return {
        "adaptive_robustness": 100 * found.accuracy,
        "adaptive_robustness_low": 100 * low,
        "adaptive_robustness_high": 100 * high,
        "adaptive_clean": 100 * float(found.clean.mean()),
        "adaptive_images": float(found.robust.size),
        "adaptive_gradients": float(len(found.gradients)),
    }


# ---- the table

SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {
        scorer.name: scorer
        for scorer in (
            Scorer(
                name="error",
                version=1,
                cost="cheap",
                key="digest",
                columns=(
                    Column(name="nmed", unit="1", label="NMED", format=SIGNIFICANT, scale="log"),
                    Column(name="mred", unit="1", label="MRED", format=SIGNIFICANT, scale="log"),
                ),
                settings=_error_settings,
                measure=each_layer(_measure_error),
            ),
            Scorer(
                name="cost",
                version=2,
                cost="cheap",
                key="cost_digest",
                columns=(
                    Column(name="energy", unit=ENERGY_UNIT, label="energy", format=SIGNIFICANT),
                    Column(name="delay", unit=DELAY_UNIT, label="delay", format=SIGNIFICANT),
                    Column(name="area", unit=AREA_UNIT, label="area as drawn", format=SIGNIFICANT),
                    Column(name="transistors", unit="count", label="transistors as drawn", format=SIGNIFICANT),
                ),
                settings=_cost_settings,
                measure=each_layer(_measure_cost),
            ),
            Scorer(
                name="accuracy",
                version=1,
                cost="network",
                key="digest",
                columns=(
                    Column(name="accuracy", unit="%", label="accuracy", format=".2f", minimise=False),
                    Column(
                        name="accuracy_loss",
                        unit="pp",
                        label="accuracy loss against exact products",
                        format=".2f",
                        scale="symlog",
                    ),
                ),
                settings=_accuracy_settings,
                measure=_measure_accuracy,
            ),
            Scorer(
                name="transfer",
                version=1,
                cost="network",
                key="digest",
                columns=(
                    Column(name="transfer_rate", unit="%", label="transfer rate, all examples", format=".1f"),
                    Column(name="transfer_pgd", unit="%", label="transfer rate, PGD", format=".1f"),
                    Column(name="transfer_fgsm_smallest", unit="%", label="transfer rate, smallest FGSM", format=".1f"),
                ),
                settings=_transfer_settings,
                measure=_measure_transfer,
            ),
            Scorer(
                name="margin",
                version=1,
                cost="network",
                key="digest",
                columns=(
                    Column(name="margin_rate", unit="%", label="transfer rate at margin, all examples", format=".1f"),
                    Column(name="margin_pgd", unit="%", label="transfer rate at margin, PGD", format=".1f"),
                    Column(
                        name="margin_fgsm_smallest",
                        unit="%",
                        label="transfer rate at margin, smallest FGSM",
                        format=".1f",
                    ),
                ),
                settings=_margin_settings,
                measure=_measure_margin,
            ),
            Scorer(
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
                    ),
                ),
                settings=_adaptive_settings,
                measure=_measure_adaptive,
            ),
        )
    }
)
"""The scorers by name, cheap ones first: the order in which a design is measured."""

COLUMNS: Mapping[str, Column] = MappingProxyType(
    {column.name: column for scorer in SCORERS.values() for column in scorer.columns}
)
"""Every column by name, in the order of tables."""


def columns_for(layers: int) -> Mapping[str, Column]:
    """`COLUMNS` as they read for a network with a multiplier in each of `layers` layers; 0: one design for all."""
    if not layers:
        return COLUMNS
    scope = f"sum of {layers} layers" if layers > 1 else "1 layer"
    return MappingProxyType(
        {name: replace(column, scope=scope) if name in SUMMED else column for name, column in COLUMNS.items()}
    )


def objectives(names: Iterable[str]) -> tuple[Column, ...]:
    """The columns of those names as objectives, each made better in its own sense.

    Raises UnknownNameError with the nearest names, DesignError when a name is repeated or none is given.
    """
    chosen: list[Column] = []
    for name in names:
        if name not in COLUMNS:
            raise unknown_name("objective", name, COLUMNS)
        if COLUMNS[name] in chosen:
            raise DesignError(f"objectives must be distinct, but got {name!r} twice; leave one out.")
        chosen.append(COLUMNS[name])
    if not chosen:
        raise DesignError(f"objectives must name at least one of {', '.join(COLUMNS)}, but got none; choose some.")
    return tuple(chosen)


def scorers_of(columns: Iterable[Column]) -> tuple[Scorer, ...]:
    """The scorers that give those columns, in the order of `SCORERS`."""
    names = {column.name for column in columns}
    return tuple(scorer for scorer in SCORERS.values() if any(column.name in names for column in scorer.columns))

"""Scorer `cost`: energy, delay, area and transistors of the mantissa multiplier, as drawn and simplified.

Besides the columns it gives NAME_simplified (after simplification of the netlist) and NAME_to_exact and
NAME_to_own_topology (ratios over the baselines of the cost model).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from circuits.cost import AREA_UNIT, DELAY_UNIT, ENERGY_UNIT, technology
from circuits.cost.cells45 import TABLE as CELL_TABLE
from circuits.cost.characterize.gate_networks import TABLE as NETWORK_TABLE
from circuits.cost.cost_model import ACTIVITIES, BASELINES, cost_report
from circuits.designs.design_record import Design
from circuits.errors import UnknownCostError
from circuits.support.numbers import SIGNIFICANT
from dse.score.scorers.layer_scores import each_layer
from dse.score.scorers.scorer import Column, ComparisonLine, Scorer, ScoreSettings, plain_text

__all__ = ["COST", "COST_NOTE", "TECHNOLOGY", "design_costs"]

TECHNOLOGY = technology()
"""The characterised 45 nm technology that all costs are measured in."""
COST_NOTE = (
    f"mantissa multiplier as drawn, energy in {ENERGY_UNIT} an operation ({ACTIVITIES['none']}), delay in "
    f"{DELAY_UNIT}, area in {AREA_UNIT}: {TECHNOLOGY.note}"
)
"""What the costs are counted in, and what they hold for."""
_MEASURES = ("energy", "delay", "area", "transistors")
_NOTE = f"* {COST_NOTE}.".replace("{", "{{").replace("}", "}}")
_COLUMNS = (
    Column(
        name="energy",
        unit=ENERGY_UNIT,
        label="energy",
        format=SIGNIFICANT,
        heading=f"energy*\n{ENERGY_UNIT}",
        note=_NOTE,
        partly_estimated=True,
    ),
    Column(
        name="delay",
        unit=DELAY_UNIT,
        label="delay",
        format=SIGNIFICANT,
        heading=f"delay*\n{DELAY_UNIT}",
        note=_NOTE,
        over_layers="largest",
        partly_estimated=True,
    ),
    Column(
        name="area",
        unit=AREA_UNIT,
        label="area as drawn",
        format=SIGNIFICANT,
        heading=f"area*\n{AREA_UNIT}",
        in_table=False,
        note=_NOTE,
        over_layers="sum",
        partly_estimated=True,
    ),
    Column(
        name="transistors",
        unit="count",
        label="transistors as drawn",
        format=SIGNIFICANT,
        heading="transistors",
        in_table=False,
        over_layers="sum",
    ),
)


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    return {"samples": settings.cost_samples, "seed": settings.seed, "technology": _technology_digest()}


@lru_cache(maxsize=1)
def _technology_digest() -> str:
    """SHA-256 (hex) of the characterised cell table and of the gate networks that estimates are made from."""
    digest = hashlib.sha256(TECHNOLOGY.name.encode())
    for path in (CELL_TABLE, NETWORK_TABLE):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def design_costs(design: Design, settings: ScoreSettings) -> dict[str, float]:
    """The scores of one circuit; kept, since designs for each layer are made of few circuits."""
    return dict(_costs(design, settings.cost_samples, settings.seed))


@lru_cache(maxsize=512)
def _costs(design: Design, samples: int, seed: int) -> dict[str, float]:
    try:
        report = cost_report(design, samples=samples, seed=seed, technology=TECHNOLOGY)
    except UnknownCostError:
        # A design given as a table has no circuit; NaN is printed as "-".
        suffixes = ("", "_simplified", "_to_exact", "_to_own_topology")
        return {f"{name}{suffix}": float("nan") for name in _MEASURES for suffix in suffixes}
    scores = {name: float(getattr(report.drawn, name)) for name in _MEASURES}
    scores |= {f"{name}_simplified": float(getattr(report.simplified, name)) for name in _MEASURES}
    for suffix, baseline in zip(("to_exact", "to_own_topology"), BASELINES, strict=True):
        scores |= {f"{name}_{suffix}": report.ratio(name, baseline=baseline) for name in _MEASURES}
    return scores


def _comparison(settings: ScoreSettings) -> list[ComparisonLine]:
    lines = [ComparisonLine("transistors as drawn", plain_text("transistors", SIGNIFICANT))]
    for name, unit in (("energy", ENERGY_UNIT), ("delay", DELAY_UNIT), ("area", AREA_UNIT)):
        lines += [
            ComparisonLine(f"{name}, {unit}", plain_text(name, SIGNIFICANT), partly_estimated=True),
            ComparisonLine("  / exact", plain_text(f"{name}_to_exact", SIGNIFICANT)),
            ComparisonLine("  / exact, own topology", plain_text(f"{name}_to_own_topology", SIGNIFICANT)),
        ]
    return lines


COST = Scorer(
    name="cost",
    version=2,
    cost="cheap",
    key="cost_digest",
    columns=_COLUMNS,
    settings=_settings,
    measure=each_layer(design_costs, _COLUMNS),
    title=lambda settings: ("cost", f"{COST_NOTE}; / exact: over the exact ripple array of the same width"),
    comparison=_comparison,
)

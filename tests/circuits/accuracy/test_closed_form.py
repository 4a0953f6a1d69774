"""Closed forms against exhaustion at small widths, the values of FACTS 2, and sampled intervals at 24 bits."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from bilinear_products import every_product, is_bilinear

from circuits import ClosedForm, Design, Estimate, UnknownNameError, closed_form_metrics, design, error_metrics
from circuits.multipliers import PORTS

METRICS = (
    "bias",
    "variance",
    "med",
    "nmed",
    "mred",
    "mred_ratio_of_means",
    "larger",
    "error_rate",
    "worst_case",
)
FACTS_2: dict[str, dict[str, Any]] = {"axfpm": {}, "axfpm_tiled": {"tile": 4}}


def known(multiplier: Design, distribution: str = "uniform01") -> ClosedForm:
    """The closed form of a design that must have one."""
    form = closed_form_metrics(multiplier, distribution=distribution)
    assert form is not None
    return form


def check_exhaustively(multiplier: Design, distribution: str) -> ClosedForm:
    """Asserts that the closed form equals the metrics over all operands; returns it."""
    form = known(multiplier, distribution)
    m = error_metrics(multiplier, method="exhaustive", distribution=distribution)
    for name in METRICS:
        value, exhaustive = getattr(form, name), getattr(m, name)
        if value is not None:
            exhaustive = exhaustive.value if isinstance(exhaustive, Estimate) else exhaustive
            assert value == pytest.approx(exhaustive, rel=1e-9, abs=1e-12), name
    return form


@pytest.mark.parametrize("distribution", ["uniform01", "mantissa"])
@pytest.mark.parametrize("width", [4, 8, 12])
@pytest.mark.parametrize("name", FACTS_2)
def test_the_circuits_of_facts_2_equal_exhaustion(name: str, width: int, distribution: str) -> None:
    """The closed forms behind FACTS 2, at widths where all operands can be listed."""
    multiplier = Design(format=None, width=width, placement="ama5", **FACTS_2[name])
    form = check_exhaustively(multiplier, distribution)
    assert form.error_rank == 1
    assert None not in [getattr(form, metric) for metric in METRICS]


@pytest.mark.parametrize("distribution", ["uniform01", "mantissa"])
@pytest.mark.parametrize("ports", PORTS)
@pytest.mark.parametrize(
    "policies",
    [
        {"width": (5, 7)},
        {"width": (8, 3), "topology": "carry_save_array", "half_adders": "exact"},
        {"width": 6, "tile": 3},
        {"width": 6, "placement": {"columns": ["ama5"] * 6 + ["exact"] * 6}},
        {"width": 6, "placement": "exact", "truncate_columns": 4},
        {"width": 5, "placement": "exact"},
    ],
    ids=str,
)
def test_other_designs_have_a_closed_form_exactly_where_their_products_are_bilinear(
    policies: dict[str, Any], ports: str, distribution: str
) -> None:
    multiplier = Design(format=None, ports=ports, **{"placement": "ama5", **policies})
    if is_bilinear(every_product(multiplier.netlist())):
        check_exhaustively(multiplier, distribution)
    else:
        assert closed_form_metrics(multiplier, distribution=distribution) is None


def test_enough_of_the_tried_designs_have_a_closed_form() -> None:
    assert closed_form_metrics(Design(format=None, width=6, placement="exact", truncate_columns=4)) is not None
    assert known(Design(format=None, width=6, placement={"columns": ["ama5"] * 6 + ["exact"] * 6})).med is None
    assert known(Design(format=None, width=5)).error_rank == 0


@pytest.mark.parametrize("distribution", ["uniform01", "mantissa"])
@pytest.mark.parametrize("name", FACTS_2)
@pytest.mark.parametrize("fmt", ["float32", None])
def test_closed_forms_lie_inside_the_sampled_intervals_at_24_bits(
    name: str, distribution: str, fmt: str | None
) -> None:
    """At least 16 of 20 intervals must hold the closed form: 95 % intervals hold fewer with probability 0.003.

    The mean of all samples must lie within three of its standard errors.
    """
    multiplier = Design(format=fmt, width=24, placement="ama5", **FACTS_2[name])
    form = known(multiplier, distribution)
    samples = [error_metrics(multiplier, samples=100_000, distribution=distribution, seed=seed) for seed in range(20)]
    checked = [metric for metric in METRICS if metric != "worst_case" and getattr(form, metric) is not None]
    assert checked == [metric for metric in METRICS[:-1] if fmt is None or metric != "error_rate"]
    for metric in checked:
        value = getattr(form, metric)
        estimates = [getattr(m, metric) for m in samples]
        assert sum(e.low <= value <= e.high for e in estimates) >= 16, metric
        half_width = sum(e.half_width for e in estimates) / 20 / math.sqrt(20)
        assert abs(sum(e.value for e in estimates) / 20 - value) <= 1.53 * half_width, metric
    if form.worst_case is not None:
        assert 0.99 * form.worst_case < max(m.worst_case for m in samples) <= form.worst_case


def test_closed_forms_give_the_published_numbers_of_facts_2() -> None:
    """axfpm: NMED 1/12, mean|e| / mean 1/3, MRED 2 ln 2 - 1, up to 2^-24; axfpm_tiled: MRED 0.412427, NMED .0903."""
    flat = known(design("axfpm"))
    for value, published in ((flat.nmed, 1 / 12), (flat.mred_ratio_of_means, 1 / 3), (flat.mred, 2 * math.log(2) - 1)):
        assert value == pytest.approx(published, abs=1e-7)
    assert flat.larger == 1
    tiled = known(design("axfpm_tiled"))
    assert tiled.mred == pytest.approx(0.412427, abs=5e-7)
    assert tiled.nmed == pytest.approx(0.0903, abs=6e-5)
    assert tiled.larger == 1
    assert known(design("exact")).med == 0


@pytest.mark.parametrize("name", ["axfpm_released", "heap", "ama3_array"])
def test_designs_without_a_bilinear_form_have_no_closed_form(name: str) -> None:
    assert closed_form_metrics(design(name)) is None
    assert closed_form_metrics(Design(format=None, width=4, signed=True)) is None


def test_operands_too_wide_to_list_have_moments_only() -> None:
    form = known(Design(format=None, width=30, placement="ama5"))
    assert form.med is None
    assert form.error_rank == 1
    assert form.bias == pytest.approx(2.0**60 / 4 * (1 - 2.0**-30) - (2.0**30 - 1) ** 2 / 4, rel=1e-3, abs=2.0**31)


def test_closed_forms_become_json_and_unknown_distributions_are_refused() -> None:
    data = json.loads(json.dumps(known(design("axfpm")).to_dict(), allow_nan=False))
    assert data["form"] == "P = (X & 0x1) * Y + 2 * (X & 0xFFFFFE) * (Y & 0x800000)"
    with pytest.raises(UnknownNameError, match="unknown distribution 'trace'"):
        closed_form_metrics(design("axfpm"), distribution="trace")

"""What studies of several networks share: the bootstrap of sizes, rows, and what a killed run has left."""

from __future__ import annotations

import numpy as np
import pytest

from studies.frame.study import Row, StudyOptions
from studies.rows.over_networks import (
    Claimed,
    Found,
    Measured,
    changed,
    differing,
    found_on_each,
    over_networks,
    rows_of,
    shared,
)


def test_the_interval_of_sizes_is_that_of_two_step_draws() -> None:
    """The same bootstrap of real values with loops: networks, then images, stretched by sqrt(3 / 2)."""
    stream = np.random.default_rng(5)
    own = [stream.normal(centre, 0.3, size) for centre, size in ((0.1, 12), (0.5, 30), (-0.2, 7))]
    each = [differing(values, np.zeros(values.size), "dB") for values in own]
    draws = np.random.default_rng(1)
    means = [np.mean([draws.choice(own[k], own[k].size).mean() for k in draws.integers(0, 3, 3)]) for _ in range(4000)]
    centre = np.mean([values.mean() for values in own])
    expected = np.quantile(centre + (np.array(means) - centre) * 1.5**0.5, [0.025, 0.975])
    mean, interval = over_networks(each)
    assert interval is not None
    assert mean == pytest.approx(centre)
    assert interval == pytest.approx(tuple(expected), abs=0.03)
    assert differing(own[2][:3], own[2][:3], "").interval is None
    # Student's t for 11 degrees of freedom is 2.201.
    half = 2.201 * own[0].std(ddof=1) / 12**0.5
    assert each[0].interval == pytest.approx((own[0].mean() - half, own[0].mean() + half), abs=1e-4)


def test_a_killed_run_goes_on_with_the_values_of_every_image() -> None:
    found: Found = {
        ("axfpm", "FGSM"): shared(np.array([True, False, True])),
        ("axfpm", "less exact"): changed(np.array([True, False]), np.array([False, True])),
        ("heap", "L2"): Measured(np.array([0.25, -1.5]), None, "dB", "a note"),
    }
    kept: dict[str, list[Row]] = {}

    def part(name: str, measure) -> list[Row]:  # type: ignore[no-untyped-def]
        if name not in kept:
            kept[name] = measure()
        return kept[name]

    measured: list[str] = []

    def measure(name: str) -> Found:
        measured.append(name)
        return found

    options = StudyOptions(level="quick", part=part)
    first = found_on_each(options, ("a", "b"), measure)
    again = found_on_each(options, ("a", "b"), measure)
    assert measured == ["a", "b"]
    assert rows_of(first, Claimed()) == rows_of(again, Claimed()) == rows_of({"a": found, "b": found}, Claimed())
    for key, value in found.items():
        assert again["b"][key].values.tolist() == value.values.tolist()
        assert (again["b"][key].interval, again["b"][key].unit, again["b"][key].note) == (
            value.interval,
            value.unit,
            value.note,
        )
    row = next(row for row in rows_of(again, Claimed()) if row.quantity == "L2, on a")
    assert row.remark == "2 images; a note"


def test_a_quantity_that_one_network_lacks_is_the_mean_of_the_others() -> None:
    found = {"a": {("v", "q"): shared(np.array([True]))}, "b": {}, "c": {("v", "q"): shared(np.array([False]))}}
    rows = rows_of(found, Claimed())
    assert [(row.quantity, row.measured) for row in rows] == [
        ("q, over 3 networks", 50.0),
        ("q, on a", 100.0),
        ("q, on c", 0.0),
    ]

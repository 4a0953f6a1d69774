"""Intervals of scores, and which neighbours on a front they do not distinguish."""

from __future__ import annotations

import math

import pytest

from circuits import Design
from circuits.support.statistics import paired_difference_interval
from dse import COLUMNS
from dse.present.intervals import indistinct, indistinct_note, interval
from dse.score.scored_design import ScoredDesign

CELLS = ("ama1", "ama2", "ama3", "ama4", "ama5", "axa1", "axa2", "axa3")


def rows(*scores: dict[str, float]) -> list[ScoredDesign]:
    return [ScoredDesign(Design(placement=cell, name=cell), entry) for cell, entry in zip(CELLS, scores, strict=False)]


def nmed(value: float, half: float) -> dict[str, float]:
    return {"nmed": value, "nmed_low": value - half, "nmed_high": value + half, "energy": 1 / value}


def test_stored_intervals_are_used() -> None:
    assert interval(COLUMNS["nmed"], nmed(0.2, 0.01)) == pytest.approx((0.19, 0.21))
    assert interval(COLUMNS["energy"], {"energy": 3.0}) is None
    assert interval(COLUMNS["nmed"], {}) is None
    assert interval(COLUMNS["nmed"], nmed(0.2, 0.01) | {"nmed": math.nan}) is None
    assert interval(COLUMNS["transfer_rate"], {"transfer_rate": 50.0}) is None


def test_a_loss_of_accuracy_has_the_interval_of_paired_samples() -> None:
    scores = {"accuracy_loss": 1.5, "images": 200.0, "images_lost": 4.0, "images_gained": 1.0}
    # Agresti, Min 2005: (4 - 1) / 202 +- 1.96 sqrt(6 - 9 / 202) / 202.
    half = 1.959964 * math.sqrt(6 - 9 / 202) / 202
    assert interval(COLUMNS["accuracy_loss"], scores) == pytest.approx(
        (100 * (3 / 202 - half), 100 * (3 / 202 + half)), rel=1e-6
    )
    assert paired_difference_interval(0, 0, 10)[0] < 0 < paired_difference_interval(0, 0, 10)[1]
    with pytest.raises(ValueError, match=r"^0 <= gained, 0 <= lost and gained \+ lost <= pairs must hold, but got "):
        paired_difference_interval(6, 5, 10)


def test_a_rate_over_several_sets_has_wilsons_interval() -> None:
    scores = {"transfer_rate": 50.0, "transfer_pgd_fooled": 3.0, "transfer_pgd_eligible": 5.0}
    scores |= {"transfer_fgsm_smallest_fooled": 2.0, "transfer_fgsm_smallest_eligible": 5.0, "margin_pgd_fooled": 9.0}
    # Wilson 1927, 5 of 10.
    assert interval(COLUMNS["transfer_rate"], scores) == pytest.approx((23.659, 76.341), abs=1e-3)


def test_neighbours_whose_intervals_meet_are_named() -> None:
    front = rows(nmed(0.4, 0.02), nmed(0.1, 0.01), nmed(0.3, 0.001), nmed(0.115, 0.01), nmed(0.43, 0.02))
    close = indistinct(front, COLUMNS["nmed"])
    assert [row.scores["nmed"] for row in close] == [0.1, 0.115, 0.4, 0.43]
    assert indistinct(front, COLUMNS["energy"]) == []
    assert indistinct_note(front, [COLUMNS["energy"], COLUMNS["nmed"]]) == (
        "Members of the front that differ from the next by less than their 95 % intervals, so that other samples could "
        f"order them otherwise: nmed 4 of 5 ({', '.join(front[place].name for place in (1, 3, 0, 4))})."
    )
    assert indistinct_note(front, [COLUMNS["energy"]]) == ""
    assert indistinct_note(front[:1], [COLUMNS["nmed"]]) == ""
    assert indistinct_note([], [COLUMNS["nmed"]]) == ""


def test_many_indistinct_members_are_counted_not_listed() -> None:
    front = rows(*(nmed(0.1 + k / 1000, 0.01) for k in range(8)))
    assert indistinct_note(front, [COLUMNS["nmed"]]).endswith(": nmed 8 of 8.")

"""How a claim is tested: as a difference to the exact network, by the weakest gradient, or not at all."""

from __future__ import annotations

import pytest

from circuits.support.statistics import wilson
from studies.frame.claim_rules import Difference, differences, newcombe, surely, weakest
from studies.frame.claims import CANNOT_TELL, CLAIMS, UNDECIDED, Claim, above, below
from studies.frame.stored_results import load_best
from studies.frame.study import Row, StudyResult


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    """Newcombe, "Interval estimation for the difference", Stat. Med. 17, 1998, table II, method 10."""
    one, n, other, m = counts
    interval = newcombe((one / n, *wilson(one, n)), (other / m, *wilson(other, m)))
    assert interval == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def rate(subject: str, fooled: int, trials: int, published: float | None, quantity: str = "FGSM") -> Row:
    low, high = wilson(fooled, trials)
    return Row(subject, quantity, 100 * fooled / trials, published, (100 * low, 100 * high), "%")


def result(*rows: Row) -> StudyResult:
    return StudyResult(list(rows), "measured", "")


BLACK_BOX = Claim("", "", "table4", "axfpm", "FGSM", below(0), "", reference="exact", control="control")


@pytest.mark.parametrize(
    ("exact", "fooled", "published", "verdict"),
    [
        ((98, 100), 24, 25.0, "reproduced"),
        ((98, 100), 60, 25.0, "reproduced in direction"),
        ((98, 100), 99, 25.0, "not reproduced"),  # a rate "under 100 %" is no difference
        ((98, 100), 94, 90.0, UNDECIDED),  # 4 points fewer, give or take 6
        ((60, 100), 0, 25.0, CANNOT_TELL),  # 75 points fewer cannot be had, and so its test cannot pass
        ((4, 100), 32, 25.0, CANNOT_TELL),
    ],
)
def test_a_black_box_claim_is_a_difference_to_the_exact_network(
    exact: tuple[int, int], fooled: int, published: float, verdict: str
) -> None:
    rows = BLACK_BOX.rows(
        result(rate("exact", *exact, 100), rate("axfpm", fooled, 100, published), rate("control", 50, 100, None))
    )
    (row,) = rows
    assert (row.measured, row.published, row.unit) == (fooled - exact[0], published - 100, "points")
    assert BLACK_BOX.verdict(rows) == verdict


def test_a_control_is_relative_too_and_a_missing_reference_is_named() -> None:
    rows = (rate("exact", 40, 50, 100), rate("control", 25, 50, None))
    (control,) = BLACK_BOX.controls(result(*rows))
    assert (control.measured, control.published) == (-30, None)
    with pytest.raises(ValueError, match="axfpm, FGSM must have an interval, and so must the exact network's number"):
        BLACK_BOX.rows(result(rate("axfpm", 1, 2, 3)))


def test_room_is_above_where_the_published_number_rises() -> None:
    for exact, possible in ((20, True), (70, False)):
        (row,) = differences([rate("axfpm", 90, 100, 74.5)], [rate("exact", exact, 100, 20)])
        assert isinstance(row, Difference)
        assert (row.published, row.room) == (54.5, 100 - exact)
        assert row.cannot_be_had is not possible


WHITE_BOX = Claim("", "", "figures8_11", "axfpm", "L2.*", above(0), "", gradients=("axfpm, ste", "axfpm, slope"))


def test_white_box_claims_take_the_gradient_that_serves_the_attacker_best() -> None:
    rows = [Row("axfpm, ste", "L2", 5.1, 5.12), Row("axfpm, slope", "L2", -0.2, 5.12), Row("other", "L2", -9, 5.12)]
    assert WHITE_BOX.rows(result(*rows)) == [rows[1]]
    assert WHITE_BOX.verdict([rows[1]]) == "not reproduced"
    assert weakest(rows[:2], below(0)) == [rows[0]]
    assert weakest(rows[1::-1], below(0)) == [rows[0]]


def test_a_direction_without_interval_is_none() -> None:
    for interval, verdict in (
        (None, CANNOT_TELL),
        ((-0.1, 0.3), UNDECIDED),
        ((0.05, 0.3), "reproduced in direction"),
    ):
        row = Row("axfpm, ste", "L2", 0.1, 5.12, interval)
        assert WHITE_BOX.verdict([row]) == verdict
        assert surely(row, above(0)) is (verdict == "reproduced in direction")
    # A claim of another kind needs only its number.
    assert Claim("", "", "table9", "axfpm", ".*", below(1), "").verdict([Row("axfpm", "energy", 0.3, 0.41)]) == (
        "reproduced in direction"
    )


def test_each_published_number_of_the_attack_tables_is_compared_once() -> None:
    results = load_best()
    compared = [
        (claim.study, row.subject, row.quantity.partition(",")[0])
        for claim in CLAIMS
        if claim.study in ("table2", "table3", "table4") and not claim.words
        for row in claim.rows(results[claim.study])
    ]
    assert len(compared) == len(set(compared)) == 3 * 2 * 8  # tables, circuits, attacks

"""How a claim is tested: as a difference from the exact network, by the weakest gradient, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from circuits.support.statistics import wilson
from studies.frame import claims
from studies.frame.claim_rules import Difference, above, below, differences, is_testable, newcombe, surely, weakest
from studies.frame.claim_verdicts import UNDECIDED, UNMEASURED, Claim
from studies.frame.claims import CLAIMS
from studies.frame.stored_results import load_best
from studies.frame.study import Row, StudyResult
from studies.frame.study_runs import is_stale
from studies.frame.verdict_text import CANNOT_TELL
from studies.page.results_page import markdown


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
        ((98, 100), 99, 25.0, "not reproduced"),  # a rate just under 100 % is no difference
        ((98, 100), 94, 90.0, UNDECIDED),  # 4 points fewer, give or take 6
        ((60, 100), 0, 25.0, CANNOT_TELL),  # 75 points fewer are impossible, so its test cannot pass
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


def test_a_direction_is_only_told_by_an_interval() -> None:
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
    assert len(compared) == len(set(compared))
    assert len(compared) >= 3 * 2 * 8  # tables, circuits, attacks; more once all layers have been measured


ACCURACY = Claim("", "", "table8", "axfpm", "accuracy less exact", above(-1), "", paired=True, decisive=4)


@pytest.mark.parametrize(
    ("loss", "interval", "verdict"),
    [
        (-0.3, (-0.6, 0.0), "reproduced"),  # .26 was published
        (-0.65, (-0.84, -0.46), "reproduced in direction"),
        (-1.2, (-1.7, -0.69), "not reproduced"),  # a loss of more than a point
        (-0.9, (-1.4, -0.4), UNDECIDED),  # it may be more than a point
        (-0.3, (-3.5, 2.9), UNDECIDED),  # 200 images: an interval that holds anything
        (-0.3, None, CANNOT_TELL),
    ],
)
def test_accuracy_claims_compare_paired_losses(loss: float, interval: tuple[float, float] | None, verdict: str) -> None:
    row = Row("axfpm", "accuracy less exact", loss, -0.26, interval, "points")
    accuracy = Row("axfpm", "accuracy", 60.0, 97.67, (58.0, 62.0), "%")  # of another network than DA's: no test
    assert ACCURACY.rows(result(accuracy, row)) == [row]
    assert ACCURACY.verdict([row]) == verdict


def test_every_accuracy_claim_is_a_paired_loss() -> None:
    of_accuracy = [claim for claim in CLAIMS if claim.text.startswith("accuracy of")]
    assert len(of_accuracy) == 8 + 4 + 3  # LeNet-5 and AlexNet; LeNet-5 and AlexNet over several networks
    assert all(claim.paired and claim.quantity.startswith("accuracy less exact") for claim in of_accuracy)


def test_a_test_that_cannot_fail_or_cannot_pass_is_none() -> None:
    row = rate("axfpm", 30, 100, 12)
    for direction, verdict in (
        (below(90), "reproduced in direction"),
        (below(20), "not reproduced"),
        (below(101), CANNOT_TELL),  # no rate is higher: it cannot fail
        (above(100), CANNOT_TELL),  # no rate is higher: it cannot pass
    ):
        assert Claim("", "", "table2", "axfpm", "FGSM", direction, "").verdict([row]) == verdict
    # Exact is never fooled: nothing could be fooled less often.
    words = Claim("", "", "table4", "axfpm", "FGSM", below(0), "", "less often", reference="exact")
    for fooled, verdict in ((0, CANNOT_TELL), (60, "reproduced")):
        rows = words.rows(result(rate("exact", fooled, 100, None), rate("axfpm", 0, 100, None)))
        assert words.verdict(rows) == verdict
    # An audit's verdict is no limit on its number.
    assert is_testable(Row("axfpm", "robust accuracy", 9.0, unit="%"), lambda row: row.remark == "robust")


def test_what_was_fitted_is_no_evidence() -> None:
    row = Row("heap", "NMED", 0.03, 0.03, (0.0299, 0.0301))
    assert Claim("", "", "table8", "heap", "NMED", below(0.5), "").verdict([row]) == "reproduced"
    assert Claim("", "", "table8", "heap", "NMED", below(0.5), "", given="fitted").verdict([row]) == CANNOT_TELL
    fitted = {(claim.study, claim.quantity) for claim in CLAIMS if claim.given == "fitted"}
    assert fitted == {
        ("table8", "NMED"),
        ("table8", r"MRED\ \(ratio\ of\ means\)"),
        ("figure15", "larger in magnitude"),
    }


def test_a_difference_of_rates_needs_a_narrow_interval_too() -> None:
    wide = Difference("axfpm", "FGSM", -20.0, -22.0, (-45.0, -4.0), "points", ends=(-100.0, 0.0))
    assert BLACK_BOX.verdict([wide]) == UNDECIDED
    assert BLACK_BOX.verdict([replace(wide, interval=(-30.0, -10.0))]) == "reproduced"


def test_controls_are_called_what_they_are() -> None:
    named = {(claim.subject, claim.control): claim.control_is for claim in CLAIMS if claim.study == "table2"}
    assert named == {
        ("axfpm", "control"): "the control, an identity here",
        ("axfpm_released", "axfpm_released, matched control"): "the control, matched in mean gain a layer",
        ("axfpm_released, all layers", "axfpm_released, all layers, matched control"): "the control, matched in mean "
        "gain a layer",
    }


def test_a_result_has_every_claim_unless_it_is_stale_or_quick() -> None:
    """Level quick leaves circuits and attacks out, but never all of the claims of a study."""
    results = load_best()
    tested = claims.tested(results)
    missing = [claim for claim, rows in tested if not rows]
    assert all(claim.verdict([]) == UNMEASURED for claim in missing)
    fresh = {claim.study for claim in missing if not is_stale(results[claim.study])}
    measured = {claim.study for claim, rows in tested if rows}
    assert all(results[study].level == "quick" and study in measured for study in fresh)
    # A claim that finds nothing has a line that says so.
    table2 = replace(results["table2"], rows=[row for row in results["table2"].rows if row.subject != "axfpm"])
    assert f"| axfpm |  |  |  | {UNMEASURED} | under 90 % fool it |" in markdown({"table2": table2})

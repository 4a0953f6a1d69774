"""The study of margins: its verdict follows from the rates, its rows have the published ones beside them."""

from __future__ import annotations

import pytest

from cnn_eval import CONTROL
from cnn_eval.measure.margin_curves import CURVES, PUBLISHED, MarginPoint
from studies.own import margins


def points_at(first: dict[str, int], last: int) -> list[MarginPoint]:
    """Points of 100 examples for each attack on axfpm: `first` fool at the boundary, `last` with the largest margin."""
    made = []
    for attack, count in first.items():
        values = CURVES[attack].values
        for victim in ("axfpm", CONTROL):
            made += [MarginPoint(attack, value, victim, count, 100, 1.0) for value in values[:-1]]
            made.append(MarginPoint(attack, values[-1], victim, last, 100, 1.0))
    return made


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        (PUBLISHED["Ax-FPM"], 100, "reproduced"),
        ({"fgsm": 12, "pgd": 28, "cw": 45, "deepfool": 17}, 100, "reproduced in direction"),
        ({"fgsm": 95, "pgd": 95, "cw": 95, "deepfool": 95}, 100, "not reproduced"),
        ({"fgsm": 12, "pgd": 28, "cw": 45, "deepfool": 95}, 100, "not reproduced"),
    ],
)
def test_study_verdict_follows_from_the_rates(first: dict[str, int], last: int, verdict: str) -> None:
    points = points_at(first, last)
    found, reason = margins.conclude(points, {"axfpm": "Ax-FPM"})
    assert found == verdict
    assert "largest margin 100 to 100 %" in reason
    assert "differ on 0 examples" in reason
    rows = [margins.row(point, {"axfpm": "Ax-FPM"}) for point in points]
    published = [row.published for row in rows if row.published is not None]
    assert sorted(published) == [1, 12, 17, 28]

"""The study of a multiplier for each layer: energies, losses and limits of its quick level."""

from __future__ import annotations

import pytest

from studies.frame.study import StudyOptions
from studies.own.integers import layer_search as study


@pytest.mark.slow
def test_the_quick_level_keeps_its_limit() -> None:
    result = study.run(StudyOptions(level="quick"))
    values = {(row.subject, row.quantity): row for row in result.rows}
    exact = values["resnet8, exact int8", "energy of all products an image"].measured
    for subject in ("resnet8, one multiplier", "resnet8, a multiplier a layer"):
        energy = values[subject, "energy of all products an image"].measured
        assert 0 < energy <= exact
        assert values[subject, "energy against exact int8"].measured == pytest.approx(100 * (energy / exact - 1))
        loss = values[subject, "loss on unseen images"]
        assert loss.interval is not None
        assert loss.interval[0] <= loss.measured <= loss.interval[1]
        assert loss.interval[1] <= 10 or energy == exact
    assert values["resnet8, a multiplier a layer", "energy against exact int8"].published == study.ALWANN
    assert result.verdict == "measured"

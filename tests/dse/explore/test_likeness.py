"""Estimates of objectives that were not measured: by likeness of genomes, and never better than the bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.explore.likeness import MeasuredDesigns
from dse.score.rivals import dominates

_genomes = st.tuples(*[st.integers(0, 3)] * 5)
_points = st.tuples(*[st.integers(0, 9)] * 3)


def test_the_three_most_alike_are_averaged_where_a_value_is_missing() -> None:
    measured = MeasuredDesigns()
    measured.add((0, 0, 0, 0), (10.0, 3.0))
    assert measured.estimated((3, 3, 3, 3), (7.0, 1.0), (False, True)) == [7.0, 3.0]
    for genome, loss in (((0, 0, 1, 1), 6.0), ((0, 0, 0, 1), 9.0), ((2, 2, 2, 2), 90.0), ((2, 2, 2, 2), 95.0)):
        measured.add(genome, (10.0, loss))
    assert measured.estimated((0, 0, 0, 0), (7.0, 1.0), (False, True)) == [7.0, 6.0]  # (3 + 9 + 6) / 3
    assert measured.estimated((0, 0, 0, 0), (7.0, 6.5), (False, True)) == [7.0, 6.5]  # no better than the bound
    assert measured.estimated((0, 0, 0, 0), (7.0, 1.0), (False, False)) == [7.0, 1.0]
    assert measured.estimated((2, 2, 2, 2), (7.0, 1.0), (False, True))[1] == pytest.approx((90 + 95 + 3) / 3)


@given(st.lists(st.tuples(_genomes, _points), min_size=1, max_size=12), _genomes, _points)
def test_what_dominates_the_bound_dominates_the_estimate(
    known: list[tuple[tuple[int, ...], tuple[int, ...]]], genome: tuple[int, ...], bound: tuple[int, ...]
) -> None:
    measured = MeasuredDesigns()
    for each, values in known:
        measured.add(each, values)
    estimate = measured.estimated(genome, bound, (False, True, True))
    assert estimate[0] == bound[0]
    rival = tuple(np.maximum(np.array(bound) - (1, 0, 0), -1))
    assert dominates(rival, bound)
    assert dominates(rival, tuple(estimate))

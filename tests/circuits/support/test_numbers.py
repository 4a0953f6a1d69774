"""Numbers in text: three significant digits, or by a format specification."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.support.numbers import SIGNIFICANT, number, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0833333, "0.0833"),
        (0.083, "0.0830"),
        (0.000242, "0.000242"),
        (0.000244, "0.000244"),
        (1.2e-7, "1.20e-07"),
        (9.996e-5, "0.000100"),  # rounding carries before the exponent decides
        (0.9996, "1.00"),
        (0.99949, "0.999"),
        (12.34, "12.3"),
        (999.4, "999"),
        (999.6, "1000"),
        (1234.5, "1234"),
        (16777216.0, "16777216"),
        (12.0, "12"),
        (0.0, "0"),
        (-0.0, "0"),
        (-0.01468, "-0.0147"),
        (-1234.5, "-1234"),
        (1.5e40, "1.50e+40"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


def test_digits_commas_and_padding_can_be_chosen() -> None:
    assert significant(0.0833333333, 6) == "0.0833333"
    assert significant(0.5, 6, padded=False) == "0.5"
    assert significant(1.5e40, 6, padded=False) == "1.5e+40"
    assert significant(1234567.8, grouped=True) == "1,234,568"
    assert significant(35.24, grouped=True) == "35.2"


def test_numbers_by_specification_never_round_to_zero() -> None:
    assert number(1234567.8, SIGNIFICANT) == "1,234,568"
    assert number(98.2, ".2f") == "98.20"
    assert number(0.0004, ".2f") == "4.0e-04"  # never 0 where it is not
    assert number(0.0, ".2f") == "0.00"
    assert number(math.nan, ".2f") == number(math.nan, SIGNIFICANT) == "-"


@given(st.floats(-1e300, 1e300), st.integers(1, 9))
def test_the_text_is_within_half_a_digit(value: float, digits: int) -> None:
    for padded in (True, False):
        read = float(significant(value, digits, padded=padded))
        assert abs(read - value) <= 0.5000001 * 10.0 ** (1 - digits) * abs(value)
    assert float(significant(value, digits, grouped=True).replace(",", "")) == read

"""Formats: exact cells against NumPy and ml_dtypes, any circuit against a scalar model in rational numbers.

ml_dtypes computes in float32 and rounds once. `python -m circuits verify` compares all 2^32 pairs of 16-bit formats.
"""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from bit_equality import equal_bits
from lopsided import LOPSIDED

from circuits import TOPOLOGIES, AdderCell, Design, DesignError, UnknownNameError, design
from circuits.accuracy import format_reference
from circuits.commands import main
from circuits.floats import arithmetic


def corner_values(name: str) -> np.ndarray:
    """Zeros, ones, the smallest and largest of subnormal and normal numbers and their neighbours, infinities, NaN."""
    values = format_reference.every_value(name)
    fmt = arithmetic.float_format(name)
    ulp = 1 << fmt.fraction_bits
    half = len(values) // 2
    top = np.flatnonzero(np.isfinite(values[:half]))[-1]
    one = int(np.flatnonzero(values[:half] == 1)[0])
    codes = {0, 1, 2, 3, ulp // 2, ulp - 1, ulp, ulp + 1, 2 * ulp - 1, 2 * ulp, top - ulp, top - 1, top, half - 1}
    codes |= {one - ulp, one - 1, one, one + 1, one + ulp // 2, one + ulp - 1, one + ulp, top + 1}
    # Factors of the smallest normal number: products on both sides of the underflow limit.
    codes |= {(one + ulp) // 2 + k for k in range(-4, 5)}
    chosen = values[sorted(code % half for code in codes)]
    return np.concatenate([chosen, -chosen])


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2"])
def test_fp8_equals_ml_dtypes_on_all_pairs(name: str, topology: str) -> None:
    result = format_reference.compare(Design(format=name, topology=topology, rounding="nearest_even"))
    assert (result.pairs, result.mismatches, result.first) == (65_536, 0, None)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("subnormals", ["flush", "ieee"])
def test_16_bit_formats_equal_the_reference_on_a_sample(name: str, subnormals: str) -> None:
    """20 seeded first operands with all 65,536 second ones, and all pairs of corner values."""
    multiplier = Design(format=name, topology="booth", rounding="nearest_even", subnormals=subnormals)
    corners = corner_values(name)
    x, w = np.broadcast_arrays(corners[:, None], corners[None, :])
    wanted = format_reference.expected(name, x, w, subnormals)
    agree = equal_bits(multiplier.multiply(x, w), wanted)
    if name == "bfloat16" and subnormals == "ieee":
        # ml_dtypes rounds twice where float32 itself is subnormal; there, a product may be one step off.
        with np.errstate(invalid="ignore"):
            tiny = np.abs(x.astype(np.float64) * w) < 2.0**-126
        assert agree[~tiny].all()
        return
    assert agree.all()
    result = format_reference.compare(multiplier, rows=20, threads=2)
    assert (result.pairs, result.mismatches) == (20 * 65_536, 0)


@pytest.mark.parametrize(("name", "dtype"), [("e3m4", ml_dtypes.float8_e3m4), ("e4m3", ml_dtypes.float8_e4m3)])
def test_user_formats_equal_ml_dtypes_on_all_pairs(name: str, dtype: type) -> None:
    values = np.arange(256, dtype=np.uint8).view(dtype)
    multiplier = Design(format=name, rounding="nearest_even", subnormals="ieee")
    x, w = np.broadcast_arrays(values[:, None], values[None, :])
    with np.errstate(all="ignore"):
        wanted = (x * w).astype(np.float32)
    assert equal_bits(multiplier.multiply(x.astype(np.float32), w.astype(np.float32)), wanted).all()


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float16", np.float16),
        ("bfloat16", ml_dtypes.bfloat16),
        ("fp8_e4m3", ml_dtypes.float8_e4m3fn),
        ("fp8_e5m2", ml_dtypes.float8_e5m2),
        ("e3m4", ml_dtypes.float8_e3m4),
    ],
)
def test_conversion_equals_a_cast(name: str, dtype: type) -> None:
    bits = np.random.default_rng(5).integers(0, 2**32, 400_000, dtype=np.uint32)
    values = np.concatenate([bits.view(np.float32), np.random.default_rng(6).normal(size=100_000).astype(np.float32)])
    edges = np.abs(format_reference.every_value("fp8_e5m2" if name == "e3m4" else name)[:2048])
    with np.errstate(all="ignore"):
        values = np.concatenate([values, edges, np.nextafter(edges, np.float32(9e9)), edges * np.float32(1 + 2.0**-9)])
        wanted = values.astype(dtype).astype(np.float32)
    fmt = arithmetic.float_format(name)
    got = arithmetic.quantize(fmt, values, rounding="nearest_even", subnormals="ieee")
    assert equal_bits(got, wanted).all()
    assert equal_bits(arithmetic.quantize(fmt, got, rounding="truncate", subnormals="ieee"), got).all()


# A model of the wrapper in rational numbers, one pair at a time, from DESIGN "Float semantics".


def rounded(fmt: arithmetic.FloatFormat, value: Fraction, rounding: str, subnormals: str) -> float:
    """`value` > 0 in the format."""
    exponent = math.frexp(float(value))[1] - 1  # float(value) is exact or rounds up to a power of two at most
    if Fraction(2) ** exponent > value:
        exponent -= 1

    def to_grid(lowest: int) -> Fraction:
        step = Fraction(2) ** (lowest - fmt.fraction_bits)
        return (round(value / step) if rounding == "nearest_even" else value // step) * step

    result = to_grid(exponent)
    smallest = Fraction(2) ** fmt.minimum_exponent
    if result < smallest:
        result = Fraction(0)
    if subnormals == "ieee":
        result = to_grid(max(exponent, fmt.minimum_exponent))
    if result > Fraction(fmt.largest):
        return math.inf if fmt.infinity else math.nan
    return float(result)


def model_product(multiplier: Design, x: float, w: float, mantissas: np.ndarray) -> float:
    """The product of two finite, non-zero values of the format; mantissas[a, b] is the circuit's product."""
    fmt = multiplier.float_format
    assert fmt is not None
    parts = []
    for value in (x, w):
        fraction, exponent = math.frexp(abs(value))
        parts.append((int(Fraction(fraction) * 2**fmt.width), exponent - 1))
    (a, a_exponent), (b, b_exponent) = parts
    product = int(mantissas[a, b])
    place = 2 * fmt.width - 2
    lead = max(product.bit_length() - 1, place)
    significand = Fraction(product % 2**lead + 2**lead, 2**lead)
    raised = min(lead - place, 1) if multiplier.normalization == "released" else lead - place
    magnitude = rounded(
        fmt,
        significand * Fraction(2) ** (a_exponent + b_exponent + raised),
        multiplier.rounding,
        str(multiplier.subnormals),
    )
    return math.copysign(magnitude, math.copysign(1, x) * math.copysign(1, w))


GENEROUS = AdderCell("generous", "11000011", "01110111")
"""Overestimates, so that tiles exceed 2w bits."""

MODELLED = [
    Design(format="fp8_e4m3", placement=LOPSIDED, topology="booth", rounding="nearest_even"),
    Design(format="fp8_e5m2", placement=LOPSIDED, topology="wallace", subnormals="flush"),
    Design(format="fp8_e5m2", placement="ama5", topology="dadda", rounding="nearest_even", subnormals="flush"),
    Design(format="fp8_e4m3", placement=GENEROUS, tile=2),
    Design(format="fp8_e4m3", placement=GENEROUS, tile=2, normalization="released", rounding="nearest_even"),
    Design(format="fp8_e4m3", placement=GENEROUS, tile=3, topology="booth", rounding="nearest_even"),
    Design(format="fp8_e4m3", topology="booth", truncate_columns=5),
    Design(format="e3m2", placement=LOPSIDED, topology="carry_save_array", final_adder="cell"),
    Design(format="e2m5", placement=LOPSIDED, subnormals="ieee", rounding="nearest_even"),
    Design(format="e4m1", placement=LOPSIDED, rounding="nearest_even"),
]


def all_values(fmt: arithmetic.FloatFormat) -> np.ndarray:
    """Every finite value of the format, by code."""
    e, m = fmt.exponent_bits, fmt.fraction_bits
    codes = np.arange(1 << e + m)
    exponent, fraction = codes >> m, codes & (1 << m) - 1
    values = np.where(
        exponent == 0,
        np.ldexp(fraction.astype(float), fmt.minimum_exponent - m),
        np.ldexp((fraction + (1 << m)).astype(float), exponent - fmt.bias - m),
    )
    values = values[: -(1 << m)] if fmt.infinity else values[:-1]
    return np.concatenate([values, -values]).astype(np.float32)


@pytest.mark.parametrize("multiplier", MODELLED, ids=range(len(MODELLED)))
def test_any_circuit_in_any_format_equals_the_scalar_model(multiplier: Design) -> None:
    """All finite values of the format, zeros and subnormals included, times all magnitudes, signs alternating."""
    fmt = multiplier.float_format
    assert fmt is not None
    values = all_values(fmt)
    assert values.max() == fmt.largest
    top = 2**fmt.width
    leading = np.arange(top // 2, top)
    mantissas = np.zeros((top, top), dtype=np.uint64)
    mantissas[top // 2 :, top // 2 :] = multiplier.multiply_integers(leading[:, None], leading[None, :])
    second = all_values(fmt)[: len(values) // 2]
    second[1::2] *= -1
    got = multiplier.multiply(values[:, None], second[None, :])
    smallest = 2.0**fmt.minimum_exponent if multiplier.subnormals == "flush" else 0.0
    wanted = np.zeros_like(got)
    for i, x in enumerate(values.tolist()):
        for j, w in enumerate(second.tolist()):
            if 0 in (x, w) or min(abs(x), abs(w)) < smallest:
                wanted[i, j] = math.copysign(0, math.copysign(1, x) * math.copysign(1, w))
            else:
                wanted[i, j] = model_product(multiplier, x, w, mantissas)
    assert equal_bits(got, wanted).all()


def test_some_of_the_modelled_designs_need_the_extra_bit() -> None:
    for multiplier in MODELLED:
        bits = len(multiplier.netlist().outputs["product"])
        assert bits == sum(multiplier.shape) + (multiplier.tile is not None)
    leading = np.arange(8, 16)
    assert MODELLED[3].multiply_integers(leading[:, None], leading[None, :]).max() >= 256


def test_specials_and_overflow_follow_the_rules_of_every_format() -> None:
    for name in (*arithmetic.FORMATS, "e2m1", "e5m3"):
        multiplier = Design(format=name, placement=LOPSIDED, topology="dadda")
        fmt = multiplier.float_format
        assert fmt is not None
        inf = np.inf if fmt.infinity else np.nan
        x = np.array([np.inf, -np.inf, np.inf, np.nan, np.nan, fmt.largest, -fmt.largest, 0, -0.0], dtype=np.float32)
        w = np.array([2, 2, 0, 1, 0, fmt.largest, 2, -1, -1], dtype=np.float32)
        wanted = np.array([inf, -inf, np.nan, np.nan, np.nan, inf, -inf, -0.0, 0.0], dtype=np.float32)
        assert equal_bits(multiplier.multiply(x, w), wanted).all(), name


# The named design bfloat16, and operands outside the format.


def test_bfloat16_noise_is_negative() -> None:
    """DA 7.2, figure 13: operands in [0, 1], mostly negative noise; by truncation it is never positive here."""
    rng = np.random.default_rng(7)
    x, w = rng.random((2, 200_000), dtype=np.float32)
    noise = design("bfloat16").multiply(x, w).astype(np.float64) - x.astype(np.float64) * w
    assert (noise <= 0).all()
    assert (noise < 0).mean() > 0.99
    assert -0.02 < noise.min() < -0.005


def test_bfloat16_truncates_exact_products() -> None:
    """Against ml_dtypes' products before rounding: the top 16 bits of the float32 product, tiny ones flushed."""
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 2**16, (2, 300_000)).astype(np.uint16)
    x, w = codes.view(ml_dtypes.bfloat16).astype(np.float32)
    with np.errstate(all="ignore"):
        flushed_x, flushed_w = (np.where(np.abs(a) < 2.0**-126, np.copysign(np.float32(0), a), a) for a in (x, w))
        product = flushed_x * flushed_w
        tiny = np.abs(flushed_x.astype(np.float64) * flushed_w) < 2.0**-126
    bits = np.where(tiny, product.view(np.uint32) & 0x80000000, product.view(np.uint32) & 0xFFFF0000)
    wanted = np.where(np.isnan(product), np.float32(np.nan), bits.astype(np.uint32).view(np.float32))
    assert equal_bits(design("bfloat16").multiply(x, w), wanted.astype(np.float32)).all()


@pytest.mark.parametrize("rounding", arithmetic.ROUNDINGS)
def test_operands_outside_the_format_are_converted_by_the_designs_rounding(rounding: str) -> None:
    multiplier = Design(format="fp8_e4m3", placement=LOPSIDED, rounding=rounding)
    x, w = np.random.default_rng(9).normal(size=(2, 20_000)).astype(np.float32)
    fmt = multiplier.float_format
    assert fmt is not None
    inside = [arithmetic.quantize(fmt, a, rounding=rounding, subnormals="ieee") for a in (x, w)]
    assert not equal_bits(inside[0], x).all()
    assert equal_bits(multiplier.multiply(x, w), multiplier.multiply(*inside)).all()


def test_impossible_formats_are_refused() -> None:
    for name in ("e8m24", "e9m3", "e1m3", "e4m0"):
        with pytest.raises(DesignError) as error:
            Design(format=name)
        assert str(error.value) == (
            f"2 <= exponent_bits <= 8 and 1 <= fraction_bits <= 23 must hold, but got {name[1]} and {name[3:]}; "
            f"choose a format that float32 can hold."
        )
    for name in ("e４m3", "e²m3", "e-4m3", "e4m", "m3", "E4M3x", "e100m3", "float23"):
        with pytest.raises(UnknownNameError, match="unknown format"):
            Design(format=name)


def test_operands_of_other_types_are_converted_or_refused() -> None:
    multiplier = design("bfloat16")
    np.testing.assert_array_equal(multiplier.multiply([1e300, 2, True], np.int64(3)), np.array([np.inf, 6, 3], "f4"))
    with pytest.raises(DesignError) as error:
        multiplier.multiply(1.0, 2j)
    assert str(error.value) == "w must hold real numbers, but has dtype complex128; convert it to float32."


# The command `verify`.


def test_verify_prints_one_line_for_each_format(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fp8_e4m3", "bfloat16", "--pairs", "70000", "--topology", "booth", "--threads", "2"]
    assert main(["verify", *arguments]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("fp8_e4m3: 65,536 of 65,536 pairs, 0 mismatches with float8_e4m3fn, ")
    assert second.startswith("bfloat16: 131,072 of 4,294,967,296 pairs, 0 mismatches with bfloat16, ")


def test_verify_reports_a_mismatch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        format_reference, "expected", lambda name, x, w, subnormals: np.ones((len(x), w.shape[1]), "f4")
    )
    assert main(["verify", "fp8_e5m2"]) == 1
    line, first = capsys.readouterr().out.splitlines()
    assert "fp8_e5m2: 65,536 of 65,536 pairs, 65," in line
    assert first == "  first: 0.0 * 0.0 gave 0.0 instead of 1.0"


def test_verify_notices_a_wrong_design() -> None:
    result = format_reference.compare(Design(format="fp8_e4m3", placement=LOPSIDED, rounding="nearest_even"))
    assert result.pairs == 65_536
    assert result.mismatches > 10_000
    truncating = format_reference.compare(Design(format="bfloat16", topology="booth"), rows=4)
    assert truncating.mismatches > 10_000


def test_verify_names_the_formats_that_it_can_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "tf32"]) == 2
    assert capsys.readouterr().err == (
        "error: unknown format 'tf32'; available: bfloat16, float16, fp8_e4m3, fp8_e5m2.\n"
    )


def test_round_product_equals_numpy_for_float32() -> None:
    rng = np.random.default_rng(2)
    x, w = (np.ldexp(rng.random(10**5, dtype=np.float32), rng.integers(-60, 60, 10**5)) for _ in range(2))
    x, w = x.astype(np.float32), w.astype(np.float32)
    exact = x.astype(np.float64) * w
    rounded = arithmetic.round_product(arithmetic.FORMATS["float32"], exact, rounding="nearest_even", subnormals="ieee")
    np.testing.assert_array_equal(rounded.astype(np.float32), x * w)

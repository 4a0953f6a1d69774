"""The compiled kernels of every format and of integers, against products one by one in `circuits.floats.arithmetic`.

The interpreted backend has no float kernel for formats other than float32, so that its products are those of the
reference semantics around interpreted gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bit_equality import equal_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from lopsided import LOPSIDED

from circuits import Design, matmul
from circuits.engine.float_conversion import to_format
from circuits.engine.float_operations import multiply
from circuits.engine.llvm import jit
from circuits.engine.matrix_products.element_places import places_of_rows
from circuits.engine.matrix_products.gate_method import LAYOUTS
from circuits.floats import arithmetic
from circuits.support import processor

NAMES = (
    *("tf32", "bfloat16", "float16", "fp8_e5m2", "fp8_e4m3", "e8m15", "e5m21", "e2m1", "e6m20", "e4m23", "e7m9"),
    *("e8m1", "e7m22", "e2m23", "e8m22", "float32"),
)


def lopsided_below(name: str, **fields: Any) -> Design:
    """A design that is not commutative in its lowest columns."""
    width = 2 * arithmetic.float_format(name).width
    return Design(format=name, placement={"columns": [LOPSIDED] * 3 + ["exact"] * (width - 3)}, **fields)


def designs(name: str) -> list[Design]:
    """Both roundings and subnormal rules, exact, lopsided and overestimating."""
    tile = 2 if arithmetic.float_format(name).width < 12 else 6
    return [
        multiplier
        for rounding in arithmetic.ROUNDINGS
        for subnormals in arithmetic.SUBNORMALS
        for multiplier in (
            Design(format=name, rounding=rounding, subnormals=subnormals),
            lopsided_below(name, rounding=rounding, subnormals=subnormals),
            Design(format=name, rounding=rounding, subnormals=subnormals, placement="ama3", tile=tile),
            Design(
                format=name,
                rounding=rounding,
                subnormals=subnormals,
                placement="ama3",
                tile=tile,
                normalization="released",
            ),
        )
    ]


def values_of_every_size(fmt: arithmetic.FloatFormat, rng: np.random.Generator, count: int) -> np.ndarray:
    """float32 values: any bit patterns, and those around the format's limits and between its numbers."""
    low = fmt.minimum_exponent
    parts = [
        rng.integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32),
        2.0 ** rng.integers(low - fmt.fraction_bits - 3, low + 3, count) * rng.uniform(1, 2, count),
        # Just below powers of two near the smallest normal number: 2 - 2^-k rounds up or not, by one bit.
        2.0 ** rng.integers(low - 3, low + 1, count)
        * (2 - rng.integers(0, 3, count) * 2.0 ** -rng.integers(1, 24, count)),
        2.0 ** (low / 2) * rng.normal(size=count),
        fmt.largest * (1 + rng.normal(size=count) * 2.0 ** -rng.integers(1, 25, count)),
        rng.normal(size=count),
    ]
    with np.errstate(over="ignore"):
        # One by one: a signalling NaN does not survive a detour through float64.
        values = np.concatenate([part.astype(np.float32) for part in parts])
    values = np.concatenate([values, -values, np.array([0, -0.0, np.inf, -np.inf, np.nan], dtype=np.float32)])
    return rng.permutation(values)


# float32 is not converted: its kernels flush what they have to.
@pytest.mark.parametrize("name", NAMES[:-1])
def test_conversion_equals_the_reference(name: str) -> None:
    fmt = arithmetic.float_format(name)
    values = values_of_every_size(fmt, np.random.default_rng(3), 20_000)
    for rounding in arithmetic.ROUNDINGS:
        for subnormals in arithmetic.SUBNORMALS:
            multiplier = Design(format=name, rounding=rounding, subnormals=subnormals)
            wanted = arithmetic.quantize(fmt, values, rounding=rounding, subnormals=subnormals)
            assert equal_bits(to_format(multiplier, values), wanted).all()
            assert equal_bits(to_format(multiplier, values[:3]), wanted[:3]).all()


@pytest.mark.parametrize("name", ["float16", "fp8_e4m3", *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES)])
def test_products_equal_the_reference(name: str) -> None:
    fmt, rng = arithmetic.float_format(name), np.random.default_rng(4)
    values = values_of_every_size(fmt, rng, 5_000)
    for multiplier in designs(name):
        x, w = rng.permutation(values), rng.permutation(values)
        with np.errstate(invalid="ignore", over="ignore"):
            wanted = multiply(multiplier, x, w, backend="interpreted")
        assert equal_bits(multiply(multiplier, x, w, backend="compiled"), wanted).all()


def every_value(fmt: arithmetic.FloatFormat) -> np.ndarray:
    """All finite values, subnormal ones included, infinities and NaN."""
    ulps = np.arange(2 << fmt.fraction_bits)[:, None]
    magnitudes = ulps * 2.0 ** (np.arange(1 << fmt.exponent_bits) + fmt.minimum_exponent - fmt.fraction_bits)
    magnitudes = np.unique(magnitudes[magnitudes <= fmt.largest])
    return np.concatenate([magnitudes, -magnitudes, [np.inf, -np.inf, np.nan]]).astype(np.float32)


@pytest.mark.parametrize("name", ["fp8_e5m2", "fp8_e4m3", "e3m4", "e2m1", "e4m3"])
@pytest.mark.parametrize("subnormals", arithmetic.SUBNORMALS)
def test_all_pairs_of_small_formats_equal_the_reference(name: str, subnormals: str) -> None:
    values = every_value(arithmetic.float_format(name))
    x, w = np.broadcast_arrays(values[:, None], values)
    for rounding in arithmetic.ROUNDINGS:
        multiplier = lopsided_below(name, rounding=rounding, subnormals=subnormals)
        with np.errstate(invalid="ignore"):
            wanted = multiply(multiplier, x, w, backend="interpreted")
        assert equal_bits(multiply(multiplier, x, w, backend="compiled"), wanted).all()
        # Two bits of mantissa leave the cells no room for a difference.
        assert name == "e2m1" or not equal_bits(wanted, wanted.T).all()


def summed(multiplier: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Products by the reference, added in ascending k."""
    total = np.zeros((len(x), w.shape[1]), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for k in range(len(w)):
            total += multiply(multiplier, x[:, k, None], w[k], backend="interpreted")
    return total


@given(data=st.data())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_matrix_products_equal_the_reference(data: st.DataObject) -> None:
    """Few rows and many, in and out of the format's normal range."""
    name = data.draw(st.sampled_from(["float16", "tf32", "fp8_e4m3", "e8m15", "e7m9", "float32", "e6m23"]))
    rounding, subnormals = (
        data.draw(st.sampled_from(rules)) for rules in (arithmetic.ROUNDINGS, arithmetic.SUBNORMALS)
    )
    multiplier = lopsided_below(name, rounding=rounding, subnormals=subnormals)
    fmt = arithmetic.float_format(name)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    rows, depth, columns = (data.draw(st.integers(1, n)) for n in (20, 9, 12))
    if data.draw(st.booleans()):
        rows += 520
    shapes = ((rows, depth), (depth, columns))
    kind = data.draw(st.sampled_from(["normal", "small", "any"]))
    if kind == "any":
        pool = values_of_every_size(fmt, rng, 500)
        x, w = (rng.choice(pool, shape) for shape in shapes)
    else:
        scale = 1.0 if kind == "normal" else 2.0 ** (fmt.minimum_exponent / 2)
        x, w = ((rng.uniform(1, 2, shape) * scale).astype(np.float32) for shape in shapes)
    result = matmul(multiplier, x, w, method="gate", threads=data.draw(st.integers(1, 3)))
    assert equal_bits(result, summed(multiplier, x, w)).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("name", "rounding"),
    [
        ("float32", "nearest_even"),
        ("bfloat16", "truncate"),
        pytest.param("float32", "truncate", marks=pytest.mark.slow),
        pytest.param("e8m22", "nearest_even", marks=pytest.mark.slow),
        pytest.param("e5m23", "nearest_even", marks=pytest.mark.slow),
    ],
)
def test_subnormal_operands_and_products_in_every_layout(layout: str, name: str, rounding: str) -> None:
    """Subnormal numbers of float32, too, which no kernel but these takes for what they are."""
    multiplier = lopsided_below(name, rounding=rounding, subnormals="ieee")
    rng = np.random.default_rng(5)
    x, w = (rng.uniform(1, 2, shape) * rng.choice([0, -1, 1], shape) for shape in ((60, 37), (5, 37)))
    smallest = 2.0**multiplier.float_format.minimum_exponent
    for scale, others in ((1.0, 1.0), (smallest, 1.0), (smallest / 8, 1.0), (1.0, smallest / 4), (2.0**-64, 2.0**-64)):
        own_x, own_w = (x * scale).astype(np.float32), (w * others).astype(np.float32)
        for corner in (None, 2.0**-149, np.inf, np.nan, 3e38):
            if corner:
                own_x[7, 3], own_w[2, 9] = corner, -corner
            out = np.empty((60, 5), dtype=np.float32)
            operands = (to_format(multiplier, values) for values in (own_x, own_w))
            LAYOUTS[layout](multiplier, *operands, out, places_of_rows(60, 37, 5), 2)
            assert equal_bits(out, summed(multiplier, own_x, own_w.T)).all()


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
@pytest.mark.parametrize("operand", [0, 1])
def test_subnormals_are_no_zeros_to_leave_out(name: str, operand: int) -> None:
    """One row and many rows, all of whose kernels leave zeros out."""
    multiplier = lopsided_below(name, rounding="nearest_even", subnormals="ieee")
    rng = np.random.default_rng(6)
    for x_shape, w_shape in (((1, 90), (4, 90)), ((600, 20), (3, 20))):
        x, w = (rng.normal(size=shape).astype(np.float32) for shape in (x_shape, w_shape))
        x[rng.random(x.shape) < 0.6] = 0
        subnormal = (x, w)[operand]
        subnormal[...] = np.where(rng.random(subnormal.shape) < 0.2, subnormal * np.float32(2.0**-130), subnormal)
        other = (x, w)[1 - operand]
        other[...] *= np.float32(2.0**100)
        result = matmul(multiplier, x, w.T, method="gate", threads=1)
        assert equal_bits(result, summed(multiplier, x, w.T)).all()
        assert np.count_nonzero(result)


@pytest.mark.parametrize("level", processor.VECTOR_BITS)
def test_every_vector_width_gives_the_sums_of_the_reference(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if processor.VECTOR_BITS[level] > jit.Target.host(None).vector_bits:
        pytest.skip(f"this processor has no {level}")
    monkeypatch.setenv(processor.VARIABLE, level)
    rng = np.random.default_rng(9)
    for name in ("float16", "float32"):
        multiplier = lopsided_below(name, rounding="nearest_even", subnormals="ieee")
        pool = values_of_every_size(arithmetic.float_format(name), rng, 500)
        x, w = rng.choice(pool, (600, 5)), rng.choice(pool, (5, 3))
        assert equal_bits(matmul(multiplier, x, w), summed(multiplier, x, w)).all()
        assert equal_bits(matmul(multiplier, x[:2], w), summed(multiplier, x[:2], w)).all()
    codes = Design(format=None, width=9, placement={"columns": [LOPSIDED] * 5 + ["exact"] * 13})
    x, w = rng.integers(0, 512, (600, 70)), rng.integers(0, 512, (70, 3))
    np.testing.assert_array_equal(matmul(codes, x, w), summed_codes(codes, x, w))


# Integers.


def summed_codes(multiplier: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Products by interpreted gates, added in int64."""
    total = np.zeros((len(x), w.shape[1]), dtype=np.int64)
    for k in range(len(w)):
        total += multiplier.multiply_integers(x[:, k, None], w[k], backend="interpreted").astype(np.int64)
    return total


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 8, "placement": LOPSIDED},
        {"width": 8, "placement": LOPSIDED, "signed": True},
        {"width": 12, "placement": {"columns": [LOPSIDED] * 8 + ["exact"] * 16}},
        {"width": 16, "placement": "ama3", "tile": 4},
        {"width": 16, "topology": "booth", "signed": True, "truncate_columns": 5},
        {"width": (3, 11), "placement": LOPSIDED},
        {"width": (11, 3), "placement": LOPSIDED, "signed": True},
        {"width": 17, "topology": "wallace"},
    ],
    ids=str,
)
def test_integer_matrix_products_through_gates_are_exact_sums(fields: dict[str, Any]) -> None:
    """Lanes lie along the rows or along the columns; the last circuit is too wide for the kernel."""
    multiplier = Design(format=None, **fields)
    rng = np.random.default_rng(6)
    least = [-(1 << width - 1) if multiplier.signed else 0 for width in multiplier.shape]
    beyond = [low + (1 << width) for low, width in zip(least, multiplier.shape, strict=True)]
    for rows, depth, columns in ((600, 37, 3), (3, 70, 65), (1, 1, 1)):
        x = rng.integers(least[0], beyond[0], (rows, depth))
        w = rng.integers(least[1], beyond[1], (depth, columns))
        x[0], w[:, 0] = rng.choice([least[0], beyond[0] - 1]), rng.choice([least[1], beyond[1] - 1])
        for threads in (1, 2):
            result = matmul(multiplier, x, w, method="gate", threads=threads)
            np.testing.assert_array_equal(result, summed_codes(multiplier, x, w))

"""Table look-ups for few rows: exchanged operands, tiny products in one call, conversions to codes, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import Design, matmul
from circuits.engine.llvm.jit import Target
from circuits.engine.llvm.transposition import transposed
from circuits.engine.matrix_products import table_method, table_rows
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.matrix_products.gathering import gathered_matmul
from circuits.engine.matrix_products.table_rows import prepared_rows
from circuits.engine.padding import padded
from circuits.engine.table_kernels.float_codes import decoded, encode
from circuits.engine.table_kernels.fraction_codes import CodeRange, fraction_codes
from circuits.engine.table_kernels.operand_exchange import exchanged_places
from circuits.engine.table_kernels.permutation_kernel import lookup_cost
from circuits.engine.table_kernels.table_images import float_planes
from circuits.floats.arithmetic import quantize

Array = np.ndarray[Any, Any]
DESIGNS = {
    "signed": Design(width=8, format=None, signed=True, placement={"columns": ["ama4"] * 7 + ["exact"] * 9}),
    "not commutative": Design(width=8, format=None, placement="ama1"),
    "3x7": Design(width=(3, 7), format=None, placement="ama2"),
    "e4m3": Design(format="fp8_e4m3"),
    "e5m2": Design(format="fp8_e5m2", placement="ama5", rounding="nearest_even"),
    "e2m4": Design(format="e2m4", placement="ama1"),
    "bfloat16": Design(format="bfloat16"),
    "bfloat16 ama1": Design(format="bfloat16", placement="ama1", rounding="nearest_even"),
    "two planes": Design(format="bfloat16", placement="ama5", tile=4),
    "e8m3": Design(format="e8m3", placement="ama2", subnormals="ieee"),
    "e5m7": Design(format="e5m7", placement="ama1"),
}
CORNERS = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3e38, -1.0]


def operands(circuit: Design, rng: np.random.Generator, shape: tuple[int, ...], operand: int) -> Array:
    """Codes of all values, or floats whose products are normal in all formats here, a tenth of them zeros."""
    if circuit.float_format is None:
        bits = circuit.shape[operand]
        least = -(1 << bits - 1) if circuit.signed else 0
        return rng.integers(least, least + (1 << bits), shape).astype(np.int8 if circuit.signed else np.uint8)
    values = np.ldexp(rng.uniform(1, 2, shape), rng.integers(-1, 2, shape)) * rng.choice([1, -1], shape)
    return np.where(rng.random(shape) < 0.1, 0, values).astype(np.float32)


def sums(circuit: Design, x: Array, w: Array) -> Array:
    """x @ w.T, products by the gates, added in ascending k."""
    dtype = np.float32 if circuit.float_format is not None else np.int64
    total = np.zeros((len(x), len(w)), dtype=dtype)
    for k in range(x.shape[1]):
        if circuit.float_format is None:
            products = circuit.multiply_integers(x[:, k, None].astype(int), w[None, :, k].astype(int))
            total += products.astype(np.int64)
        else:
            with np.errstate(invalid="ignore", over="ignore"):
                total = total + circuit.multiply(x[:, k, None], w[None, :, k])
    return total


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("shape", [(1, 130, 65), (3, 20, 200), (70, 131, 130), (65, 5, 700)])
def test_products_with_columns_in_lanes_equal_the_sums(
    name: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    circuit, rng = DESIGNS[name], np.random.default_rng(1)
    rows, depth, columns = shape
    if Target.host().byte_permutations:
        assert exchanged_places(places_of_rows(rows, depth, columns), columns) is not None
        monkeypatch.setattr(table_method, "find_method", None)  # nothing is left to the gates
    x, w = operands(circuit, rng, (rows, depth), 0), operands(circuit, rng, (columns, depth), 1)
    expected = sums(circuit, x, w)
    for threads in (1, 3):
        np.testing.assert_array_equal(matmul(circuit, x, w.T, method="table", threads=threads), expected)


@pytest.mark.parametrize("name", ["signed", "not commutative"])
@pytest.mark.parametrize("shape", [(1100, 9, 40), (300, 150, 3), (2, 90, 70), (64, 33, 130)])
def test_codes_within_and_beyond_half_the_table_give_the_sums(
    name: str, shape: tuple[int, int, int], cpu_level: str
) -> None:
    circuit, rng = DESIGNS[name], np.random.default_rng(3)
    rows, depth, columns = shape
    x, w = operands(circuit, rng, (rows, depth), 0), operands(circuit, rng, (columns, depth), 1)
    for x_codes, w_codes in ((x & 127, w), (x, w & 127), (x & 127, w & 127)):
        for codes in (x_codes, w_codes):
            codes[0, :2] = 0, 127
        for last in (127, -1 if circuit.signed else 128):  # the last code needs the whole table
            x_codes[-1, -1] = last
            products = matmul(circuit, x_codes, w_codes.T, method="table", threads=2)
            np.testing.assert_array_equal(products, sums(circuit, x_codes, w_codes))


def test_operands_are_exchanged_unless_their_look_ups_cost_more() -> None:
    places = places_of_rows(64, 10, 512)
    assert exchanged_places(places, 512) is not None
    assert exchanged_places(places, 512, (lookup_cost(2), lookup_cost(4))) is None
    assert exchanged_places(places, 512, (lookup_cost(4), lookup_cost(2))) is not None
    # Of 256 codes there are four registers, whose permutations take all of the time; of 64 there is one.
    assert [lookup_cost(segments) for segments in (1, 2, 4)] == [2.0, 2.5, 4.0]


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "bfloat16", "e2m4"])
def test_corner_operands_with_columns_in_lanes_equal_the_gates(name: str, cpu_level: str) -> None:
    circuit, rng = DESIGNS[name], np.random.default_rng(2)
    x, w = operands(circuit, rng, (5, 40), 0), operands(circuit, rng, (130, 40), 1)
    for x_corner, w_corner in ((True, False), (False, True), (True, True)):
        own_x, own_w = x.copy(), w.copy()
        if x_corner:
            own_x[-1, : len(CORNERS)] = CORNERS
        if w_corner:
            own_w[77, : len(CORNERS)] = CORNERS[::-1]
        got = matmul(circuit, own_x, own_w.T, method="table", threads=1)
        np.testing.assert_array_equal(got, matmul(circuit, own_x, own_w.T, method="gate", threads=1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 150), st.integers(1, 40), st.integers(1, 150), st.integers(0, 3), st.integers(1, 3), st.data())
def test_sums_of_exchanged_operands_are_written_to_their_places(
    rows: int, depth: int, columns: int, begin: int, stretch: int, data: st.DataObject
) -> None:
    circuit = DESIGNS["not commutative"]
    rng = np.random.default_rng(rows)
    x, w = operands(circuit, rng, (rows * depth + begin,), 0), operands(circuit, rng, (columns, depth), 1)
    by_columns = data.draw(st.booleans())
    steps = (stretch, rows * stretch) if by_columns else (columns * stretch, stretch)
    order = rng.permutation(rows) if data.draw(st.booleans()) else np.arange(rows)  # the last cannot be exchanged
    out_at = begin + order * steps[0]
    places = Places(np.arange(rows) * depth, begin + np.arange(depth), out_at, steps[1])
    out = np.full(begin + rows * columns * stretch, -1, dtype=np.int32)
    gathered_matmul(circuit, x, w, out, places, method="table", threads=1)
    expected = np.full_like(out, -1)
    expected[out_at[:, None] + np.arange(columns) * steps[1]] = sums(circuit, x[begin:].reshape(rows, depth), w)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.float32])
def test_transposed_matrices_are_those_of_numpy(dtype: Any, cpu_level: str) -> None:
    rng = np.random.default_rng(4)
    for rows, columns in ((1, 1), (16, 64), (8, 32), (17, 65), (64, 200), (3, 129), (130, 7), (10, 84)):
        matrix = rng.integers(0, 100, (rows, columns)).astype(dtype)
        np.testing.assert_array_equal(transposed(matrix), matrix.T)
    large = rng.integers(0, 100, (700, 1111)).astype(dtype)
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(transposed(large, threads), large.T)


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
@pytest.mark.parametrize("exchanged", [False, True])
def test_fp8_tables_keep_the_signs_apart(name: str, exchanged: bool) -> None:
    image = float_planes(DESIGNS[name], exchanged)  # type: ignore[arg-type]
    assert image.signs_apart
    assert image.planes.shape == (256, 2, 128)


@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2", "e2m5", "e6m1", "e3m2"])
@pytest.mark.parametrize("rounding", ["truncate", "nearest_even"])
@pytest.mark.parametrize("subnormals", ["flush", "ieee"])
def test_codes_of_bytes_equal_the_conversion(name: str, rounding: str, subnormals: str) -> None:
    circuit = Design(format=name, rounding=rounding, subnormals=subnormals)
    fmt = circuit.float_format
    assert fmt is not None
    patterns = (np.arange(1 << 16, dtype=np.uint32) << np.uint32(16))[:, None] + np.uint32([0, 1, 0x8000, 0xFFFF])
    # In order, and mixed so that values beyond the largest finite one have others beside them.
    for values in (patterns.ravel(), np.random.default_rng(5).permutation(patterns.ravel())[:-3]):
        floats = values.view(np.float32)
        codes = encode(circuit, floats)  # type: ignore[arg-type]
        with np.errstate(invalid="ignore"):
            expected = quantize(fmt, floats, rounding=rounding, subnormals=subnormals)
        np.testing.assert_array_equal(decoded(fmt)[codes], expected)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.signbit(decoded(fmt)[codes[finite]]), np.signbit(expected[finite]))


@pytest.mark.parametrize("fraction_bits", [7, 3, 1])
@pytest.mark.parametrize("rounding", ["truncate", "nearest_even"])
@pytest.mark.parametrize("subnormals", ["flush", "ieee"])
def test_codes_of_upper_halves_equal_the_conversion(fraction_bits: int, rounding: str, subnormals: str) -> None:
    circuit = Design(format=f"e8m{fraction_bits}", rounding=rounding, subnormals=subnormals)
    # All upper halves with all midpoints of values, their neighbours, and subnormals that round up to a normal number.
    lower = np.array([0, 1, 0x3FFF, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFFFF], dtype=np.uint32)
    patterns = ((np.arange(1 << 16, dtype=np.uint32) << np.uint32(16))[:, None] + lower).ravel()
    patterns = np.append(patterns, np.arange(0x7F8000 - 40, 0x800000, 23, dtype=np.uint32))
    values = patterns.view(np.float32)
    codes, _ = fraction_codes(circuit, values)  # type: ignore[arg-type]
    with np.errstate(invalid="ignore"):
        fmt = circuit.float_format
        assert fmt is not None
        expected = quantize(fmt, values, rounding=rounding, subnormals=subnormals)
    nan = np.isnan(values)
    assert (codes[nan] == 0x7FC0).all()
    np.testing.assert_array_equal(codes[~nan], expected[~nan].view(np.uint32) >> 16)


def test_subnormals_are_flushed_unless_they_round_up_to_the_least_normal_number() -> None:
    circuit = DESIGNS["bfloat16 ama1"]
    x = np.array([[0x007F8001], [0x007FBFFF], [0x007FC000], [0x00800000]], dtype=np.uint32).view(np.float32)
    w = np.float32([[2.0, 64.0]])
    products = matmul(circuit, x, w, method="table")
    np.testing.assert_array_equal(products, circuit.multiply(x, w))
    assert not products[:2].any()
    assert products[2:].all()


@pytest.mark.parametrize("name", ["bfloat16", "e5m7"])
def test_the_range_of_codes_covers_infinities_and_tells_of_zeros(name: str) -> None:
    for values, expected in (
        ([1.0, -2.0, 3.5], CodeRange(127, 128, False)),
        ([1.0] * 15 + [-0.0], CodeRange(127, 127, True)),
        ([0.0] * 17, CodeRange(256, 0, True)),
        ([0.5] * 33 + [np.inf], CodeRange(126, 255, False)),
        ([np.nan, 0.0], CodeRange(255, 255, True)),
    ):
        assert fraction_codes(DESIGNS[name], np.float32(values))[1] == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name, circuit in DESIGNS.items() if circuit.float_format is not None])
@pytest.mark.parametrize("biased", [False, True])
def test_tiny_products_in_one_call_equal_the_sums_and_the_gates(
    name: str, biased: bool, cpu_level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    circuit, rng = DESIGNS[name], np.random.default_rng(7)
    prepared_rows.cache_clear()  # they keep the kernels of another level
    for rows, depth, columns in ((1, 84, 10), (3, 1, 5), (7, 33, 2)):
        product = prepared_rows(circuit, rows, depth, columns)  # type: ignore[arg-type]
        if name == "e5m7":  # neither bytes nor the exponents of float32
            assert product is None
            continue
        assert product is not None
        x, w = operands(circuit, rng, (rows, depth), 0), operands(circuit, rng, (columns, depth), 1)
        bias, out = rng.standard_normal(columns).astype(np.float32), np.empty((rows, columns), np.float32)
        addresses = x.ctypes.data, w.ctypes.data, bias.ctypes.data if biased else None, out.ctypes.data
        with monkeypatch.context() as context:
            context.setattr(table_rows, "find_method", None)  # nothing is left to the gates
            product.run(*addresses, 1)
        np.testing.assert_array_equal(out, sums(circuit, x, w) + (bias if biased else np.float32(0)))
        corners = np.float32([*CORNERS, 2.0**-126, 2.0**-120, 2.0**127])
        for corner in corners:
            x[-1, -1] = w[-1, -1] = corner
            product.run(*addresses, 1)
            expected = matmul(circuit, x, w.T, method="gate", threads=1)
            np.testing.assert_array_equal(out, expected + (bias if biased else np.float32(0)))


def test_larger_products_are_not_prepared() -> None:
    assert prepared_rows(DESIGNS["e4m3"], 1, 84, 10) is prepared_rows(DESIGNS["e4m3"], 1, 84, 10)  # type: ignore[arg-type]
    assert prepared_rows(DESIGNS["e4m3"], 64, 84, 10) is None  # type: ignore[arg-type]
    assert prepared_rows(DESIGNS["e4m3"], 0, 84, 10) is None  # type: ignore[arg-type]
    assert prepared_rows(DESIGNS["signed"], 1, 84, 10) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 1200, 7, 7), (2, 3, 112, 112), (1, 1024, 8, 8), (40, 30, 5, 13)])
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (3, 2, 1, 0), (0, 8, 0, 0), (0, 0, 0, 5)])
def test_padded_bytes_are_those_of_numpy(shape: tuple[int, ...], padding: tuple[int, int, int, int]) -> None:
    x = np.random.default_rng(8).integers(-128, 128, shape).astype(np.int8)
    for value in (0, -5):
        expected = np.pad(x, ((0, 0), (0, 0), padding[:2], padding[2:]), constant_values=value)
        np.testing.assert_array_equal(padded(x, padding, value), expected)

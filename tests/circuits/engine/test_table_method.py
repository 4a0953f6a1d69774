"""Matrix products by table look-ups: bit for bit the plain sums of the gates' products."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import Design, DesignError, design, matmul
from circuits.engine.llvm.jit import Target
from circuits.engine.matrix_products import table_method
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.gathering import gathered_matmul
from circuits.engine.matrix_products.product_methods import choose_method

Array = np.ndarray[Any, Any]
INTEGER_DESIGNS = {
    "unsigned": Design(width=8, format=None),
    "signed": Design(width=8, format=None, signed=True),
    "not commutative": Design(width=8, format=None, placement="ama1"),
    "overestimates": Design(width=8, format=None, placement="ama5"),
    "signed, approximate": Design(
        width=8, format=None, signed=True, placement={"columns": ["ama4"] * 7 + ["exact"] * 9}
    ),
    "8x4": Design(width=(8, 4), format=None, signed=True),
    "3x7": Design(width=(3, 7), format=None, placement="ama2"),
    "6x8": Design(width=(6, 8), format=None),
}
FLOAT_DESIGNS = {
    "e4m3": Design(format="fp8_e4m3"),
    "e4m3 ama5": Design(format="fp8_e4m3", placement="ama5", rounding="nearest_even", subnormals="flush"),
    "e5m2": Design(format="fp8_e5m2", rounding="nearest_even"),
    "e2m5": Design(format="e2m5", placement="ama1"),
    "e6m1": Design(format="e6m1", subnormals="ieee"),
    "e3m2 released": Design(format="e3m2", placement="ama5", normalization="released"),
}


FRACTION_DESIGNS = {
    "bfloat16": Design(format="bfloat16"),
    "ama1, nearest": Design(format="bfloat16", placement="ama1", rounding="nearest_even"),
    "tiles that overestimate": Design(format="bfloat16", placement="ama5", tile=4),
    "released": Design(format="bfloat16", placement="ama5", tile=4, normalization="released"),
    "e8m3": Design(format="e8m3", placement="ama1"),
    "e5m7, subnormals": Design(format="e5m7", subnormals="ieee", rounding="nearest_even"),
    "e4m6": Design(format="e4m6", placement="ama2"),
}


@dataclass(frozen=True)
class TableCircuit:
    """An integer circuit given by its products [2**w, 2**v] alone; two are equal if their keys are."""

    key: str
    shape: tuple[int, int]
    signed: bool
    table: Array = field(compare=False)
    float_format = None

    def multiply_integers(self, x: Array, y: Array, *, backend: str = "auto") -> Array:
        first, second = self.shape
        return np.asarray(self.table[x & (1 << first) - 1, y & (1 << second) - 1])


def values_of(width: int, signed: bool) -> Array:
    """All integers of `width` bits."""
    return np.arange(1 << width) - (1 << width - 1 if signed else 0)


def reference(multiply: Any, x: Array, w: Array, places: Places, size: int, dtype: Any) -> Array:
    """The sums that `gathered_matmul` writes, one k at a time, into an array of -1."""
    out = np.full(size, -1, dtype=dtype)
    columns = len(w) // places.groups
    for group in range(places.groups):
        total = np.zeros((len(places.x_at), columns), dtype=dtype)
        for k, step in enumerate(places.x_step):
            operands = x.ravel()[places.x_at + step + group * places.x_group]
            own = w[group * columns : (group + 1) * columns, k]
            with np.errstate(invalid="ignore", over="ignore"):
                total = total + multiply(operands[:, None], own[None]).astype(dtype)
        at = places.out_at[:, None] + np.arange(columns) * places.out_step + group * places.out_group
        out[at] = total
    return out


def float_samples(rng: np.random.Generator, shape: tuple[int, ...], decades: float) -> Array:
    """Float32 of many magnitudes, with zeros of both signs among them."""
    values = rng.standard_normal(shape) * 10 ** rng.uniform(-decades, decades, shape)
    values = np.where(rng.random(shape) < 0.1, np.copysign(0, values), values)
    return values.astype(np.float32)


@pytest.mark.parametrize("name", INTEGER_DESIGNS)
@pytest.mark.parametrize("repeats", [1, 7])  # few rows and many: different kernels
def test_every_pair_of_codes_has_the_product_of_the_circuit(name: str, repeats: int, cpu_level: str) -> None:
    circuit = INTEGER_DESIGNS[name]
    x, w = (values_of(width, circuit.signed) for width in circuit.shape)
    x = np.tile(x, repeats)
    products = matmul(circuit, x[:, None], w[None], method="table", threads=1)
    assert products.dtype == np.int32
    np.testing.assert_array_equal(products, circuit.multiply_integers(x[:, None], w[None]))


def test_a_circuit_that_does_not_commute_takes_the_activation_first() -> None:
    circuit = INTEGER_DESIGNS["not commutative"]
    x = values_of(8, False)
    products = matmul(circuit, x[:, None], x[None], method="table")
    assert (products != products.T).any()


@pytest.mark.parametrize("name", FLOAT_DESIGNS)
@pytest.mark.parametrize("rows", [1, 60, 700])
def test_float_sums_with_corner_operands_equal_the_gates(name: str, rows: int, cpu_level: str) -> None:
    circuit, rng = FLOAT_DESIGNS[name], np.random.default_rng(rows)
    x, w = float_samples(rng, (rows, 13), 1.5), float_samples(rng, (13, 6), 1.5)
    corners = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3e38, -1.0]
    x[-1, : len(corners)] = corners
    w[: len(corners), -1] = corners[::-1]
    np.testing.assert_array_equal(
        matmul(circuit, x, w, method="table", threads=1), matmul(circuit, x, w, method="gate", threads=1)
    )


@pytest.mark.parametrize("name", ["e4m3", "e2m5"])
def test_every_float_code_and_midpoint_has_the_products_of_the_circuit(name: str) -> None:
    circuit = FLOAT_DESIGNS[name]
    # All float32 of eleven leading bits, and their neighbours: they include all values of the format, all midpoints,
    # and what lies just beside them.
    words = np.arange(1 << 11, dtype=np.uint32) << np.uint32(21)
    values = (words[:, None] + np.array([0, 1, 0xFFFFFFFF], dtype=np.uint32)).ravel().view(np.float32)
    w = np.float32([[1.0, -1.5, 0.3, 7.0, 1e-3]])
    got = matmul(circuit, values[:, None], w, method="table")
    with np.errstate(invalid="ignore", over="ignore"):
        expected = np.float32(0) + circuit.multiply(values[:, None], w)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", FRACTION_DESIGNS)
def test_every_pair_of_fractions_and_signs_has_the_product_of_the_circuit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    circuit = FRACTION_DESIGNS[name]
    forbid_gates(monkeypatch)
    fractions = (1 + np.arange(128) / 128).astype(np.float32)
    x, w = np.concatenate((fractions, -fractions / 2, [0, -0.0])).astype(np.float32), np.append(fractions, [0, -0.0])
    w = w.astype(np.float32)
    with np.errstate(invalid="ignore"):
        expected = np.float32(0) + circuit.multiply(x[:, None], w)
    np.testing.assert_array_equal(matmul(circuit, x[:, None], w[None], method="table"), expected)
    # Zeros of both signs are added as +0, and the sum of nothing but zeros is +0.
    assert not np.signbit(matmul(circuit, x[:, None], w[None], method="table")[-2:]).any()


def forbid_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the table method fail where it would leave a product to the gates, if this processor has its kernel."""
    if Target.host().byte_permutations:
        monkeypatch.setattr(table_method, "find_method", None)


@pytest.mark.parametrize("name", FRACTION_DESIGNS)
def test_sums_of_products_that_stay_normal_need_no_gates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit, rng = FRACTION_DESIGNS[name], np.random.default_rng(5)
    forbid_gates(monkeypatch)
    for rows, depth, columns in ((1, 1, 1), (70, 150, 7), (300, 31, 3)):
        # Exponents -2 .. 1 keep all products in the range of e4m6, 2^-6 to 2^7.
        x, w = (
            np.where(rng.random(shape) < 0.2, 0, np.ldexp(rng.uniform(1, 2, shape), rng.integers(-2, 2, shape)))
            * rng.choice([1, -1], shape)
            for shape in ((rows, depth), (depth, columns))
        )
        x, w = x.astype(np.float32), w.astype(np.float32)
        total = np.zeros((rows, columns), dtype=np.float32)
        for k in range(depth):
            total = total + circuit.multiply(x[:, k, None], w[None, k])
        for threads in (1, 3):
            np.testing.assert_array_equal(matmul(circuit, x, w, method="table", threads=threads), total)


@pytest.mark.parametrize("name", FRACTION_DESIGNS)
def test_products_that_leave_the_normal_range_equal_the_gates(name: str, cpu_level: str) -> None:
    circuit, rng = FRACTION_DESIGNS[name], np.random.default_rng(6)
    base = np.ldexp(rng.uniform(1, 2, (20, 5)), rng.integers(-1, 1, (20, 5))).astype(np.float32)
    w = np.ldexp(rng.uniform(1, 2, (5, 4)), -1).astype(np.float32)
    corners = [np.inf, -np.inf, np.nan, 1e-45, 1e-38, 2.0**-14, 2.0**-7, 3e38, 2.0**15, 2.0**6]
    for corner in corners:
        for factor in (1.0, 2.0**60, 2.0**-60):
            x = base.copy()
            x[3, 2] = corner
            own_w = (w * np.float32(factor)).astype(np.float32)
            np.testing.assert_array_equal(
                matmul(circuit, x, own_w, method="table", threads=1),
                matmul(circuit, x, own_w, method="gate", threads=1),
            )


def test_the_first_exponents_that_leave_the_normal_range_equal_the_circuit() -> None:
    circuit = FRACTION_DESIGNS["bfloat16"]
    for x_exponent, w_exponent in ((-126, 0), (-100, -26), (-100, -27), (127, 0), (64, 62), (64, 63), (100, 27)):
        x, w = (np.float32([[np.ldexp(1.9, e)], [np.ldexp(1.0, e)]]) for e in (x_exponent, w_exponent))
        with np.errstate(over="ignore"):
            expected = circuit.multiply(x, w.T)
        np.testing.assert_array_equal(matmul(circuit, x, w.T, method="table"), expected)


@pytest.mark.parametrize("name", ["bfloat16", "ama1, nearest", "tiles that overestimate"])
@pytest.mark.parametrize("shape", [(70, 37, 9), (3, 5, 130)])
def test_extreme_exponents_with_ordinary_products_give_the_sums(name: str, shape: tuple[int, int, int]) -> None:
    """Operands near the largest number times tiny ones, and sums that cancel down to subnormals."""
    circuit, rng, (rows, depth, columns) = FRACTION_DESIGNS[name], np.random.default_rng(7), shape
    x, w = (rng.uniform(1, 2, own) * rng.choice([1, -1], own) for own in ((rows, depth), (depth, columns)))
    w[:, 0], x[0] = 0, -0.0
    for x_exponent, w_exponent in ((127, -120), (126, -126), (-126, 120), (-63, -63), (60, 60), (125, 1)):
        own_x, own_w = np.ldexp(x, x_exponent).astype(np.float32), np.ldexp(w, w_exponent).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.zeros((rows, columns), dtype=np.float32)
            for k in range(depth):
                total = total + circuit.multiply(own_x[:, k, None], own_w[None, k])
        np.testing.assert_array_equal(matmul(circuit, own_x, own_w, method="table"), total)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_table_in_any_place_gives_the_sums_of_its_entries(data: st.DataObject) -> None:
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    # The range of the products decides how many byte planes the kernel looks up, and whether they are signed.
    least, span = draw(st.sampled_from([(0, 200), (-128, 256), (-16384, 32768), (0, 65536), (-70000, 131072)]))
    table = rng.integers(least, least + span, (1 << widths[0], 1 << widths[1]))
    signed = draw(st.booleans())
    circuit = TableCircuit(str(table.tobytes()), widths, signed, table)
    groups, columns, depth = draw(st.integers(1, 3)), draw(st.integers(1, 20)), draw(st.integers(1, 300))
    images, height, width = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 23))
    stride = draw(st.integers(1, 3))
    pixels = np.arange(0, height * width, stride)
    channel = height * width + depth
    x_at = (np.arange(images)[:, None] * groups * channel + pixels).ravel()
    rows = len(x_at)
    by_rows = draw(st.booleans())  # [m, n], as in a linear layer, or [n, m], as in a convolution
    width_of_out = groups * columns
    places = Places(
        x_at,
        rng.permutation(depth),
        np.arange(rows) * (width_of_out if by_rows else 1),
        1 if by_rows else rows,
        groups,
        channel,
        columns if by_rows else columns * rows,
    )
    dtype = np.int8 if signed else np.uint8
    x = rng.choice(values_of(widths[0], signed), images * groups * channel).astype(dtype)
    w = rng.choice(values_of(widths[1], signed), (groups * columns, depth)).astype(dtype)
    out = np.full(rows * width_of_out, -1, dtype=draw(st.sampled_from([np.int32, np.int64])))
    gathered_matmul(circuit, x, w, out, places, method="table", threads=draw(st.integers(1, 3)))  # type: ignore[arg-type]
    expected = reference(circuit.multiply_integers, x.astype(int), w.astype(int), places, out.size, out.dtype)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("depth", [127, 128, 129, 257, 600])
@pytest.mark.parametrize("rows", [3, 600])
def test_partial_sums_of_extreme_products_do_not_overflow(depth: int, rows: int, cpu_level: str) -> None:
    for table in (np.full((256, 256), 65535), np.full((256, 256), -65536)):
        table[0, 0] = 0  # so that all other products have all bits of every plane set, or the least value
        circuit = TableCircuit(f"extremes {table[1, 1]}", (8, 8), False, table)
        x, w = np.full((rows, depth), 255, dtype=np.uint8), np.full((5, depth), 255, dtype=np.uint8)
        out = np.zeros((rows, 5), dtype=np.int32)
        places = Places(np.arange(rows) * depth, np.arange(depth), np.arange(rows) * 5, 1)
        gathered_matmul(circuit, x, w, out, places, method="table", threads=1)  # type: ignore[arg-type]
        assert (out == depth * table[1, 1]).all()


@pytest.mark.parametrize("rows", [2, 520])
def test_sums_beyond_32_bits_are_exact(rows: int, cpu_level: str) -> None:
    circuit = INTEGER_DESIGNS["unsigned"]
    depth = 70_000
    x, w = np.full((rows, depth), 255, dtype=np.uint8), np.full((depth, 4), 255, dtype=np.uint8)
    w[:3] = 0
    sums = matmul(circuit, x, w, method="table")
    assert sums.dtype == np.int64
    assert (sums == (depth - 3) * 255 * 255).all()


def test_sums_do_not_depend_on_threads_and_splits(cpu_level: str) -> None:
    rng = np.random.default_rng(3)
    circuit = FLOAT_DESIGNS["e4m3"]
    for rows, depth, columns in ((1500, 60, 33), (90, 700, 70)):
        x, w = float_samples(rng, (rows, depth), 1), float_samples(rng, (depth, columns), 1)
        one = matmul(circuit, x, w, method="table", threads=1)
        for threads in (2, 3, 5):
            np.testing.assert_array_equal(matmul(circuit, x, w, method="table", threads=threads), one)
        np.testing.assert_array_equal(matmul(circuit, x[7:20], w, method="table"), one[7:20])


def test_the_table_is_chosen_for_narrow_approximate_circuits() -> None:
    approximate = {"format": None, "width": (8, 4), "placement": "ama1"}
    assert choose_method(Design(**approximate)) == "table"
    assert choose_method(Design(**{**approximate, "placement": "exact"})) == "native"
    assert choose_method(FLOAT_DESIGNS["e5m2"]) == "table"
    assert choose_method(FRACTION_DESIGNS["e5m7, subnormals"]) == "table"
    assert choose_method(design("exact")) == "native"
    assert choose_method(Design(format="float16")) == "gate"
    with pytest.raises(DesignError, match=r"^compute='table' needs operands of at most 8 bits, .* 9x9; leave"):
        choose_method(Design(width=9, format=None), "table")

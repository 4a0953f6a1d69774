"""Native products: the processor's own arithmetic against the gates of the same exact circuit, bit for bit."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from bit_equality import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from lopsided import LOPSIDED

from circuits import TOPOLOGIES, Design, DesignError, design, matmul
from circuits.engine.llvm import jit
from circuits.engine.llvm.native.exponent_range_kernel import exponent_range
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.gathering import gathered_matmul
from circuits.engine.matrix_products.native_tasks import pays_direct, pieces
from circuits.engine.matrix_products.product_methods import choose_method, find_method
from circuits.engine.padding import padded
from circuits.support import processor

EXACT = {
    "nearest": Design(rounding="nearest_even"),
    "truncate": Design(topology="dadda"),
    "nearest, ieee": Design(topology="booth", rounding="nearest_even", subnormals="ieee"),
    "tiled": Design(tile=6, normalization="released"),
}
CORNERS = np.concatenate(
    [
        np.array([0, 1, 2.0**-126, 2.0**-149, 1e-40, 2.0**127, np.inf, np.nan, 1.5, 3.0], dtype=np.float32),
        np.array([0x007FFFFF, 0x00800001, 0x3F7FFFFF, 0x3F800001, 0x7F7FFFFF, 0x1FFFFFFF], dtype=np.uint32).view("f4"),
        np.array([0x20000000, 0x1F800001, 0x5F7FFFFF, 0x5F800000, 0x5F000001, 0x60000000], dtype=np.uint32).view("f4"),
    ]
)
CORNERS = np.concatenate([CORNERS, -CORNERS])


def levels() -> list[str]:
    widest = jit.Target.host(None).vector_bits
    return [level for level, bits in processor.VECTOR_BITS.items() if bits <= widest]


def near_the_limits(rng: np.random.Generator, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """x [groups, 64] and w [groups]: products x[g, i] w[g] around the smallest normal number or the largest finite one.

    A third of the x are random bit patterns.
    """
    w = rng.integers(0, 1 << 32, groups, dtype=np.uint32).view(np.float32)
    limit = np.where(rng.random((groups, 64)) < 0.5, 2.0**-126, 2.0**128)
    with np.errstate(all="ignore"):
        x = (limit / w.astype(np.float64)[:, None] * (1 + rng.integers(-3, 4, limit.shape) * 2.0**-24)).astype("f4")
    some = rng.random(x.shape) < 0.3
    x[some] = rng.integers(0, 1 << 32, int(some.sum()), dtype=np.uint32).view(np.float32)
    return x, w


def single_products(multiplier: Design, x: np.ndarray, w: np.ndarray, method: str) -> np.ndarray:
    """x[g, i] * w[g] as sums of one product, each group a matrix product of 64 rows and one column."""
    rows = np.arange(64)
    groups = len(w)
    out = np.empty((groups, 64), dtype=np.float32)
    places = Places(rows, np.zeros(1, dtype=np.int64), rows, 64, groups, 64, 64)
    gathered_matmul(multiplier, x, w.reshape(groups, 1), out, places, method=method)
    return out


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("name", ["nearest", "truncate"])
def test_corner_products_equal_the_gates(name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair of corner values, and 400,000 pairs near the limits of the normal range."""
    monkeypatch.setenv(processor.VARIABLE, level)
    multiplier = EXACT[name]
    grid = matmul(multiplier, CORNERS[:, None], CORNERS[None, :], method="native")
    # A sum from +0 has no negative zero.
    assert same_bits(grid, multiplier.multiply(CORNERS[:, None], CORNERS) + np.float32(0))
    x, w = near_the_limits(np.random.default_rng(4), 6000)
    expected = multiplier.multiply(x, w[:, None]) + np.float32(0)
    assert same_bits(single_products(multiplier, x, w, "native"), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_millions_of_corner_products_equal_the_gates(name: str) -> None:
    multiplier = EXACT[name]
    rng = np.random.default_rng(8)
    for _ in range(5):
        # 1000 x 1000 operands whose exponents add up to one of the two limits.
        exponents = rng.integers(1, 255, 1000)
        sums = np.where(rng.random(1000) < 0.5, 127 + rng.integers(-2, 3, 1000), 381 + rng.integers(-2, 3, 1000))
        partners = np.clip(sums - exponents, 0, 255)
        x, w = (
            (rng.integers(0, 2, 1000) << 31 | e << 23 | rng.integers(0, 1 << 23, 1000)).astype(np.uint32).view("f4")
            for e in (exponents, partners)
        )
        native = matmul(multiplier, x[:, None], w[None, :], method="native")
        assert same_bits(native, multiplier.multiply(x[:, None], w) + np.float32(0))


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e19])
def test_sums_equal_the_gates(name: str, scale: float, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shapes need every kind of tile; products lie within and out of the normal range."""
    monkeypatch.setenv(processor.VARIABLE, level)
    multiplier, rng = EXACT[name], np.random.default_rng(5)
    for rows, depth, columns in ((1, 84, 10), (17, 161, 13), (40, 5, 1), (130, 20, 23)):
        x = (rng.normal(size=(rows, depth)) * scale).astype(np.float32)
        w = (rng.normal(size=(depth, columns)) * scale).astype(np.float32)
        x[0, : depth // 2] = rng.choice(CORNERS, depth // 2)
        expected = matmul(multiplier, x, w, method="gate")
        for threads in (1, 3):
            assert same_bits(matmul(multiplier, x, w, method="native", threads=threads), expected)


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_convolutions_of_any_shape_equal_the_gates(data: st.DataObject) -> None:
    """Convolutions of any stride, with groups: packed, or read where they lie."""
    stride, kernel = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    height, width = (data.draw(st.integers(kernel, 30)) for _ in range(2))
    batch, groups, inputs, columns = (data.draw(st.integers(1, n)) for n in (3, 5, 2, 3))
    out_height, out_width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    plane, positions = height * width, out_height * out_width

    def grid(*axes: tuple[int, int]) -> np.ndarray:
        total = np.zeros(1, dtype=np.int64)
        for count, step in axes:
            total = (total[:, None] + np.arange(count) * step).ravel()
        return total

    x = rng.normal(size=batch * groups * inputs * plane).astype(np.float32)
    w = rng.normal(size=(groups * columns, inputs * kernel * kernel)).astype(np.float32)
    if data.draw(st.booleans()):
        x[rng.integers(0, x.size, 3)] = rng.choice(CORNERS, 3)
    places = Places(
        grid((batch, groups * inputs * plane), (out_height, stride * width), (out_width, stride)),
        grid((inputs, plane), (kernel, width), (kernel, 1)),
        grid((batch, groups * columns * positions), (positions, 1)),
        positions,
        groups,
        inputs * plane,
        columns * positions,
    )
    results = {}
    for method in ("native", "gate"):
        results[method] = np.full(batch * groups * columns * positions, 7, dtype=np.float32)
        gathered_matmul(EXACT["nearest"], x, w, results[method], places, method=method)
    assert same_bits(results["native"], results["gate"])


def test_depthwise_places_are_read_where_they_lie_and_others_packed() -> None:
    rows = (np.arange(7)[:, None] * 9 + np.arange(7)).ravel()
    steps = (np.arange(3)[:, None] * 9 + np.arange(3)).ravel()
    depthwise = Places(rows, steps, np.arange(49), 49)
    assert pays_direct(depthwise, 1, 16)
    assert not pays_direct(depthwise, 16, 16)
    assert not pays_direct(Places(np.arange(64) * 84, np.arange(84), np.arange(64), 64), 1, 16)


def test_pieces_cover_every_row_once() -> None:
    offsets = np.concatenate([np.arange(40), 100 + np.arange(5), [7, 3], 500 + np.arange(30)])
    table, first = pieces(offsets, 16, fill=True)
    assert first.tolist() == [0, *first[1:-1], len(table)]
    covered = []
    for block in range(len(first) - 1):
        lanes = []
        for offset, lane, length in table[first[block] : first[block + 1]].tolist():
            assert length <= 16
            lanes += list(range(lane, lane + (length or 16)))
            covered += list(range(offset, offset + length))
        assert set(range(64 if block == 0 else 16)) <= set(lanes)
    assert covered == offsets.tolist()


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize(
    "fields",
    [{"width": 8}, {"width": 8, "signed": True}, {"width": (3, 11)}, {"width": 16}, {"width": 16, "signed": True}],
    ids=str,
)
def test_integer_sums_are_exact(fields: dict[str, Any], level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processor.VARIABLE, level)
    multiplier = Design(format=None, topology="wallace", **fields)
    rng = np.random.default_rng(6)
    least = [-(1 << width - 1) if multiplier.signed else 0 for width in multiplier.shape]
    beyond = [low + (1 << width) for low, width in zip(least, multiplier.shape, strict=True)]
    for rows, depth, columns in ((70, 333, 9), (1, 4, 30)):
        x = rng.integers(least[0], beyond[0], (rows, depth))
        w = rng.integers(least[1], beyond[1], (depth, columns))
        # Sums of extreme codes are the largest.
        x[0], w[:, 0] = rng.choice([least[0], beyond[0] - 1]), rng.choice([least[1], beyond[1] - 1])
        result = matmul(multiplier, x, w, method="native")
        np.testing.assert_array_equal(result, x @ w)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("width", [(2, 2), (2, 3), (5, 2), (4, 4)])
def test_topologies_that_say_so_multiply_exactly(topology: str, signed: bool, width: tuple[int, int]) -> None:
    """All pairs of operands, with every policy."""
    assert TOPOLOGIES[topology].multiplies_exactly
    least = [-(1 << bits - 1) if signed else 0 for bits in width]
    x, y = (np.arange(low, low + (1 << bits)) for low, bits in zip(least, width, strict=True))
    for ports, half_adders, tile in product(("psc", "scp", "csp"), ("cell", "exact"), (None,) if signed else (None, 2)):
        multiplier = Design(
            topology,
            width,
            None,
            ports=ports,
            half_adders=half_adders,
            final_adder="cell",
            signed=signed,
            tile=tile,
        )
        assert multiplier.exact_by_construction
        np.testing.assert_array_equal(multiplier.multiply_integers(x[:, None], y), x[:, None] * y)


def test_only_exact_cells_or_a_proof_make_a_design_exact_by_construction() -> None:
    lopsided = Design(format=None, width=8, placement={"columns": [LOPSIDED] * 2 + ["exact"] * 14})
    assert not lopsided.exact_by_construction
    assert not Design(truncate_columns=1).exact_by_construction
    assert not design("heap").exact_by_construction
    assert design("exact").exact_by_construction
    exact = Design(format=None, width=8, topology="dadda", signed=True)
    assert Design(netlist=exact.netlist(), signed=True).exact_by_construction  # tried with every pair
    assert not Design(netlist=lopsided.netlist()).exact_by_construction
    # Larger imported circuits are not tried, whatever they compute.
    assert not Design(netlist=Design(format=None, width=9).netlist()).exact_by_construction


@pytest.mark.parametrize(
    ("multiplier", "reason"),
    [
        (design("heap"), "needs a circuit that is exact by construction"),
        (Design(format="tf32"), "needs the format float32 or integers, but got tf32"),
        (Design(subnormals="ieee"), 'needs subnormals="flush" where products are truncated'),
        (Design(format=None, width=17), "needs integers of at most 16 bits"),
    ],
)
def test_circuits_that_the_processor_does_not_compute_are_refused(multiplier: Design, reason: str) -> None:
    assert choose_method(multiplier) == "gate"
    with pytest.raises(DesignError) as error:
        choose_method(multiplier, "native")
    assert str(error.value) == f"compute='native' {reason}; leave the choice to compute='auto'."


def test_exact_designs_are_computed_natively_unless_told_otherwise() -> None:
    assert choose_method(design("exact")) == "native"
    assert choose_method(design("exact"), "gate") == "gate"


@pytest.mark.parametrize("length", [1, 3, 15, 16, 17, 33, 100])
def test_the_range_of_exponents_covers_subnormals_and_nan_but_not_zeros(length: int) -> None:
    values = np.zeros(length, dtype=np.float32)
    assert exponent_range(values.ctypes.data, length) == (512, 0)
    values[-1] = -(2.0**5)
    assert exponent_range(values.ctypes.data, length) == (132, 132)
    values[0] = 1e-40
    assert exponent_range(values.ctypes.data, length)[0] == 0
    values[length // 2] = np.nan
    assert exponent_range(values.ctypes.data, length)[1] == 255


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("width", [7, 16, 37])
def test_padding_equals_that_of_numpy(width: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processor.VARIABLE, level)
    x = np.random.default_rng(3).normal(size=(9, 80, 41, width)).astype(np.float32)
    for top, bottom, left, right in ((1, 2, 3, 0), (0, 0, 0, 5), (0, 0, 0, 0)):
        around = ((0, 0), (0, 0), (top, bottom), (left, right))
        np.testing.assert_array_equal(padded(x, (top, bottom, left, right), 3), np.pad(x, around, constant_values=3))
        codes = x.astype(np.int8)
        np.testing.assert_array_equal(
            padded(codes, (top, bottom, left, right), -3), np.pad(codes, around, constant_values=-3)
        )


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e19, 0.0])
def test_prepared_rows_equal_the_gates(name: str, scale: float) -> None:
    """Tiny matrix products check the range of exponents in the kernel, larger ones before. The bias is added last."""
    multiplier, rng = EXACT[name], np.random.default_rng(7)
    for rows, depth, columns in ((1, 84, 10), (3, 5, 2), (9, 100, 40)):
        for special in ((), (0,), (0, 1)):
            x, w = ((rng.normal(size=(count, depth)) * scale).astype(np.float32) for count in (rows, columns))
            for k in special:
                (x, w)[k].flat[:2] = rng.choice(CORNERS, 2)
            bias, out = rng.normal(size=columns).astype(np.float32), np.empty((rows, columns), dtype=np.float32)
            prepared = find_method("native").prepare_rows(multiplier, rows, depth, columns)
            assert prepared is not None
            prepared.run(x.ctypes.data, w.ctypes.data, bias.ctypes.data, out.ctypes.data, 2)
            with np.errstate(invalid="ignore"):
                assert same_bits(out, matmul(multiplier, x, w.T, method="gate") + bias)
            prepared.run(x.ctypes.data, w.ctypes.data, None, out.ctypes.data, 1)
            assert same_bits(out, matmul(multiplier, x, w.T, method="gate"))

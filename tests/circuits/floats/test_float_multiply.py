"""Float semantics: exact cells against NumPy, every kernel against `circuits.floats.arithmetic`, the order of sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bit_equality import equal_bits
from lopsided import LOPSIDED

from circuits import CELLS, NAMED, Design, DesignError, design, matmul
from circuits.engine import integer_operations
from circuits.engine.known_operands import wide_kernels
from circuits.engine.llvm import jit, narrow_matmul_kernel, wide_matmul_kernel
from circuits.engine.llvm.float_parts import KernelSettings
from circuits.engine.matrix_products import narrow_matmul, operand_ranges
from circuits.engine.matrix_products.element_places import places_of_rows
from circuits.engine.matrix_products.gate_method import LAYOUTS
from circuits.engine.matrix_products.strips import strip_kernel, strip_matmul
from circuits.floats import arithmetic
from circuits.netlists.netlist import NetlistBuilder

TINY = np.float32(2.0**-126)
CORNERS = np.array(
    [
        *(0.0, 1.0, 1.5, 2.0, 0.1, 3.0, 1.9999999, 1.0000001, 0.99999994),
        *(2.0**-126, 2.0**-127, 2.0**-149, 1.1754942e-38, 1.9999999 * 2.0**-126, 2.0**-63, 2.0**-62, 2.0**-64),
        *(3.4028235e38, 2.0**127, 2.0**64, 2.0**63, 1.8446743e19, np.inf, np.nan),
    ],
    dtype=np.float32,
)
CORNERS = np.concatenate([CORNERS, -CORNERS])


def flush(values: np.ndarray) -> np.ndarray:
    """The values with subnormals replaced by zeros of their sign."""
    return np.where(np.abs(values) < TINY, np.copysign(np.float32(0), values), values).astype(np.float32)


def numpy_product(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """IEEE float32 product with subnormals flushed, tininess decided after rounding with unbounded exponent."""
    with np.errstate(all="ignore"):
        rounded = flush(x) * flush(w)
        # The product of two float32 is exact in float64; scaling it up rounds it as with unbounded exponent.
        scaled = (flush(x).astype(np.float64) * flush(w) * 2.0**64).astype(np.float32)
    tiny = np.isfinite(rounded) & (np.abs(scaled) < np.float32(2.0**-62))
    return np.where(tiny, np.copysign(np.float32(0), rounded), rounded).astype(np.float32)


def reference_product(multiplier: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Products by the reference semantics around the design's integer products."""
    fmt = multiplier.float_format
    assert fmt is not None
    return arithmetic.multiply(
        fmt,
        x,
        w,
        lambda a, b: integer_operations.multiply(multiplier.program(), a, b),
        rounding=multiplier.rounding,
        normalization=multiplier.normalization,
        subnormals=str(multiplier.subnormals),
    )


def random_patterns(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    bits = np.random.default_rng(seed).integers(0, 2**32, (2, count), dtype=np.uint32)
    x, w = bits.view(np.float32)
    return x, w


def test_exact_equals_numpy_on_ten_million_bit_patterns() -> None:
    exact = design("exact")
    for seed in range(10):
        x, w = random_patterns(seed, 1_000_000)
        assert equal_bits(exact.multiply(x, w), numpy_product(x, w)).all()


@pytest.mark.parametrize("backend", ["interpreted", "reference"])
@pytest.mark.parametrize("name", ["exact", "axfpm_tiled", "axfpm_released", "heap", "bfloat16"])
def test_every_backend_gives_the_same_floats(name: str, backend: str) -> None:
    """Corners against corners, and random bit patterns in two calls of different lengths."""
    multiplier = design(name)
    pairs = [(CORNERS[:, None], CORNERS[None, :])]
    pairs += [random_patterns(11, count) for count in ((1, 70_000) if backend == "interpreted" else (1, 5000))]
    for x, w in pairs:
        assert equal_bits(
            multiplier.multiply(x, w, backend=backend), multiplier.multiply(x, w, backend="compiled")
        ).all()


def test_exact_equals_numpy_near_the_underflow_and_overflow_limits() -> None:
    exact = design("exact")
    rng = np.random.default_rng(3)
    x = np.exp2(rng.uniform(-126, 127, 400_000)).astype(np.float32)
    for edge in (2.0**-126, 2.0**-125.999, 2.0**127.999, 2.0**127):
        with np.errstate(all="ignore"):
            w = (edge / x.astype(np.float64)).astype(np.float32)
        assert equal_bits(exact.multiply(x, w), numpy_product(x, w)).all()


def test_exact_equals_numpy_on_the_corner_grid() -> None:
    x, w = np.broadcast_arrays(CORNERS[:, None], CORNERS[None, :])
    assert equal_bits(design("exact").multiply(x, w), numpy_product(x, w)).all()


@pytest.mark.parametrize("name", NAMED)
def test_signs_zeros_and_specials_never_reach_the_circuit(name: str) -> None:
    got = design(name).multiply(CORNERS[:, None], CORNERS[None, :])
    x, w = np.broadcast_arrays(flush(CORNERS)[:, None], flush(CORNERS)[None, :])
    with np.errstate(all="ignore"):
        ieee = x * w
    special = ~np.isfinite(x) | ~np.isfinite(w) | (x == 0) | (w == 0)
    assert equal_bits(got[special], ieee[special]).all()
    assert (np.signbit(got) == np.signbit(ieee))[~np.isnan(ieee)].all()


@pytest.mark.parametrize("name", NAMED)
def test_compiled_products_equal_the_reference(name: str) -> None:
    multiplier = design(name)
    x, w = random_patterns(11, 20_000)
    assert equal_bits(multiplier.multiply(x, w), reference_product(multiplier, x, w)).all()
    grid = np.broadcast_arrays(CORNERS[:, None], CORNERS[None, :])
    assert equal_bits(multiplier.multiply(*grid), reference_product(multiplier, *grid)).all()


SETTINGS = [
    Design(placement=LOPSIDED),
    Design(placement=LOPSIDED, rounding="nearest_even"),
    Design(placement=LOPSIDED, tile=5),
    Design(placement="ama5", tile=4, rounding="nearest_even"),
    Design(placement="ama5", tile=4, rounding="nearest_even", normalization="released"),
    Design(topology="carry_save_array", placement={"rows": ["ama1"] * 9 + [LOPSIDED] * 16}, final_adder="cell"),
]


@pytest.mark.parametrize("multiplier", SETTINGS, ids=range(len(SETTINGS)))
def test_compiled_products_equal_the_reference_for_every_rounding_and_normaliser(multiplier: Design) -> None:
    rng = np.random.default_rng(17)
    x = np.concatenate([random_patterns(13, 5000)[0], rng.normal(size=5000).astype(np.float32)])
    w = np.concatenate([random_patterns(13, 5000)[1], rng.normal(size=5000).astype(np.float32)])
    assert equal_bits(multiplier.multiply(x, w), reference_product(multiplier, x, w)).all()


def by_layout(layout: str, multiplier: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [M, K] @ w [K, N] with the lanes of the kernels in a given layout."""
    out = np.full((len(x), w.shape[1]), np.nan, dtype=np.float32)
    weights = np.ascontiguousarray(w.T)
    LAYOUTS[layout](multiplier, x, weights, out, places_of_rows(*x.shape, len(weights)), 1)
    return out


def accumulated(multiplier: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [M, K] @ w [K, N] from reference products, added in ascending k from +0."""
    sums = np.zeros((len(x), w.shape[1]), dtype=np.float32)
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            sums = sums + reference_product(multiplier, x[:, k, None], w[None, k])
    return sums


@pytest.mark.parametrize(
    "multiplier", [*SETTINGS, design("exact"), design("axfpm_released")], ids=range(len(SETTINGS) + 2)
)
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e19])
@pytest.mark.parametrize("rows", [3, 1100])
def test_matmul_accumulates_gate_exact_products_in_ascending_k(multiplier: Design, scale: float, rows: int) -> None:
    """The scales reach the kernels for normal and for all products; few rows put lanes over the columns."""
    rng = np.random.default_rng(19)
    x = (rng.normal(size=(rows, 70)) * scale).astype(np.float32)
    x[rng.random(x.shape) < 0.3] = 0
    w = (rng.normal(size=(70, 3)) * scale).astype(np.float32)
    w[5] = 0
    expected = accumulated(multiplier, x, w)
    for threads in (1, 2):
        assert equal_bits(matmul(multiplier, x, w, threads=threads), expected).all()


@pytest.mark.parametrize("leads", [0b01, 0b10, 0b11])
def test_every_bit_below_the_guard_bit_of_49_bit_products_is_sticky(leads: int) -> None:
    """Round to nearest even after a shift by one or two; each sticky bit decides on its own."""
    for low in range(26):
        for guard in (22, 23, 24):
            product = leads << 47 | 1 << guard | 1 << low
            builder = NetlistBuilder("constant")
            builder.input("x", 24)
            builder.input("y", 24)
            builder.output("p", [product >> k & 1 for k in range(49)])
            multiplier = Design(circuit=builder.build(), format="float32", rounding="nearest_even")
            x = np.ones(3, np.float32)
            results = [multiplier.multiply(x, x, backend=name) for name in ("reference", "compiled", "interpreted")]
            assert len({result.tobytes() for result in results}) == 1, hex(product)


def test_matmul_propagates_infinity_and_nan_like_ieee() -> None:
    x = np.array([[1, np.inf], [np.nan, 1], [0, np.inf], [1, 2]], dtype=np.float32)
    w = np.array([[1.0, 0.0], [0.0, -1.0]], dtype=np.float32)
    got = matmul(design("exact"), x, w)
    with np.errstate(invalid="ignore"):
        expected = np.float32(0) + x[:, :1] * w[:1] + x[:, 1:] * w[1:]
    assert equal_bits(got, expected).all()


@pytest.mark.parametrize("rows", [2, 700])
@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("other", [0.0, 2.0**-126, 2.0**-10, 1.0])
def test_matmul_propagates_infinity_and_nan_past_operands_of_any_size(rows: int, special: float, other: float) -> None:
    """Few rows and many: the kernels that take all products for normal must not be chosen."""
    for left, right in ((special, other), (other, special)):
        x, w = np.full((rows, 1), left, dtype=np.float32), np.full((1, 5), right, dtype=np.float32)
        with np.errstate(invalid="ignore"):
            expected = np.float32(0) + x * w
        assert equal_bits(matmul(design("exact"), x, w), expected).all()


@pytest.mark.parametrize("depth", [1, 2, 7, 15, 16, 17, 31, 33, 511, 512, 513])
@pytest.mark.parametrize("scale", [1.0, 1e19])
def test_few_rows_of_every_shape_equal_the_sum_of_products(depth: int, scale: float) -> None:
    """Around vectors, blocks and the groups of columns that are summed together; `scale` reaches overflow."""
    multiplier = Design(placement=LOPSIDED, ports="pcs")
    rng = np.random.default_rng(depth)
    for rows, columns in ((1, 3), (1, 9), (1, 10), (1, 17), (1, 34), (3, 4), (5, 21)):
        x, w = ((rng.normal(size=shape) * scale).astype(np.float32) for shape in ((rows, depth), (depth, columns)))
        x[rng.random(x.shape) < 0.2] = 0
        w[rng.random(w.shape) < 0.1] = 2.0**-140
        with np.errstate(over="ignore", invalid="ignore"):
            terms = np.concatenate(
                [np.zeros((rows, 1, columns), np.float32), multiplier.multiply(x[:, :, None], w)], axis=1
            )
            expected = np.add.accumulate(terms, axis=1, dtype=np.float32)[:, -1]
        assert equal_bits(by_layout("narrow", multiplier, x, w), expected).all()


def test_products_that_stay_normal_are_recognised() -> None:
    one = np.ones(2, dtype=np.float32)
    assert operand_ranges.products_stay_normal(one, np.array([0.0, 2.0**-126], dtype=np.float32))
    for bad in (np.inf, np.nan, 3e38, 2.0**125):
        assert not operand_ranges.products_stay_normal(one, np.array([1, bad], dtype=np.float32))
    assert not operand_ranges.products_stay_normal(one * np.float32(0.5), np.array([2.0**-126], dtype=np.float32))


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "windows"])  # test_windows tries its widths
@pytest.mark.parametrize(("mode", "scale"), [("normal", 1), ("full", 1e37)])
def test_kernels_agree_on_every_vector_width(
    bits: int, layout: str, mode: str, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bits > jit.Target.host().vector_bits:
        pytest.skip(f"this processor has no {bits}-bit vectors")
    multiplier = SETTINGS[3]
    used = set()

    def kernel_of_width(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def get(settings: KernelSettings, *modes: str) -> Any:
            def run(*arguments: Any) -> None:
                used.update(modes or [mode])
                kernel(settings, *modes, bits)(*arguments)

            return run

        return get

    rng = np.random.default_rng(23)
    x = rng.normal(size=(5 if layout == "narrow" else 600, 20)).astype(np.float32)
    w = (rng.normal(size=(20, 21)) * scale).astype(np.float32)
    expected = accumulated(multiplier, x, w)
    range_kernel = operand_ranges.range_kernel
    monkeypatch.setattr(wide_kernels, "matmul_kernel", kernel_of_width(wide_matmul_kernel.matmul_kernel))
    monkeypatch.setattr(narrow_matmul, "narrow_kernel", kernel_of_width(narrow_matmul_kernel.narrow_kernel))
    monkeypatch.setattr(strip_matmul, "strip_kernel", kernel_of_width(strip_kernel.strip_kernel))
    monkeypatch.setattr(operand_ranges, "range_kernel", lambda subnormals: range_kernel(subnormals, bits))
    assert equal_bits(by_layout(layout, multiplier, x, w), expected).all()
    assert used == {mode}


def test_empty_and_scalar_operands_keep_their_shape() -> None:
    exact = design("exact")
    assert exact.multiply(np.zeros((0, 3)), np.ones(3)).shape == (0, 3)
    assert exact.multiply(2.0, 3.0).shape == ()
    assert float(exact.multiply(2.0, 3.0)) == 6.0
    assert matmul(exact, np.zeros((0, 4)), np.zeros((4, 2))).shape == (0, 2)
    np.testing.assert_array_equal(matmul(exact, np.zeros((2, 0)), np.zeros((0, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("fields", [{}, {"signed": True}, {"topology": "booth"}, {"width": (8, 4)}, {"width": 12}])
def test_matmul_of_an_integer_design_sums_its_products_exactly(fields: dict[str, Any]) -> None:
    multiplier = Design(format=None, placement="ama1", **{"width": 8, **fields})
    rng = np.random.default_rng(0)
    low = [-(1 << bits - 1) if multiplier.signed else 0 for bits in multiplier.shape]
    x = rng.integers(low[0], low[0] + (1 << multiplier.shape[0]), (5, 7))
    w = rng.integers(low[1], low[1] + (1 << multiplier.shape[1]), (7, 3))
    expected = multiplier.multiply_integers(x[:, :, None], w).astype(np.int64).sum(axis=1)
    sums = matmul(multiplier, x, w)
    assert sums.dtype == np.int32
    np.testing.assert_array_equal(sums, expected)


def test_matmul_of_integers_beyond_32_bits_sums_in_64() -> None:
    exact = Design(format=None, width=16)
    sums = matmul(exact, np.full((1, 5), 65535), np.full((5, 1), 65535))
    assert sums.dtype == np.int64
    assert sums[0, 0] == 5 * 65535**2


def test_matmul_refuses_codes_out_of_range() -> None:
    with pytest.raises(DesignError, match="0 <= x < 2\\^8 must hold, but got 256"):
        matmul(Design(format=None, width=8), np.array([[256]]), np.array([[1]]))


def test_misfitting_operands_are_refused() -> None:
    with pytest.raises(DesignError) as error:
        matmul(design("exact"), np.zeros((2, 3)), np.zeros((4, 5)))
    assert str(error.value) == (
        "x must be [M, K] and w [K, N] with equal K, but got shapes (2, 3) and (4, 5); reshape them."
    )
    with pytest.raises(DesignError) as error:
        design("exact").multiply(np.array(["a"]), 1.0)
    assert str(error.value) == "x must hold real numbers, but has dtype <U1; convert it to float32."


# ---- narrow formats: matrix products against products one by one


NARROW = {
    "bfloat16": Design(topology="booth", format="bfloat16"),
    "nearest": Design(topology="wallace", format="bfloat16", rounding="nearest_even"),
    "not commutative": Design(topology="carry_save_array", format="bfloat16", placement=CELLS["ama4"], ports="csp"),
    "released": Design(format="bfloat16", placement=CELLS["ama5"], tile=4, normalization="released"),
    "tf32": Design(format="tf32", placement={"columns": [CELLS["ama2"]] * 11 + ["exact"] * 11}),
}


@pytest.mark.parametrize("name", NARROW)
def test_narrow_formats_sum_what_products_one_by_one_give(name: str) -> None:
    """With zeros, subnormals, the largest and smallest normals, overflow and products that are flushed."""
    multiplier = NARROW[name]
    random = np.random.default_rng(2)
    extremes = np.array([0, -0.0, 1e-40, 2.0**-126, -(2.0**-64), 3e38, -1.9e19, 2.0**-63, 1, -1.99], dtype=np.float32)
    x = np.concatenate([random.normal(size=(60, 9)), random.choice(extremes, (40, 9))]).astype(np.float32)
    w = np.concatenate([random.normal(size=(9, 7)), random.choice(extremes, (9, 8))], axis=1).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.zeros((100, 15), dtype=np.float32)
        for k in range(9):
            expected = expected + multiplier.multiply(x[:, k, None], w[k])
    assert np.isinf(expected).any()
    for threads in (1, 3):
        np.testing.assert_array_equal(matmul(multiplier, x, w, threads=threads), expected)
    x[3, 4], w[2, 1] = np.nan, np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.zeros((100, 15), dtype=np.float32)
        for k in range(9):
            expected = expected + multiplier.multiply(x[:, k, None], w[k])
    np.testing.assert_array_equal(matmul(multiplier, x, w), expected)

"""The device's kernels, compiled for the host, against elementwise products of the interpreter.

The same functions emit the code for both machines; only the thread's position, LOP3 and PRMT have host forms of their
own.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from bit_equality import same_bits
from corner_values import CORNERS_OF_FORMATS
from device_products import codes, floats, on_host, one_by_one
from lopsided import LOPSIDED_ARRAY

from circuits import FORMATS, NAMED, Design, design
from circuits.engine.device import fraction_products, gate_products, table_products
from circuits.engine.device.gate_products import Operands, tiling
from circuits.engine.device.kernels import fraction_matmul_kernel
from circuits.engine.device.launching import HostLaunches
from circuits.engine.device.product_modules import TABLES, serving_module, table_module
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.gathering import gathered_matmul

NARROW = {"placement": "ama1", "ports": "pcs"}
INTEGERS = (
    Design(format=None, width=8, signed=True, **NARROW),
    Design(format=None, width=8, **NARROW),
    Design(format=None, width=(3, 7), **NARROW),
    Design(format=None, width=(8, 5), signed=True),
    Design(format=None, width=2),
)
WIDE = (
    Design(format=None, width=(12, 16), **NARROW),
    Design(format=None, width=16, signed=True, **NARROW),
    Design(format=None, width=(24, 20), signed=True, **NARROW),
)
TILED = Design(tile=4, placement="ama5", topology="ripple_array", rounding="nearest_even", name="49 bits, rounded")
"""Tiles that overestimate give products of 49 bits, which are rounded."""


def test_tiles_hold_all_lanes_and_few_others() -> None:
    for lanes in [*range(1, 3000), 131_072]:
        tile, tiles = tiling(lanes)
        assert 1 <= tile <= 32
        assert tile * tiles * 32 >= lanes
        assert tile * tiles - -(-lanes // 32) < tiles


@pytest.mark.slow
@pytest.mark.parametrize("each", [*map(design, NAMED), LOPSIDED_ARRAY, TILED], ids=lambda each: each.label)
def test_every_named_design_gives_the_bits_of_its_gates(each: Design) -> None:
    corners = CORNERS_OF_FORMATS[:, None], CORNERS_OF_FORMATS[None, :]
    assert same_bits(on_host(gate_products, each, *corners), one_by_one(each, *corners))
    # The first shape has rows in its lanes, the second columns.
    for rows, depth, columns in ((70, 5, 3), (3, 4, 70)):
        x, w = floats((rows, depth), rows), floats((depth, columns), columns)
        assert same_bits(on_host(gate_products, each, x, w), one_by_one(each, x, w))


@pytest.mark.parametrize("name", ["heap", "axfpm_tiled"])
def test_noncommutative_and_tiled_designs_give_the_bits_of_their_gates(name: str) -> None:
    x, w = floats((40, 3), 1), floats((3, 2), 2)
    assert same_bits(on_host(gate_products, design(name), x, w), one_by_one(design(name), x, w))


def _format_cases() -> list[Design]:
    cases = []
    for name in (*FORMATS, "e3m4", "e4m2", "e5m7", "e6m17"):
        for rounding in ("truncate", "nearest_even"):
            for subnormals in ("flush", "ieee"):
                each = Design(format=name, rounding=rounding, subnormals=subnormals, placement="ama1", ports="pcs")
                if not gate_products.refusal(each) and name != "float32":
                    cases.append(each)
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("each", _format_cases(), ids=lambda each: f"{each.format}-{each.rounding}-{each.subnormals}")
def test_every_format_rounding_and_rule_for_subnormals_gives_the_bits_of_the_gates(each: Design) -> None:
    corners = CORNERS_OF_FORMATS[:, None], CORNERS_OF_FORMATS[None, :]
    x, w = floats((40, 4), 3), floats((4, 3), 4)
    tables = [products for products in TABLES if not products.refusal(each, 1 << 17)]
    assert len(tables) == (each.float_format.fraction_bits <= 7) + (
        each.format in ("fp8_e4m3", "fp8_e5m2", "e3m4", "e4m2")
    )
    for products in (gate_products, *tables):
        assert same_bits(on_host(products, each, *corners), one_by_one(each, *corners))
        assert same_bits(on_host(products, each, x, w), one_by_one(each, x, w))


@pytest.mark.parametrize("each", [*INTEGERS, *WIDE], ids=lambda each: f"{each.shape}{'s' * each.signed}")
def test_integer_sums_by_gates_and_by_tables_equal_the_products_one_by_one(each: Design) -> None:
    for rows, depth, columns in ((40, 9, 3), (3, 9, 40)):
        x, w = codes(each, 0, (rows, depth), rows), codes(each, 1, (depth, columns), columns)
        expected = one_by_one(each, x, w)
        assert same_bits(on_host(gate_products, each, x, w), expected)
        if each in INTEGERS:
            assert same_bits(on_host(table_products, each, x, w), expected)


def test_a_table_holds_every_product_of_two_codes() -> None:
    each = INTEGERS[0]
    every = np.arange(-128, 128, dtype=np.int8)
    x, w = every[:, None], every[None, :]
    assert same_bits(on_host(table_products, each, x, w), each.multiply_integers(x, w).astype(np.int32))


FRACTIONS = (
    Design(format="bfloat16", name="bfloat16 ama1", **NARROW),
    Design(format="bfloat16", rounding="nearest_even", normalization="released", name="bfloat16 released", **NARROW),
    Design(format="bfloat16", tile=2, placement="ama5", rounding="nearest_even", name="bfloat16, entries of two bytes"),
    Design(format="e5m7", subnormals="ieee", rounding="nearest_even", name="e5m7 ieee", **NARROW),
)
"""Designs for the fraction kernel; with `ama1` x w differs from w x."""


def _significands(exponents: tuple[int, int], seed: int) -> np.ndarray:
    """float32 [256] with all signs and fractions of 7 bits; exponents are drawn from the range (first, last)."""
    rng = np.random.default_rng(seed)
    fraction, sign = np.arange(256) % 128, np.arange(256) // 128
    exponent = rng.integers(*exponents, 256, endpoint=True)
    words = (sign << 31 | exponent << 23 | fraction << 16).astype(np.uint32)
    return words.view(np.float32)


@pytest.mark.parametrize("each", FRACTIONS, ids=lambda each: each.label)
def test_the_fraction_kernel_multiplies_all_signs_and_fractions(each: Design) -> None:
    """65,536 pairs: first exponents keep all products normal, then some products over- and underflow."""
    normal = each.float_format.exponent_bits == 8
    for exponents in ((120, 133) if normal else (125, 130), (1, 254) if normal else (103, 144)):
        x, w = _significands(exponents, 1)[:, None], _significands(exponents, 2)[None, :]
        with np.errstate(all="ignore"):
            expected = each.multiply(x, w, backend="interpreted") + np.float32(0)
        assert same_bits(on_host(fraction_products, each, x, w), expected)


@pytest.mark.parametrize("each", FRACTIONS, ids=lambda each: each.label)
def test_the_fraction_kernel_is_right_at_every_exponent(each: Design) -> None:
    """Weights share an exponent, so that the fast path ends exactly where the first product could leave the range."""
    exponents, fractions = np.meshgrid(np.arange(256), [0, 1, 64, 106, 127])
    x = (exponents << 23 | fractions << 16).astype(np.uint32).view(np.float32).reshape(-1, 1)
    for exponent in (1, 60, 113, 127, 140, 200, 254):
        w = (exponent << 23 | np.array([[0, 53, 90, 127]]) << 16).astype(np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            expected = each.multiply(x, w, backend="interpreted") + np.float32(0)
        assert same_bits(on_host(fraction_products, each, x, w), expected)


def test_the_fraction_kernel_takes_the_fast_path_in_the_normal_range_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the path for normal products, rows in the normal range are wrong; without the other path, the others."""
    each = FRACTIONS[0]
    x, w = (
        np.array([[1.5], [0.0], [-(2.0**-90)], [2.0**127], [np.inf]], dtype=np.float32),
        np.full((1, 3), 3e-39 + 2.0**-60, "f4"),
    )
    expected = one_by_one(each, x, w)
    rows = {}
    for path in ("_emit_any", "_emit_normal"):
        fraction_products._kernels.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(fraction_matmul_kernel, path, lambda *_: None)
            rows[path] = (on_host(fraction_products, each, x, w) == expected).all(axis=1).tolist()
    fraction_products._kernels.cache_clear()
    # 2^-150 is flushed, so its row is right without any term. 2^67 is in range again.
    assert rows == {"_emit_any": [True, True, True, True, False], "_emit_normal": [False, True, True, False, True]}


def test_format_and_shared_memory_decide_which_table_serves() -> None:
    shared = 1 << 17
    assert table_module(design("bfloat16"), shared) is fraction_products
    assert table_module(Design(format="fp8_e4m3"), shared) is table_products
    assert table_module(Design(format="fp8_e4m3"), 99 << 10) is fraction_products
    assert table_module(INTEGERS[0], shared) is table_products
    assert table_module(Design(format="float16"), shared) is None
    assert serving_module(design("bfloat16"), "auto", shared) is fraction_products
    assert serving_module(design("bfloat16"), "gate", shared) is gate_products
    assert serving_module(design("heap"), "auto", shared) is gate_products


def test_sums_that_need_more_than_32_bits_are_int64() -> None:
    each = Design(format=None, width=16)
    x, w = np.full((2, 3), 65535, dtype=np.uint16), np.full((3, 1), 65535, dtype=np.uint16)
    result = on_host(gate_products, each, x, w)
    assert result.dtype == np.int64
    assert result.tolist() == [[3 * 65535**2]] * 2


@pytest.mark.parametrize(
    ("products", "each"),
    [(gate_products, design("heap")), (table_products, INTEGERS[0]), (fraction_products, FRACTIONS[0])],
    ids=["gates", "table", "fractions"],
)
def test_strided_groups_in_several_launches_equal_the_processors_products(
    products: ModuleType, each: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strided elements of two groups, as in a grouped convolution, with memory for few planes at a time."""
    monkeypatch.setattr(gate_products, "_PLANES_BYTES", 1)
    rows, depth, columns = 2100 if each is INTEGERS[0] else 1100, 3, 5
    size = 2 * (4 * rows + 11 * depth)
    places = Places(np.arange(rows) * 3, np.array([0, 11, 5]), np.arange(rows)[::-1] * 5, 1, 2, size // 2, rows * 5)
    if each.float_format is not None:
        x, w = floats((size,), 5), floats((2 * columns, depth), 6)
        out, expected = np.zeros((2, 2, rows * 5), dtype=np.float32)
    else:
        x, w = codes(each, 0, (size,), 5), codes(each, 1, (2 * columns, depth), 6)
        out, expected = np.zeros((2, 2, rows * 5), dtype=np.int32)
    operands = Operands(x.ctypes.data, x.size, w.ctypes.data, w.size, out.ctypes.data)
    with np.errstate(all="ignore"):
        products.run(HostLaunches(), each, operands, places)
        gathered_matmul(each, x, w, expected, places)
    assert same_bits(out, expected)


def test_sums_may_be_subnormal() -> None:
    """The difference of two normal products is 2^-127."""
    x, w = np.array([[1.5, 1]], dtype=np.float32) * 2.0**-63, np.array([[1], [-1]], dtype=np.float32) * 2.0**-63
    result = on_host(gate_products, design("exact"), x.astype(np.float32), w.astype(np.float32))
    assert result.tolist() == [[2.0**-127]]


def test_refusals_state_what_a_kernel_needs() -> None:
    assert gate_products.refusal(Design(format=None, width=(33, 8))) == (
        "needs operands of at most 32 bits, but the design has 33"
    )
    assert gate_products.refusal(Design(subnormals="ieee")) == (
        "needs subnormals='flush' in formats as large as float32, but the design has 'ieee'"
    )
    assert table_products.refusal(design("bfloat16"), 1 << 17) == (
        "needs operands of at most 8 bits, but the design's have 16"
    )
    assert fraction_products.refusal(Design(format="tf32"), 1 << 17) == "needs at most 7 fraction bits, but tf32 has 10"
    assert fraction_products.refusal(INTEGERS[0], 1 << 17) == "needs a float format"
    assert fraction_products.refusal(Design(format="bfloat16", subnormals="ieee"), 1 << 17) == (
        "needs subnormals='flush' in formats as large as bfloat16, but the design has 'ieee'"
    )
    assert fraction_products.refusal(design("bfloat16"), 1 << 13) == (
        "needs 16384 bytes of shared memory a block, but the device has 8192"
    )
    assert table_products.refusal(INTEGERS[0], 99 << 10) == (
        "needs 131072 bytes of shared memory a block, but the device has 101376"
    )

"""Every layout of lanes against sums of products one by one: groups, few rows, single operands out of range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bit_equality import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from lopsided import LOPSIDED

from circuits import Design, design
from circuits.engine.float_conversion import to_format
from circuits.engine.known_operands import wide_kernels
from circuits.engine.llvm import jit
from circuits.engine.matrix_products import operand_ranges, wide_matmul
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.matrix_products.gate_method import LAYOUTS
from circuits.engine.matrix_products.gathering import gathered_matmul
from circuits.engine.matrix_products.lane_layout import lane_layout
from circuits.engine.matrix_products.strips import strip_matmul
from circuits.engine.matrix_products.strips.strip_tiling import tiles

NEAREST = Design(placement=LOPSIDED, ports="pcs", rounding="nearest_even", name="lopsided_nearest")
DESIGNS = (design("heap"), NEAREST)
"""Neither commutes: x * w differs from w * x."""


def sums_one_by_one(multiplier: Design, x: np.ndarray, w: np.ndarray, places: Places, out: np.ndarray) -> np.ndarray:
    """What `gathered_matmul` writes, from its definition: one group, row, column and term after the other."""
    expected = out.copy()
    columns = len(w) // places.groups
    indices = [(g, m, n) for g in range(places.groups) for m in range(places.rows) for n in range(columns)]
    g, m, n = np.array(indices).T
    at = places.out_at[m] + n * places.out_step + g * places.out_group
    sums = np.zeros(len(indices), dtype=np.float32)
    with np.errstate(all="ignore"):
        for k in range(places.depth):
            operands = x.reshape(-1)[places.x_at[m] + places.x_step[k] + g * places.x_group]
            sums = sums + multiplier.multiply(operands, w[g * columns + n, k])
    expected.reshape(-1)[at] = sums
    return expected


def interleaved(rows: int, depth: int, columns: int, groups: int, stride: int) -> tuple[Places, int, int]:
    """Places in x [rows stride, groups, depth] and out [groups, columns, rows], both followed by a margin."""
    places = Places(
        np.arange(rows) * stride * groups * depth,
        np.arange(depth)[::-1].copy(),
        np.arange(rows),
        rows,
        groups,
        depth,
        columns * rows,
    )
    return places, (rows * stride * groups * depth), groups * columns * rows + 5


def operands(
    shape: tuple[int, int, int, int, int], seed: int, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Places]:
    """x, w and a preset out of a product with (rows, depth, columns, groups, stride), and its places."""
    _, depth, columns, groups, _ = shape
    places, x_size, out_size = interleaved(*shape)
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=x_size) * scale).astype(np.float32)
    w = (rng.normal(size=(groups * columns, depth)) * scale).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = 0
    w[rng.random(w.shape) < 0.1] = -(2.0**-140)
    return x, w, np.full(out_size, 7, dtype=np.float32), places


SPECIAL = np.array([np.inf, -np.inf, np.nan, 3e38, 2.0**-126, -(2.0**-149), -0.0], dtype=np.float32)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.sampled_from(DESIGNS),
    st.tuples(st.integers(1, 70), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(1, 2)),
    st.sampled_from([1.0, 1e-19, 1e19]),
    st.integers(0, 2),
    st.integers(1, 3),
    st.sampled_from([*LAYOUTS]),
)
def test_every_layout_equals_the_sums_one_by_one(
    multiplier: Design, shape: tuple[int, int, int, int, int], scale: float, special: int, threads: int, layout: str
) -> None:
    x, w, out, places = operands(shape, sum(shape), scale)
    rng = np.random.default_rng(special)
    for values in (x, w.reshape(-1)):
        values[rng.integers(0, values.size, special)] = rng.choice(SPECIAL, special)
    expected = sums_one_by_one(multiplier, x, w, places, out)
    LAYOUTS[layout](multiplier, x, w, out, places, threads)
    assert same_bits(out, expected)  # the margin of `out` included


@pytest.mark.parametrize(
    "shape",
    [
        *((rows, 33, 70, 1, 1) for rows in (1, 15, 16, 17, 31, 32, 63, 64, 65, 100, 127, 129, 255, 256, 300, 511, 513)),
        *((rows, 9, 1, 40, 2) for rows in (1, 4, 16, 49, 196, 392, 600)),
        (49, 9, 3, 21, 1),  # depth multiplier
        (600, 65, 66, 1, 1),
        (20, 130, 129, 1, 1),
    ],
)
def test_the_chosen_layout_gives_the_same_bits_for_all_numbers_of_rows_and_threads(
    shape: tuple[int, int, int, int, int],
) -> None:
    multiplier = DESIGNS[shape[0] % 2]
    x, w, out, places = operands(shape, 5)
    expected = sums_one_by_one(multiplier, x, w, places, out)
    for threads in (1, 2, 5):
        result = out.copy()
        gathered_matmul(multiplier, x, w, result, places, threads=threads)
        assert same_bits(result, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["float16", "tf32", "fp8_e4m3", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_every_layout_serves_every_format(layout: str, name: str, scale: float) -> None:
    multiplier = Design(format=name, placement="ama1")
    x, w, out, places = operands((20, 33, 3, 4, 2), 8, scale)
    x[3], w[2, 1] = np.inf, np.nan
    x, w = to_format(multiplier, x), to_format(multiplier, w)
    expected = sums_one_by_one(multiplier, x, w, places, out)
    LAYOUTS[layout](multiplier, x, w, out, places, 1)
    assert same_bits(out, expected)


def test_layouts_are_chosen_by_the_lanes_that_they_fill() -> None:
    assert lane_layout(1, 84, 10) == "narrow"
    assert {lane_layout(rows, 1024, 512) for rows in (32, 64, 255)} == {"strips"}
    assert lane_layout(2048, 576, 64) == "wide"
    assert lane_layout(392, 9, 1, 960) == "strips"
    assert lane_layout(25088, 9, 1, 32) == "wide"


def test_tiles_cover_every_column_once_and_fill_their_blocks() -> None:
    for rows in (1, 16, 40, 64, 100, 255, 600):
        for columns in (1, 2, 10, 31, 84, 120):
            for groups in (1, 3, 40):
                covered = []
                for tile in tiles(rows, columns, groups):
                    covered += [tile.first + s + n * tile.slots for n in range(tile.steps) for s in range(tile.slots)]
                assert sorted(covered) == list(range(columns))
    # 64 rows are 4 strips: 8 columns fill a block.
    (tile,) = tiles(64, 512, 1)
    assert tile.slots % 8 == 0
    assert tile.blocks(64, 1) * tile.steps * 8 == 512


class _RecordedModes:
    """Stands in for the kernel and counts the calls of its two modes."""

    def __init__(self, kernel: Any) -> None:
        self.calls = {"normal": 0, "full": 0}
        self._kernel = kernel

    def __call__(self, settings: Any, mode: str) -> Any:
        compiled = self._kernel(settings, mode)

        def run(*arguments: Any) -> None:
            self.calls[mode] += 1
            compiled(*arguments)

        return run


@pytest.mark.parametrize(
    ("layout", "module", "kernel", "shape"),
    [
        ("wide", wide_kernels, "matmul_kernel", (4096, 6, 64, 1, 1)),
        ("strips", strip_matmul, "strip_kernel", (60, 6, 5, 70, 1)),
    ],
)
@pytest.mark.parametrize("operand", ["x", "w"])
@pytest.mark.parametrize("special", [np.inf, np.nan, 3e38])
def test_one_operand_out_of_range_slows_its_rows_and_columns_only(
    layout: str,
    module: Any,
    kernel: str,
    shape: tuple[int, int, int, int, int],
    operand: str,
    special: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splitting = wide_matmul if layout == "wide" else strip_matmul
    monkeypatch.setattr(splitting, "_PRODUCTS_A_TASK", 1 << 12)
    monkeypatch.setattr(splitting, "_COLUMNS_A_CALL" if layout == "wide" else "_STEPS_A_CALL", 8)
    recorded = _RecordedModes(getattr(module, kernel))
    monkeypatch.setattr(module, kernel, recorded)
    x, w, out, places = operands(shape, 3)
    (x if operand == "x" else w.reshape(-1))[40] = special
    expected = sums_one_by_one(NEAREST, x, w, places, out)
    if layout == "wide":
        wide_matmul.run_wide(NEAREST, x, w, out, places, 1, kernel_name="dense")
    else:
        strip_matmul.run_strips(NEAREST, x, w, out, places, 1)
    assert same_bits(out, expected)
    assert recorded.calls["full"] > 0
    assert recorded.calls["full"] * 4 <= recorded.calls["normal"]


@pytest.mark.parametrize("special", [0.0, np.inf])
def test_zeros_and_subnormals_do_not_leave_the_range(special: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as zeros in the check of all operands and in that of a task, which an infinity makes necessary."""
    recorded = _RecordedModes(wide_kernels.matmul_kernel)
    monkeypatch.setattr(wide_kernels, "matmul_kernel", recorded)
    x, w = np.ones((1024, 3), dtype=np.float32), np.ones((3, 2), dtype=np.float32)
    x[5], x[1023, 0], w[1] = 2.0**-140, special, -(2.0**-140)
    expected = np.full((1024, 2), 2, dtype=np.float32)
    expected[5], expected[1023] = 0, special + 1
    assert operand_ranges.products_stay_normal(x, w) == (special == 0)
    out = np.empty((1024, 2), dtype=np.float32)
    monkeypatch.setattr(wide_matmul, "_PRODUCTS_A_TASK", 1)
    LAYOUTS["wide"](design("exact"), x, np.ascontiguousarray(w.T), out, places_of_rows(1024, 3, 2), 1)
    assert same_bits(out, expected)
    assert recorded.calls == {"normal": 2 if special == 0 else 1, "full": 0 if special == 0 else 1}


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 100])
def test_operands_out_of_range_are_found_wherever_they_stand(
    bits: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bits > jit.Target.host().vector_bits:
        pytest.skip(f"this processor has no {bits}-bit vectors")
    scan_kernel = operand_ranges.scan_kernel
    monkeypatch.setattr(operand_ranges, "scan_kernel", lambda subnormals: scan_kernel(subnormals, bits))
    one = np.ones(1, dtype=np.float32)
    for place in {0, size // 2, size - 1}:
        for extreme, normal in ((3e38, False), (np.nan, False), (2.0**-126, True), (2.0**-149, True), (-0.0, True)):
            values = np.ones(size, dtype=np.float32)
            values[place] = extreme
            assert operand_ranges.products_stay_normal(values, one) == normal
            assert operand_ranges.products_stay_normal(one, values) == normal

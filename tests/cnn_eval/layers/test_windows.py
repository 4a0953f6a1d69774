"""Depthwise convolutions with elements of x in the lanes, against sums of products one by one."""

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
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.gathering import padded_matmul
from circuits.engine.matrix_products.windows import window_matmul
from circuits.engine.matrix_products.windows.window_plan import Margins, window_spans
from circuits.support import processor
from cnn_eval.layers.convolution import Geometry, convolution_places, convolve

HEAP = design("heap")  # does not commute, and has gates for known weights
NEAREST = Design(placement=LOPSIDED, ports="pcs", rounding="nearest_even", name="lopsided_nearest")

needs_avx512 = pytest.mark.skipif(not jit.Target.host().ternary, reason="this processor has no AVX-512")


def operands(
    image: tuple[int, int, int, int], weight: tuple[int, int, int], zeros: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """x [B, G, H, W] and w [G N, 1, KH, KW] from (N, KH, KW), with zeros of both signs and flushed subnormals."""
    rng = np.random.default_rng(seed)
    arrays = []
    for shape, share in ((image, zeros), ((image[1] * weight[0], 1, *weight[1:]), 0.2)):
        values = rng.normal(size=shape).astype(np.float32)
        values[rng.random(shape) < share] = 0
        values[rng.random(shape) < 0.02] = 2.0**-140
        arrays.append(np.copysign(values, rng.normal(size=shape).astype(np.float32)))
    return arrays[0], arrays[1]


def convolved(circuit: Design, x: np.ndarray, w: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The convolution by its definition: one product after the other in ascending order of kernel positions."""
    top, bottom, left, right = geometry.padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = Geometry(stride=geometry.stride, dilation=geometry.dilation).output(x.shape[2:], w.shape[2:])
    columns = len(w) // x.shape[1]
    sums = np.zeros((len(x), len(w), height, width), dtype=np.float32)
    with np.errstate(all="ignore"):
        for r in range(w.shape[2]):
            for s in range(w.shape[3]):
                rows = r * geometry.dilation[0] + np.arange(height) * geometry.stride[0]
                places = s * geometry.dilation[1] + np.arange(width) * geometry.stride[1]
                patch = np.repeat(x[:, :, rows][..., places], columns, axis=1)
                sums += circuit.multiply(patch, w[:, 0, r, s, None, None])
    return sums


def by_windows(
    circuit: Design,
    x: np.ndarray,
    w: np.ndarray,
    geometry: Geometry,
    *,
    margins: bool,
    threads: int = 1,
    **options: Any,
) -> np.ndarray:
    """The same convolution by the window kernel, whether it pays or not."""
    top, bottom, left, right = geometry.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = Geometry(stride=geometry.stride, dilation=geometry.dilation).output(padded.shape[2:], w.shape[2:])
    out = np.full((len(x), len(w), height, width), np.nan, dtype=np.float32)
    places = convolution_places(padded.shape, out.shape, w.shape, geometry)
    rows = np.ascontiguousarray(w.reshape(len(w), -1))
    frame = Margins(x.shape[2:], geometry.padding) if margins else None
    source = x if margins else padded
    window_matmul.run_windows(circuit, source, rows, out, places, threads, margins=frame, **options)
    return out


@pytest.mark.parametrize("known_weights", [False, True])
@pytest.mark.parametrize("zeros", [0, 0.5, 0.97, 1])
@pytest.mark.parametrize(
    ("image", "weight", "geometry"),
    [
        ((2, 3, 9, 9), (1, 3, 3), Geometry(padding=(1, 1, 1, 1), groups=3)),
        ((8, 20, 7, 7), (1, 3, 3), Geometry(padding=(1, 1, 1, 1), groups=20)),
        ((1, 2, 80, 130), (1, 3, 3), Geometry(padding=(1, 1, 1, 1), groups=2)),  # more elements than a chunk
        ((3, 4, 12, 17), (3, 5, 4), Geometry(padding=(0, 2, 3, 1), groups=4)),
        ((2, 3, 15, 14), (2, 3, 3), Geometry(padding=(2, 1, 0, 2), dilation=(2, 3), groups=3)),
        ((2, 5, 13, 20), (1, 3, 3), Geometry(padding=(1, 1, 1, 1), stride=(2, 3), groups=5)),
        ((5, 1, 4, 3), (2, 2, 2), Geometry(padding=(1, 0, 0, 1))),
        ((3, 1, 28, 28), (6, 5, 5), Geometry()),
        ((1, 7, 1, 30), (1, 1, 7), Geometry(padding=(0, 0, 3, 3), groups=7)),
    ],
)
@needs_avx512
def test_all_shapes_give_the_sums_one_by_one(
    image: tuple[int, int, int, int],
    weight: tuple[int, int, int],
    geometry: Geometry,
    zeros: float,
    known_weights: bool,
) -> None:
    x, w = operands(image, weight, zeros)
    expected = convolved(HEAP, x, w, geometry)
    for margins in (False, True):
        assert same_bits(by_windows(HEAP, x, w, geometry, margins=margins, known_weights=known_weights), expected)


@pytest.mark.slow
@settings(max_examples=25, derandomize=True, deadline=None, database=None)
@given(
    st.sampled_from([HEAP, NEAREST, design("ama2_array"), design("axfpm_tiled")]),
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(5, 24), st.integers(5, 24)),
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(*(st.integers(0, 3) for _ in range(4))),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.integers(1, 3),
    st.sampled_from([False, True, None]),
    st.floats(0, 1),
)
@needs_avx512
def test_any_layer_gives_the_sums_one_by_one(
    circuit: Design,
    image: tuple[int, int, int, int],
    weight: tuple[int, int, int],
    padding: tuple[int, int, int, int],
    stride: tuple[int, int],
    threads: int,
    known_weights: bool | None,
    zeros: float,
) -> None:
    geometry = Geometry(stride=stride, padding=padding, groups=image[1])
    x, w = operands(image, weight, zeros, sum(image))
    options = {"threads": threads, "known_weights": known_weights}
    for margins in (False, True):
        assert same_bits(
            by_windows(circuit, x, w, geometry, margins=margins, **options), convolved(circuit, x, w, geometry)
        )


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("zeros", [0.2, 0.9])
def test_every_vector_width_gives_the_same_bits(bits: int, zeros: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if bits > jit.Target.host().vector_bits:
        pytest.skip(f"this processor has no {bits}-bit vectors")
    level = {128: "generic", 256: "avx2", 512: "avx512"}[bits]
    monkeypatch.setenv(processor.VARIABLE, level)
    geometry = Geometry(padding=(1, 1, 1, 1), groups=9)
    x, w = operands((3, 9, 11, 30), (2, 3, 3), zeros)
    expected = convolved(NEAREST, x, w, geometry)
    assert same_bits(by_windows(NEAREST, x, w, geometry, margins=False), expected)
    assert same_bits(convolve(NEAREST, x, w, geometry, method="gate", threads=2), expected)


@pytest.mark.parametrize("name", ["float16", "e5m2", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_every_format_is_served(name: str, scale: float) -> None:
    circuit = Design(format=name, placement="ama1")
    geometry = Geometry(padding=(1, 1, 1, 1), groups=6)
    x, w = operands((2, 6, 12, 12), (1, 3, 3), 0.4)
    x, w = to_format(circuit, x * np.float32(scale)), to_format(circuit, w)
    expected = convolved(circuit, x, w, geometry)
    assert same_bits(by_windows(circuit, x, w, geometry, margins=False), expected)
    assert same_bits(convolve(circuit, x, w, geometry, method="gate"), expected)


class _CountedRows:
    """Stands in for the layouts with rows in lanes and counts the products that they compute."""

    def __init__(self, layouts: Any) -> None:
        self.products, self._layouts = 0, layouts

    def __getitem__(self, name: str) -> Any:
        def run(circuit: Any, x: Any, w: Any, out: Any, places: Places, threads: Any) -> None:
            self.products += places.rows * w.size
            self._layouts[name](circuit, x, w, out, places, threads)

        return run


@pytest.mark.parametrize("margins", [False, True])
@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan, 3e38, 2.0**-126])
@pytest.mark.parametrize("operand", ["x", "w"])
@needs_avx512
def test_one_operand_out_of_range_slows_its_chunk_only(
    operand: str, special: float, margins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _CountedRows(window_matmul.ROW_LAYOUTS)
    monkeypatch.setattr(window_matmul, "ROW_LAYOUTS", rows)
    geometry = Geometry(padding=(1, 1, 1, 1), groups=64)
    x, w = operands((4, 64, 20, 30), (1, 3, 3), 0.5)
    if abs(special) < 1:
        w *= np.float32(0.1)
    (x if operand == "x" else w).reshape(-1)[137] = special
    for known_weights in (False, True):
        rows.products = 0
        out = by_windows(HEAP, x, w, geometry, margins=margins, known_weights=known_weights)
        assert same_bits(out, convolved(HEAP, x, w, geometry))
        assert 0 < rows.products <= out.size * 9 / 10


@needs_avx512
def test_many_operands_out_of_range_are_left_to_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _CountedRows(window_matmul.ROW_LAYOUTS)
    monkeypatch.setattr(window_matmul, "ROW_LAYOUTS", rows)
    geometry = Geometry(padding=(1, 1, 1, 1), groups=8)
    x, w = operands((2, 8, 20, 30), (1, 3, 3), 0.5)
    x[:, :, 3, 4] = np.inf
    out = by_windows(HEAP, x, w, geometry, margins=True)
    assert same_bits(out, convolved(HEAP, x, w, geometry))
    assert rows.products == out.size * 9


def test_windows_pay_where_few_columns_read_their_elements_again_and_again() -> None:
    def pays(image: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry) -> bool:
        out = image[0], weight[0], *geometry.output((image[2], image[3]), (weight[2], weight[3]))
        places = convolution_places(image, out, weight, geometry)
        x = np.ones(image, dtype=np.float32)
        x[:, :, ::2] = 0
        return window_matmul.windows_pay(x, places, weight[0] // geometry.groups)

    assert pays((8, 32, 58, 58), (32, 1, 3, 3), Geometry(groups=32))
    assert pays((8, 960, 9, 9), (960, 1, 3, 3), Geometry(groups=960))
    assert pays((1, 192, 16, 16), (192, 1, 3, 3), Geometry(groups=192))
    assert not pays((8, 64, 18, 18), (64, 64, 3, 3), Geometry())
    assert not pays((128, 6, 12, 12), (16, 6, 5, 5), Geometry())
    assert not pays((8, 64, 32, 32), (64, 64, 1, 1), Geometry())


def test_positions_that_read_elements_far_apart_have_no_spans() -> None:
    places = Places(np.arange(20), np.array([0, 1 << 20]), np.arange(20), 20)
    assert window_spans(places, None) is None
    # Small images without a gap between them would share a span, which margins forbid.
    image, weight, geometry = (4, 1, 3, 3), (1, 1, 2, 2), Geometry()
    places = convolution_places(image, (4, 1, 2, 2), weight, geometry)
    assert window_spans(places, None) is not None
    assert window_spans(places, Margins((1, 1), (1, 1, 1, 1))) is None


@needs_avx512
def test_layers_take_known_weights_once_they_repay_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_kernels, "_PRODUCTS_OF_COMPILATION", 0)
    geometry = Geometry(padding=(1, 1, 1, 1), groups=4)
    x, w = operands((4, 4, 40, 40), (1, 3, 3), 0.5)
    used = []
    kernel = window_matmul.window_kernel
    monkeypatch.setattr(
        window_matmul,
        "window_kernel",
        lambda *a, **options: used.append(options["weight_gates"]) or kernel(*a, **options),
    )
    assert same_bits(convolve(HEAP, x, w, geometry, method="gate"), convolved(HEAP, x, w, geometry))
    small, w_small = operands((1, 90, 7, 7), (1, 3, 3), 0.5)
    geometry = Geometry(padding=(1, 1, 1, 1), groups=90)
    assert same_bits(convolve(HEAP, small, w_small, geometry, method="gate"), convolved(HEAP, small, w_small, geometry))
    assert used == [True, False]


@pytest.mark.parametrize("method", ["auto", "gate", "native"])
def test_padded_matmul_pads_for_every_method(method: str) -> None:
    circuit = Design(rounding="nearest_even", name="exact")
    geometry = Geometry(padding=(2, 1, 0, 3), groups=5)
    x, w = operands((3, 5, 9, 11), (1, 3, 3), 0.5)
    expected = convolved(circuit, x, w, geometry)
    out = np.full_like(expected, np.nan)
    places = convolution_places((3, 5, 12, 14), out.shape, w.shape, geometry)
    padded_matmul(circuit, x, w.reshape(5, 9), out, places, geometry.padding, method=method, threads=1)
    assert same_bits(out, expected)

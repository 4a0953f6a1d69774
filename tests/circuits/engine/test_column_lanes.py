"""Few rows of many columns: lanes over the columns, one activation in all of them, zeros left out."""

from __future__ import annotations

import numpy as np
import pytest
from lopsided import LOPSIDED

from circuits import Design, design, matmul, simulate
from circuits.engine.known_operands import column_matmul, wide_kernels
from circuits.engine.known_operands.column_matmul import ExchangedCircuit, columns_pay, run_columns
from circuits.engine.matrix_products import gate_method
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.netlists.lut_program import with_inputs_exchanged

HEAP = design("heap")
DESIGNS = {
    "heap": HEAP,
    "carry-save": Design(topology="carry_save_array", rounding="nearest_even", placement={"columns": ["ama1"] * 48}),
    "lopsided": Design(placement=LOPSIDED, ports="pcs", rounding="nearest_even", name="lopsided_nearest"),
    "float16": Design(format="float16", placement="ama1"),
    "float32, ieee": Design(placement=LOPSIDED, subnormals="ieee", rounding="nearest_even"),
}


def operands(rows: int, depth: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x [rows, depth], half of it zeros of both signs, and w [columns, depth]."""
    rng = np.random.default_rng(seed)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, depth), (columns, depth)))
    x[rng.random(x.shape) < 0.5] = 0
    return np.copysign(x, rng.normal(size=x.shape).astype(np.float32)), w


def summed(circuit: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Elementwise products, added in ascending k from +0."""
    sums = np.zeros((len(x), len(w)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            sums += circuit.multiply(x[:, k, None], w[None, :, k])
    return sums


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Bit for bit, any NaN equal to any NaN."""
    return bool(((one.view(np.uint32) == other.view(np.uint32)) | (np.isnan(one) & np.isnan(other))).all())


@pytest.fixture
def from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work repays every compilation, which is otherwise seen after a quarter of a billion products."""
    for module in (column_matmul, wide_kernels):
        monkeypatch.setattr(module, "repays_compilation", lambda circuit, products: True)


@pytest.mark.parametrize("fields", [{"width": 4}, {"width": (3, 6)}, {"width": (5, 2), "topology": "dadda"}], ids=str)
def test_a_program_with_exchanged_inputs_computes_the_other_product(fields: dict[str, object]) -> None:
    circuit = Design(format=None, placement=LOPSIDED, **fields)  # type: ignore[arg-type]
    (_, x_width), (_, w_width) = circuit.program().inputs.items()
    planes = np.random.default_rng(1).integers(0, 2**64, (x_width + w_width, 20), dtype=np.uint64)
    exchanged = with_inputs_exchanged(circuit.program())
    assert list(exchanged.inputs.items()) == list(circuit.program().inputs.items())[::-1]
    product = simulate(circuit.program(), planes, "reference")
    np.testing.assert_array_equal(simulate(exchanged, np.roll(planes, w_width, axis=0), "reference"), product)
    # Twice exchanged, it is the same program.
    assert with_inputs_exchanged(exchanged) == circuit.program()


def test_an_exchanged_circuit_multiplies_the_other_way_round() -> None:
    x, w = operands(1, 40, 40)
    np.testing.assert_array_equal(ExchangedCircuit(HEAP).multiply(x, w), HEAP.multiply(w, x))
    assert not np.array_equal(HEAP.multiply(x, w), HEAP.multiply(w, x))
    assert ExchangedCircuit(HEAP) == ExchangedCircuit(design("heap"))


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("shape", [(5, 40, 530), (33, 7, 512)])
def test_products_with_lanes_over_columns_equal_the_sums(
    name: str, shape: tuple[int, int, int], from_the_start: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_method, "lane_layout", None)  # no other layout is asked for
    monkeypatch.setattr(gate_method, "columns_pay", lambda *arguments: True)
    circuit, (x, w) = DESIGNS[name], operands(*shape)
    for corner in (None, np.inf, np.nan, 3e38, 1e-40):
        if corner:
            x[1, 3], w[7, 2], w[500, 5] = corner, -corner, corner
        for threads in (1, 3):
            result = matmul(circuit, x, w.T, method="gate", threads=threads)
            assert same(result, summed(circuit, x, w))


def test_rows_and_results_may_lie_anywhere() -> None:
    """Rows with gaps, in another order, results of two images, groups."""
    rng = np.random.default_rng(3)
    rows, depth, columns, groups = 6, 9, 70, 2
    x, w = rng.normal(size=(rows, 2, groups, depth)).astype(np.float32), operands(1, depth, groups * columns)[1]
    order = rng.permutation(rows)
    for out_at in (order, np.where(order < 3, order, order + 1000)):
        places = Places(np.arange(rows) * 2 * groups * depth, np.arange(depth), out_at, 7, groups, depth, 2000)
        out = np.full(5000, 7, dtype=np.float32)
        run_columns(HEAP, x, w, out, places, 2)
        expected = np.full_like(out, 7)
        for group in range(groups):
            weights = w[group * columns : (group + 1) * columns]
            at = out_at[:, None] + 7 * np.arange(columns) + 2000 * group
            expected[at] = summed(HEAP, x[:, 0, group], weights)
        assert same(out, expected)


def test_lanes_run_over_columns_where_these_fill_blocks_and_rows_do_not(from_the_start: None) -> None:
    def pays(rows: int, depth: int, columns: int, zeros: float) -> bool:
        x = np.ones(rows * depth, dtype=np.float32)
        x[: round(zeros * x.size)] = 0
        np.random.default_rng(5).shuffle(x)
        return columns_pay(HEAP, x.reshape(rows, depth), places_of_rows(rows, depth, columns), columns)

    assert pays(64, 1024, 512, 0.5)
    assert pays(64, 1024, 512, 0)
    assert pays(64, 1024, 300, 0.5)
    assert not pays(64, 1024, 300, 0)  # only zeros left out are worth the lanes that stay empty
    assert not pays(64, 400, 120, 0.5)
    assert not pays(1, 1024, 512, 0.5)
    assert not pays(2048, 576, 64, 0.5)


def test_exchanged_gates_are_made_once_a_circuit_has_computed_enough() -> None:
    circuit = Design(placement={"columns": ["exact"] * 47 + ["ama2"]}, rounding="nearest_even")
    x, places = np.ones((64, 1024), dtype=np.float32), places_of_rows(64, 1024, 512)
    answers = [columns_pay(circuit, x, places, 512) for _ in range(10)]
    assert answers == [False] * 8 + [True] * 2  # 8 x 2^25 = 2^28

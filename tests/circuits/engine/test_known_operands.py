"""Kernels that leave zeros out or specialise gates for known weights: bit for bit what multiplying everything gives."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from bit_equality import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import CELLS, NAMED, Design, design, matmul
from circuits.engine.backends import reference
from circuits.engine.known_operands import sparse_matmul_kernel, stage_code, weight_gates, weight_stages, wide_kernels
from circuits.engine.llvm import jit
from circuits.engine.llvm.float_gates import kernel_program
from circuits.engine.llvm.float_parts import FRACTION, WIDTH
from circuits.engine.matrix_products import operand_ranges, wide_matmul
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.task_threads import aligned_empty
from circuits.netlists.lut_program import Program
from circuits.netlists.truth_table import evaluate

FLOAT32 = [name for name, named in NAMED.items() if named.format == "float32"]
HEAP = design("heap")  # x w != w x

needs_avx512 = pytest.mark.skipif(not jit.Target.host().ternary, reason="this processor has no AVX-512")


def operands(
    rows: int, depth: int, columns: int, zeros: float, seed: int = 0, *, zero_weights: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Normal float32 x [rows, depth] and w [columns, depth] with shares of zeros, some of them negative."""
    rng = np.random.default_rng(seed)
    arrays = []
    for shape, share in (((rows, depth), zeros), ((columns, depth), zero_weights)):
        values = rng.normal(size=shape).astype(np.float32)
        values[rng.random(shape) < share] = 0
        arrays.append(np.copysign(values, rng.normal(size=shape).astype(np.float32)))
    return arrays[0], arrays[1]


def products_of(name: str, circuit: Design, x: np.ndarray, w: np.ndarray, threads: int = 1) -> np.ndarray:
    """x w^T by the kernel of that name."""
    out = np.full((len(x), len(w)), np.nan, dtype=np.float32)
    wide_matmul.run_wide(circuit, x, w, out, places_of_rows(*x.shape, len(w)), threads, kernel_name=name)
    return out


def summed(circuit: Design, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The definition: elementwise products, added in ascending k from +0."""
    sums = np.zeros((len(x), len(w)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            sums += circuit.multiply(x[:, k, None], w[None, :, k])
    return sums


@pytest.mark.parametrize("zeros", [0, 0.5, 0.9, 1])
@pytest.mark.parametrize("rows", [1, 511, 513, 4096, 4613])
@pytest.mark.parametrize("name", wide_kernels.KERNELS)
def test_every_kernel_adds_the_same_products_whatever_the_share_of_zeros(name: str, rows: int, zeros: float) -> None:
    x, w = operands(rows, 35, 3, zeros)
    assert same_bits(products_of(name, HEAP, x, w), summed(HEAP, x, w))


@pytest.mark.parametrize("name", FLOAT32)
def test_every_named_design_gives_the_same_bits_by_every_kernel(name: str) -> None:
    x, w = operands(1100, 20, 66, 0.6, zero_weights=0.3)
    expected = summed(design(name), x, w)
    for kernel in wide_kernels.KERNELS:
        assert same_bits(products_of(kernel, design(name), x, w), expected)


def test_zeros_in_runs_and_in_all_rows_but_one_change_no_sum() -> None:
    x, w = operands(2048, 6, 5, 0)
    x[:700, 0] = 0
    x[:, 1] = 0
    x[1:, 2] = -0.0
    x[:-1, 3] = 0
    x[::2, 4] = 2.0**-140  # flushed
    expected = summed(HEAP, x, w)
    for name in wide_kernels.KERNELS:
        assert same_bits(products_of(name, HEAP, x, w), expected)


@pytest.mark.parametrize("corner", [np.inf, np.nan, 3e38, 1.3e-38])
def test_operands_that_leave_the_normal_range_are_all_multiplied(corner: float) -> None:
    x, w = operands(600, 5, 4, 0.5)
    x[3, 2] = corner
    w[:, 2] *= np.float32(1e-4) if corner < 1 else np.float32(100)
    w[1, 2] = 0
    kernel = wide_kernels.wide_kernel(HEAP, x, 1, normal=operand_ranges.products_stay_normal(x, w), name="staged")
    assert not kernel.group_blocks
    expected = summed(HEAP, x, w)
    for name in wide_kernels.KERNELS:
        sums = products_of(name, HEAP, x, w)
        assert same_bits(sums, expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_result_does_not_depend_on_threads_nor_on_where_elements_lie(threads: int) -> None:
    x, w = operands(3000, 40, 70, 0.7)
    expected = products_of("dense", HEAP, x, w)
    for name in wide_kernels.KERNELS:
        assert same_bits(products_of(name, HEAP, x, w, threads), expected)
        out = np.full((70, 3000), np.nan, dtype=np.float32)
        # Columns of the result outermost, rows backwards; x transposed.
        rows = np.arange(3000)
        places = Places(rows, np.arange(40) * 3000, rows[::-1].copy(), 3000)
        turned = np.ascontiguousarray(x.T)
        wide_matmul.run_wide(HEAP, turned, w, out, places, threads, kernel_name=name)
        assert same_bits(out[:, ::-1].T.copy(), expected)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_zeros_are_left_out_on_every_vector_width(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if bits > jit.Target.host().vector_bits:
        pytest.skip(f"this processor has no {bits}-bit vectors")
    kernel = sparse_matmul_kernel.sparse_matmul_kernel
    monkeypatch.setattr(wide_kernels, "sparse_matmul_kernel", lambda settings: kernel(settings, bits))
    x, w = operands(1300, 18, 4, 0.6)
    assert same_bits(products_of("sparse", HEAP, x, w), summed(HEAP, x, w))


def test_few_zeros_are_multiplied_and_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for zeros, blocks in ((0, 0), (0.5, sparse_matmul_kernel.GROUP_BLOCKS)):
        x, _ = operands(1000, 10, 1, zeros)
        assert wide_kernels.wide_kernel(design("ama2_array"), x, 1, normal=True).group_blocks == blocks


@needs_avx512
def test_gates_for_known_weights_are_made_once_a_circuit_has_computed_enough() -> None:
    circuit = Design(topology="carry_save_array", placement="ama3", rounding="nearest_even", name="counted")
    x, _ = operands(10, 10, 1, 0.5)
    large = wide_kernels._PRODUCTS_OF_COMPILATION // 2 + 1
    chosen = [wide_kernels.wide_kernel(circuit, x, large, normal=True) for _ in range(3)]
    assert len({kernel.gates_address for kernel in chosen[1:]}) == 1
    assert chosen[0].gates_address != chosen[1].gates_address


# Stages: the program split so that each stage reads one bit of the weight.


def run_stages(stages: weight_stages.StagedProgram, weight: int, x: np.ndarray, width: int) -> np.ndarray:
    """The stages evaluated one operation after the other, for one weight: uint64 [results, words] from x's planes."""
    ones = ~np.uint64(0)
    values: dict[int, np.ndarray] = dict(enumerate(x))
    entry = 0
    zero = np.zeros_like(x[0])

    def value_of(literal: int) -> np.ndarray:
        plane = zero if literal <= 1 else values[(literal >> 1) - 1]
        return plane ^ ones if literal & 1 else plane

    for number, stage in enumerate(stages.stages):
        code = stage.entries[entry]
        assert not code.known.keys() & values.keys() - {node for node in code.known if node < width}
        variant = code.variants[(weight >> stage.bit & 1) if len(code.variants) > 1 else 0]
        for node, table, nodes in variant.operations:
            read = [values[node] for node in nodes]
            values[node] = evaluate(table, (*read, read[0])[:3], ones)
        # Keep only what the next stage may read.
        outputs = {node: value_of(literal) for node, literal in variant.values.items()}
        earlier = {node for node in values if node < width or stages.last_reads.get(node, -1) > number}
        own = set(stage.outputs) | {node for node, _, _ in variant.operations}
        values = {node: values[node] for node in earlier - own} | outputs
        entry = variant.following
    return np.array([values[node] for node in stages.results])


def expected_planes(program: Program, x: np.ndarray, weight: int) -> np.ndarray:
    planes = [np.full(x.shape[1], ~np.uint64(0) if weight >> bit & 1 else 0, dtype=np.uint64) for bit in range(WIDTH)]
    return reference.run(program, np.concatenate([x, planes]))


def mantissa_planes(seed: int, words: int = 8) -> np.ndarray:
    """uint64 [24, words] of random mantissas with their leading ones, aligned to 64 bytes."""
    raw = np.random.default_rng(seed).integers(0, 2**64, (WIDTH, words), dtype=np.uint64)
    raw[FRACTION] = ~np.uint64(0)
    return raw


WEIGHTS = [1 << FRACTION, (1 << WIDTH) - 1, 0xAAAAAA, 0xD55555, 0x800001, 0xC00000, 0x9E3779, 0xF0F0F0]


@pytest.mark.parametrize("entries", [1, 2, 4])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ["heap", "ama4_array", "axfpm_tiled"])
def test_stages_compute_the_program_for_every_weight(name: str, descending: bool, entries: int) -> None:
    program = kernel_program(design(name))[1]
    order = range(WIDTH)[::-1] if descending else range(WIDTH)
    stages = weight_stages.staged(program, order, {FRACTION: 1, WIDTH + FRACTION: 1}, entries)
    assert stages is not None
    assert sum(entry.chance for entry in stages.stages[-1].entries) == pytest.approx(1)
    x = mantissa_planes(1)
    for weight in WEIGHTS:
        np.testing.assert_array_equal(run_stages(stages, weight, x, WIDTH), expected_planes(program, x, weight))


def test_more_entries_never_cost_operations_and_save_most_where_a_bit_clears_the_state() -> None:
    program = kernel_program(HEAP)[1]
    costs = []
    for entries in (1, 3):
        stages = weight_stages.staged(program, range(WIDTH)[::-1], {FRACTION: 1, WIDTH + FRACTION: 1}, entries)
        assert stages is not None
        costs.append(stages.expected_operations)
    assert costs[1] < 0.75 * costs[0] < 0.75 * 0.4 * len(program)


def test_a_stage_that_needs_an_earlier_bit_is_refused() -> None:
    tables, nodes = np.array([0x88, 0x88], dtype=np.uint8), np.array([[0, 2, 0], [4, 2, 4]], dtype=np.int32)
    program = Program({"x": 2, "w": 2}, {"product": 1}, tables, nodes, np.array([5]), np.full((2, 2), -1))
    assert weight_stages.staged(program, (0, 1), {}, 1) is not None
    passed_on = Program({"x": 2, "w": 2}, {"product": 1}, tables, nodes, np.array([2]), np.full((2, 2), -1))
    assert weight_stages.staged(passed_on, (0, 1), {}, 1) is None


def compiled(circuit: Design) -> Callable[[int, np.ndarray], np.ndarray]:
    """gates(weight, x planes) by the machine code of the circuit's stages, whether they pay or not."""
    code = weight_gates.staged_code(kernel_program(circuit)[1])
    assert code is not None
    p = ctypes.c_void_p
    library = jit.load(weight_gates.weight_gates_ir(code.text), jit.Target.host())
    function = library.function("gates", p, ctypes.c_uint32, p, p)

    def gates(weight: int, x: np.ndarray) -> np.ndarray:
        memory = aligned_empty((WIDTH + 64 + code.slots, 8), np.uint64)
        memory[:WIDTH] = x
        out = memory[WIDTH : WIDTH + 64]
        function(memory.ctypes.data, weight, out.ctypes.data, memory.ctypes.data + 64 * (WIDTH + 64))
        return out

    return gates


@needs_avx512
@pytest.mark.parametrize("name", ["heap", "ama4_array", "axfpm_tiled", "ama1_array"])
def test_machine_code_of_stages_equals_the_reference(name: str) -> None:
    gates, program = compiled(design(name)), kernel_program(design(name))[1]
    x = mantissa_planes(2)
    rng = np.random.default_rng(3)
    for weight in [*WEIGHTS, *(int(w) | 1 << FRACTION for w in rng.integers(0, 1 << FRACTION, 40))]:
        expected = expected_planes(program, x, weight)
        np.testing.assert_array_equal(gates(weight, x)[: len(expected)], expected)


@needs_avx512
@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(["carry_save_array", "ripple_array"]),
    st.lists(st.sampled_from(sorted(CELLS)), min_size=48, max_size=48),
    st.sampled_from(["truncate", "nearest_even"]),
    st.integers(0, (1 << FRACTION) - 1),
)
def test_machine_code_of_heterogeneous_arrays_equals_the_reference(
    topology: str, cells: list[str], rounding: str, fraction: int
) -> None:
    circuit = Design(topology=topology, placement={"columns": cells}, rounding=rounding, name="random")
    gates, program = compiled(circuit), kernel_program(circuit)[1]
    x = mantissa_planes(fraction)
    for weight in (fraction | 1 << FRACTION, *WEIGHTS[:3]):
        expected = expected_planes(program, x, weight)
        np.testing.assert_array_equal(gates(weight, x)[: len(expected)], expected)


def test_stages_are_used_where_they_pay() -> None:
    for name, pays in (("heap", True), ("ama4_array", True), ("exact", False), ("ama1_array", False)):
        program = kernel_program(design(name))[1]
        code = weight_gates.staged_code(program)
        assert (code is not None and weight_gates.pays(code, program)) == pays


def test_values_beyond_the_registers_go_to_memory() -> None:
    """The last stage of a random array keeps more values alive than there are registers."""
    program = kernel_program(design("axfpm_tiled"))[1]
    stages = weight_stages.staged(program, range(WIDTH), {FRACTION: 1, WIDTH + FRACTION: 1}, 1)
    assert stages is not None
    assert stage_code.stage_code(stages, WIDTH).slots > 32


def test_matmul_of_sparse_activations_equals_its_definition() -> None:
    x, w = operands(700, 30, 9, 0.8)
    assert same_bits(matmul(HEAP, x, w.T), summed(HEAP, x, w))


# Few rows.


@pytest.mark.parametrize("zeros", [0, 0.3, 0.6, 0.97, 1])
@pytest.mark.parametrize("shape", [(1, 400, 60), (1, 37, 30), (1, 16, 200), (1, 5, 300), (3, 1100, 130), (2, 33, 9)])
def test_few_rows_leave_zeros_out_too(shape: tuple[int, int, int], zeros: float) -> None:
    x, w = operands(*shape, zeros)
    for threads in (1, 2):
        assert same_bits(matmul(HEAP, x, w.T, threads=threads), summed(HEAP, x, w))


@pytest.mark.parametrize("corner", [np.inf, -np.inf, np.nan, 3e38])
def test_an_infinite_weight_meets_the_zeros_of_a_single_row(corner: float) -> None:
    x, w = operands(1, 50, 40, 0.8)
    x[0, 7], x[0, 9] = 0, 2
    w[3, 7] = w[5, 9] = corner
    sums, expected = matmul(HEAP, x, w.T), summed(HEAP, x, w)
    assert same_bits(sums, expected)
    assert np.isnan(sums[0, 3]) == (not np.isfinite(corner))


@pytest.mark.parametrize("corner", [np.inf, -np.inf, np.nan, 3e38, 1e-38])
@pytest.mark.parametrize("shape", [(1, 50, 40), (1, 400, 60), (1, 16, 200)])
def test_an_activation_out_of_range_leaves_the_zeros_out_all_the_same(
    corner: float, shape: tuple[int, int, int]
) -> None:
    x, w = operands(*shape, 0.7)
    x[0, 7] = corner
    for scale in (1, 1e-3, 1e3):
        scaled = (w * np.float32(scale)).astype(np.float32)
        sums, expected = matmul(HEAP, x, scaled.T), summed(HEAP, x, scaled)
        assert same_bits(sums, expected)

"""NVIDIA's assembler accepts the PTX of every kernel and spills nothing; `-s` prints what it reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from assembler import assemble, find_assembler

from circuits import NAMED, Design, DesignError, design
from circuits.engine.device import cuda_driver, fraction_products, gate_products
from circuits.engine.device.kernels import fraction_matmul_kernel, gate_matmul_kernel
from circuits.engine.device.kernels.conversion_kernel import conversion_kernel
from circuits.engine.device.kernels.float_planes import float_rules
from circuits.engine.device.kernels.fraction_matmul_kernel import FractionMatmul
from circuits.engine.device.kernels.table_matmul_kernel import TableMatmul, table_matmul_kernel, weight_kernel
from circuits.engine.device.kernels.thread_code import Kernel
from circuits.engine.device.ptx_code import ARCHITECTURE, ptx, ptx_of_ir

ARCHITECTURES = ("sm_80", "sm_90")
# An H100: multiprocessors, clock in Hz, instructions of the integer and logic unit per clock and multiprocessor.
_PROCESSORS, _CLOCK, _RATE = 132, 1.755e9, 64
_ISSUED = 4  # instructions per clock and multiprocessor, of all units together
CIRCUITS = (
    *map(design, NAMED),
    Design(format="float16"),
    Design(format="tf32"),
    Design(format=None, width=8, signed=True, placement="ama1"),
    Design(format=None, width=(12, 16)),
)

needs_assembler = pytest.mark.skipif(
    find_assembler() is None, reason="needs ptxas: python -m pip install nvidia-cuda-nvcc-cu12"
)


def _kernels() -> Iterator[tuple[str, Kernel]]:
    """(name, kernel) of every kind of kernel."""
    for each in CIRCUITS:
        for x_first in (True, False):
            kernels = gate_products._kernels(each, x_first, 64 if each.shape == (12, 16) else 32)
            yield f"{each.label} {each.format}, {'rows' if x_first else 'columns'} in lanes", kernels.matmul
            yield f"{each.label} {each.format}, packing", kernels.packing
    for name in ("float16", "fp8_e4m3", "bfloat16"):
        yield f"conversion to {name}", conversion_kernel(float_rules(Design(format=name)))
    yield "codes of fp8", conversion_kernel(float_rules(Design(format="fp8_e4m3")), codes=True)
    for sums in ("i32", "i64", "float"):
        for columns in (1, 4, 8, 16):
            yield f"table, {sums}, {columns} columns", table_matmul_kernel(TableMatmul(8, 8, sums, True, columns))
    yield "offsets of weights", weight_kernel(TableMatmul(8, 8, "i32", True, 8))
    for each in (Design(format="bfloat16"), Design(format="e6m7", subnormals="ieee", rounding="nearest_even")):
        for entry_bytes, columns in ((1, 1), (1, 4), (1, 8), (1, 16), (2, 16)):
            kind = FractionMatmul(float_rules(each), entry_bytes, 1, columns)
            for use, kernel in zip(("conversion", "weights", "table"), fraction_products._kernels(kind), strict=True):
                yield f"{each.format}, {use} of {entry_bytes}-byte entries, {columns} columns", kernel


@pytest.mark.slow
def test_every_kernel_is_ptx_for_the_oldest_architecture() -> None:
    for name, kernel in _kernels():
        text = ptx(kernel)
        assert text.endswith(b"\0"), name
        assert f".target {ARCHITECTURE}".encode() in text, name
        assert b".visible .entry kernel(" in text, name
        # Float sums are plain additions: nothing fused, nothing flushed.
        assert b"fma." not in text, name
        assert b".ftz" not in text, name


@needs_assembler
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_assembler_accepts_every_kernel_and_spills_nothing(architecture: str, tmp_path: Path) -> None:
    for name, kernel in _kernels():
        report = assemble(ptx(kernel), architecture, tmp_path)
        print(f"{architecture}  {report.registers:3d} registers {report.instructions:5d} instructions  {name}")
        assert report.spilled == 0, name


@needs_assembler
@pytest.mark.slow
def test_an_h100_needs_few_instructions_for_products_by_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions for 32 products: those of the kernel minus those of the same kernel with constants for products."""
    for name in ("exact", "heap", "axfpm_tiled"):
        kernel = gate_products._kernels(design(name), True, 32).matmul
        whole = assemble(ptx(kernel), "sm_90", tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(gate_matmul_kernel, "_emit_terms", lambda *_: ["1.0"] * 32)
            rest = assemble(ptx_of_ir(kernel.device_ir()), "sm_90", tmp_path)
        instructions = whole.instructions - rest.instructions
        estimate = _PROCESSORS * _CLOCK * _RATE * 32 / instructions
        print(
            f"{name}: {instructions} instructions for 32 products, {whole.registers} registers: "
            f"{estimate:.2g} products/s if all take the logic unit"
        )
        operations = len(design(name).program())
        # Every operation of the program takes at most one instruction; the rest are transposition, exponents and sums.
        assert operations / 2 < instructions < operations + 700
        # Twelve warps of 32 threads share the 65,536 registers of a multiprocessor.
        assert whole.registers <= 65536 // (12 * 32) + 32
        assert estimate > 1e11


@needs_assembler
@pytest.mark.slow
def test_an_h100_needs_few_instructions_for_bfloat16_products_by_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instructions of the loop over 16 products whose factors and results are normal numbers."""
    monkeypatch.setattr(fraction_matmul_kernel, "_emit_any", lambda *_: None)
    monkeypatch.setattr(fraction_matmul_kernel, "BLOCKS", 1)
    kind = FractionMatmul(float_rules(design("bfloat16")), 1, 1, 16)
    kernel = fraction_matmul_kernel.fraction_matmul_kernel(kind)
    each = assemble(ptx_of_ir(kernel.device_ir()), "sm_90", tmp_path).lookup_loop_instructions() / 16
    estimate = _PROCESSORS * _CLOCK * _ISSUED * 32 / each
    print(f"bfloat16: {each:.1f} instructions a product: {estimate:.2g} products/s if all are issued without a pause")
    # 5.5 by the module's docstring, and at most 40 for x and the loop, shared by all 16 products.
    assert 5.5 < each < 8
    assert estimate > 3e12


def test_a_missing_driver_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", absent)
    cuda_driver._driver.cache_clear()
    with pytest.raises(
        DesignError, match=r"^no CUDA device: the driver's library \S+ cannot be loaded; install [^\n]*$"
    ):
        cuda_driver.CudaDevice(0)

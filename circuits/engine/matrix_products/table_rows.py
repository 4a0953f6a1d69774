"""Tiny products of contiguous float32 matrices by table look-ups, in one call: conversion, products, sums and bias.

What a product of a few hundred terms takes in Python, views of arrays and choices of kernels, is ten times what its
look-ups take.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.matrix_products.element_places import places_of_rows
from circuits.engine.matrix_products.product_methods import find_method
from circuits.engine.multiplier_circuit import MultiplierCircuit
from circuits.engine.table_kernels.float_codes import byte_encoder_ir, encoding, is_small
from circuits.engine.table_kernels.fraction_codes import encoder_ir
from circuits.engine.table_kernels.table_images import BYTES, fraction_image, word_table
from circuits.engine.task_threads import scratch_address
from circuits.floats.arithmetic import FloatFormat

_TINY_PRODUCT = 1 << 14
"""Products from which on the other kernels pay."""
_PARAMETERS = "ptr %shape, ptr %x, ptr %w, ptr %bias, ptr %out, ptr %scratch"
_HALF_BITS = 16


class TableRows:
    """`product_methods.PreparedRows` of a format that tables serve: x [M, K] times w [N, K]."""

    def __init__(self, circuit: MultiplierCircuit, rows: int, depth: int, columns: int) -> None:
        fmt = circuit.float_format
        assert fmt is not None
        self._circuit, self._sizes = circuit, (rows, depth, columns)
        self._tables: tuple[NDArray[Any], ...]
        if is_small(fmt):
            self._tables = encoding(fmt, circuit.rounding, str(circuit.subnormals)), word_table(circuit)
            self._kernel = _small_kernel(fmt, Target.host())
        else:
            image = fraction_image(circuit)
            self._tables = (image.planes,)
            settings = fmt.fraction_bits, circuit.rounding, str(circuit.subnormals)
            self._kernel = _fraction_kernel(*settings, image.plane_count, 254 - image.raised, Target.host())
        self._shape = np.array([rows, depth, columns, *(table.ctypes.data for table in self._tables)], dtype=np.int64)
        self._shape_address = self._shape.ctypes.data
        # Codes of at most 2 bytes, and a few words before them.
        self._scratch_bytes = 2 * depth * (rows + columns) + 256

    def run(self, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        """The product of the float32 arrays at these addresses, plus bias[n] if given."""
        scratch = scratch_address(self._scratch_bytes)
        self._kernel(self._shape_address, x, w, bias, out, scratch)
        if ctypes.c_int64.from_address(scratch).value:
            self._run_by_gates(x, w, bias, out, threads)

    def _run_by_gates(self, x: int, w: int, bias: int | None, out: int, threads: int | None) -> None:
        rows, depth, columns = self._sizes
        operands, weights, results = (
            _array(address, *shape)
            for address, shape in ((x, (rows, depth)), (w, (columns, depth)), (out, (rows, columns)))
        )
        places = places_of_rows(rows, depth, columns)
        find_method("gate").run(self._circuit, operands, weights, results, places, threads)
        if bias is not None:
            results += _array(bias, columns)


def _array(address: int, *shape: int) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.ctypeslib.as_array((ctypes.c_float * int(np.prod(shape))).from_address(address))
    return array.reshape(shape)


@lru_cache(maxsize=256)
def prepared_rows(circuit: MultiplierCircuit, rows: int, depth: int, columns: int) -> TableRows | None:
    """[rows, depth] @ [columns, depth].T -> [rows, columns], all contiguous float32; None unless it is tiny.

    Formats that are not bytes must have the exponents of float32, because their range is looked for in its bits.
    """
    fmt = circuit.float_format
    if fmt is None or not 0 < rows * depth * columns < _TINY_PRODUCT or not (is_small(fmt) or fmt.exponent_bits == 8):
        return None
    return TableRows(circuit, rows, depth, columns)


def _emit_products(f: Function, code: str, product: Callable[[str, str], str]) -> None:
    """out = x w + bias; `product(x code, w code)` emits one product. Codes lie at 64 bytes behind %scratch."""
    rows, depth, columns = (f.op(f"load i64, ptr {f.offset('%shape', 8 * k)}") for k in range(3))
    x_codes = f.offset("%scratch", 64)
    w_codes = f.element(x_codes, code, f.op(f"mul i64 {rows}, {depth}"))
    biased = f.op("icmp ne ptr %bias, null")
    with f.loop(rows) as m, f.loop(columns) as n:
        own_x = f.element(x_codes, code, f.op(f"mul i64 {m}, {depth}"))
        own_w = f.element(w_codes, code, f.op(f"mul i64 {n}, {depth}"))
        with f.fold(depth, "float", ["0.0"]) as (k, total):
            codes = [f.op(f"load {code}, ptr {f.element(own, code, k)}") for own in (own_x, own_w)]
            total[0] = f.op(f"fadd float {total[0]}, {product(*codes)}")
        place = f.element("%out", "float", f.op(f"add i64 {f.op(f'mul i64 {m}, {columns}')}, {n}"))
        f.do(f"store float {total[0]}, ptr {place}")
        with f.when(biased):
            own_bias = f.op(f"load float, ptr {f.element('%bias', 'float', n)}")
            f.do(f"store float {f.op(f'fadd float {total[0]}, {own_bias}')}, ptr {place}")


def _emit_encoding(f: Function, code: str, call: Callable[[str, str, str, int], None]) -> None:
    """Encodes x and w to where `_emit_products` finds them; `call(values, count, codes, number)` does one of them."""
    rows, depth, columns = (f.op(f"load i64, ptr {f.offset('%shape', 8 * k)}") for k in range(3))
    codes = f.offset("%scratch", 64)
    for number, (values, count) in enumerate((("%x", rows), ("%w", columns))):
        size = f.op(f"mul i64 {count}, {depth}")
        call(values, size, codes, number)
        codes = f.element(codes, code, size)


def small_rows_ir(fmt: FloatFormat) -> str:
    """@kernel(shape, x, w, bias, out, scratch) for codes of a byte. `shape`: M, K, N and the addresses of two tables.

    The first i64 of scratch becomes 0: the product is done.
    """
    f = Function("kernel", _PARAMETERS)
    codes_table, products_table = (f.op(f"load ptr, ptr {f.offset('%shape', 8 * k)}") for k in (3, 4))
    f.do("store i64 0, ptr %scratch")
    _emit_encoding(
        f,
        "i8",
        lambda values, count, codes, number: f.do(
            f"call void @encode(ptr {codes_table}, ptr {values}, i64 {count}, ptr {codes})"
        ),
    )

    def product(x: str, w: str) -> str:
        row = f.op(f"mul i64 {f.op(f'zext i8 {w} to i64')}, {BYTES}")
        place = f.op(f"add i64 {row}, {f.op(f'zext i8 {x} to i64')}")
        return f.op(f"load float, ptr {f.element(products_table, 'float', place)}")

    _emit_products(f, "i8", product)
    return byte_encoder_ir(fmt) + f.text()


def fraction_rows_ir(fraction_bits: int, rounding: str, subnormals: str, planes: int, top: int) -> str:
    """The same for upper halves of float32 with 8 exponent bits; `shape` ends with the address of the entries.

    The first i64 of scratch becomes 0, or 1 where a product might not be normal: then nothing is computed. `top`: the
    greatest biased exponent that the operands of a product may give together, less 127.
    """
    f = Function("kernel", _PARAMETERS)
    entries = f.op(f"load ptr, ptr {f.offset('%shape', 24)}")
    _emit_encoding(
        f,
        "i16",
        lambda values, count, codes, number: f.do(
            f"call void @encode(ptr {values}, i64 {count}, ptr {codes}, ptr {f.offset('%scratch', 16 + 16 * number)})"
        ),
    )
    normal = _emit_normal(f, top)
    failed = f.op(f"xor i1 {normal}, true")
    f.do(f"store i64 {f.op(f'zext i1 {failed} to i64')}, ptr %scratch")

    def product(x: str, w: str) -> str:
        fraction_x, fraction_w = (f.op(f"zext i16 {f.op(f'and i16 {half}, 127')} to i64") for half in (x, w))
        row = f.offset(entries, f.op(f"mul i64 {fraction_w}, {128 * planes}"))
        total = f.op(f"add i16 {f.op(f'and i16 {x}, -128')}, {f.op(f'and i16 {w}, -128')}")
        total = f.op(f"sub i16 {total}, {0x3F80}")
        for plane in range(planes):
            byte = f.op(f"load i8, ptr {f.offset(f.offset(row, 128 * plane), fraction_x)}")
            entry = f.op(f"shl i16 {f.op(f'zext i8 {byte} to i16')}, {8 * plane}")
            total = f.op(f"add i16 {total}, {entry}")
        zeros = [f.op(f"icmp eq i16 {f.op(f'and i16 {half}, 32767')}, 0") for half in (x, w)]
        total = f.op(f"select i1 {f.op(f'or i1 {zeros[0]}, {zeros[1]}')}, i16 0, i16 {total}")
        pattern = f.op(f"shl i32 {f.op(f'zext i16 {total} to i32')}, {_HALF_BITS}")
        return f.op(f"bitcast i32 {pattern} to float")

    with f.when(normal):
        _emit_products(f, "i16", product)
    return encoder_ir(fraction_bits, rounding, subnormals) + f.text()


def _emit_normal(f: Function, top: int) -> str:
    """Whether all products are normal (i1), from the extremes that `fraction_codes.encoder_ir` writes for x and w."""
    least, greatest = [], []
    for number in range(2):
        words = [f.op(f"load i32, ptr {f.offset('%scratch', 16 + 16 * number + 4 * k)}") for k in range(2)]
        # Of zeros alone the least code less one is 2^32 - 1: 2^25 as an exponent, beyond all.
        wide = f.op(f"add i64 {f.op(f'zext i32 {words[0]} to i64')}, 1")
        least.append(f.op(f"trunc i64 {f.op(f'lshr i64 {wide}, 7')} to i32"))
        greatest.append(f.op(f"lshr i32 {words[1]}, 7"))
    lowest, highest = (f.op(f"add i32 {a}, {b}") for a, b in (least, greatest))
    conditions = [f.op(f"icmp sge i32 {lowest}, {1 + 127}"), f.op(f"icmp sle i32 {highest}, {top + 127}")]
    for low, high in zip(least, greatest, strict=True):
        conditions += [f.op(f"icmp sge i32 {low}, 1"), f.op(f"icmp slt i32 {high}, 255")]
    normal = conditions[0]
    for condition in conditions[1:]:
        normal = f.op(f"and i1 {normal}, {condition}")
    return normal


@lru_cache
def _small_kernel(fmt: FloatFormat, target: Target) -> Any:
    return _function(small_rows_ir(fmt), target)


@lru_cache
def _fraction_kernel(fraction_bits: int, rounding: str, subnormals: str, planes: int, top: int, target: Target) -> Any:
    return _function(fraction_rows_ir(fraction_bits, rounding, subnormals, planes, top), target)


def _function(ir: str, target: Target) -> Any:
    p = ctypes.c_void_p
    return load(ir, target).function("kernel", p, p, p, p, p, p)

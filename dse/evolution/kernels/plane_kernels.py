"""Machine code for evolution: gates on bit-planes, and sums of errors without leaving the planes.

Operand pairs are lanes. A block holds `BLOCK_WORDS` words (2,048 lanes) of every net, one plane behind the other, so
that the values of a circuit of some hundred gates stay in the cache. Both kernels work on one block.

**Gates.** A circuit under evolution changes with every candidate and cannot be compiled; a list of gates is interpreted
instead. Every symmetric function of two inputs is f = c0 ^ c1 (a ^ b) ^ c2 a b with constants that are 0 or 1: three
masks instead of a jump that the processor would have to predict.

**Errors.** With A the design's product and P the exact one, the difference D = A - P is formed bit by bit with a
borrow:

    d_i = a_i ^ p_i ^ b_i        b_(i+1) = majority(~a_i, p_i, b_i)

The last borrow (for signed products: bit n of D, with both signs extended by one) is the sign s. Then |D| = (D ^ s) +
s, and a sum over lanes needs no carry chain for the "+ s", because it is a sum of counts of ones:

    sum |D| = sum over i of 2^i popcount(d_i ^ s) + popcount(s)

|D| > T is compared in planes as well: for s = 1, (D ^ s) + 1 > T holds where D ^ s >= T. A weighted sum, of |D| / P
say, has weights of K bits and a factor for each word of 64 lanes (`operand_pairs`):

    sum w |D| = sum over words of scale times sum over k, i of 2^(k + i) popcount(m_k & (d_i ^ s))    and so on for s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from circuits.engine.llvm.ir import Function

if TYPE_CHECKING:
    from circuits.engine.llvm.jit import Library

BLOCK_WORDS = 32
"""Words of 64 lanes in a block: the planes of 300 nets take 77 KB."""
PLANE_BYTES = 8 * BLOCK_WORDS
_VECTORS = BLOCK_WORDS // 8
_V, _D = "<8 x i64>", "<8 x double>"

COUNTERS = ("absolute", "wrong", "over", "signed")
"""Sums over the lanes of a block, int64: |D|; lanes with D != 0; lanes with |D| over the limit; D."""
WEIGHTED = ("absolute", "wrong", "signed")
"""Quantities that may be summed with weights, in float64."""


@dataclass(frozen=True)
class ErrorKernel:
    """What the error kernel computes. Part of its results may be left out, because each costs time.

    `bits`: of both products. `signed`: two's complement. `counters`: which of COUNTERS. `weighted`: (a quantity of
    WEIGHTED, bits of its weights) for each weighted sum. `masked`: whether some lanes are to be left out.
    """

    bits: int
    signed: bool
    counters: tuple[str, ...]
    weighted: tuple[tuple[str, int], ...] = ()
    masked: bool = False

    @property
    def weight_rows(self) -> int:
        """Rows of 64 bytes that one vector of eight words takes in the table of weights."""
        return int(self.masked) + sum(bits + 1 for _, bits in self.weighted)


def gates_address() -> int:
    """The address of `gates(block, program, count, masks)`.

    `program`: int32 [count, 4], byte offsets in the block of both inputs and of the output, and the byte offset of the
    function in `masks`: int64 [functions, 3], each 0 or -1.
    """
    return loaded(_gates_ir()).address("gates")


def errors_address(kernel: ErrorKernel) -> int:
    """The address of `errors(block, outputs, exact, limit, weights, counters, sums)`.

    `outputs`: int64 [bits], byte offsets of the product's planes in the block. `exact`: planes of the exact product of
    this block. `limit`: int64 [bits], the bits of the largest error allowed, each 0 or -1. `weights`: rows of 64 bytes,
    for each vector the mask (if masked), then the planes and scales (float64) of each weighted sum. Results are added
    to `counters` (int64 [4]) and `sums` (float64).
    """
    return loaded(errors_ir(kernel)).address("errors")


@lru_cache
def loaded(ir: str) -> Library:
    """The machine code of `ir` for this processor, kept for as long as the process lives."""
    # LLVM is imported here: help must not wait for it.
    from circuits.engine.llvm.jit import Target, load

    return load(ir, Target.host())


def _ternary(f: Function, text: Sequence[str]) -> str:
    """The value of a chain of (operator, operand) after the first."""
    value = text[0]
    for operator, operand in zip(text[1::2], text[2::2], strict=True):
        value = f.op(f"{operator} {_V} {value}, {operand}")
    return value


def _gates_ir() -> str:
    f = Function("gates", "ptr %block, ptr %program, i64 %count, ptr %masks")
    with f.loop("%count") as index:
        row = f.element("%program", "[4 x i32]", index)
        offsets = []
        for column in range(4):
            number = f.op(f"load i32, ptr {f.offset(row, 4 * column)}")
            offsets.append(f.op(f"zext i32 {number} to i64"))
        a, b, out = (f.offset("%block", offset) for offset in offsets[:3])
        table = f.offset("%masks", offsets[3])
        c0, c1, c2 = (_broadcast(f, f.op(f"load i64, ptr {f.offset(table, 8 * k)}")) for k in range(3))
        for k in range(_VECTORS):
            x, y = (f.op(f"load {_V}, ptr {f.offset(pointer, 64 * k)}, align 64") for pointer in (a, b))
            difference = _ternary(f, [x, "xor", y, "and", c1])
            product = _ternary(f, [x, "and", y, "and", c2])
            value = _ternary(f, [difference, "xor", product, "xor", c0])
            f.do(f"store {_V} {value}, ptr {f.offset(out, 64 * k)}, align 64")
    return f.text()


def errors_ir(kernel: ErrorKernel) -> str:
    """LLVM's text of the function that `errors_address` describes."""
    f = Function("errors", "ptr %block, ptr %outputs, ptr %exact, ptr %limit, ptr %weights, ptr %counters, ptr %sums")
    planes = []
    for bit in range(kernel.bits):
        planes.append(f.offset("%block", f.op(f"load i64, ptr {f.offset('%outputs', 8 * bit)}")))
    integers = ["zeroinitializer"] * len(kernel.counters)
    reals = ["zeroinitializer"] * len(kernel.weighted)
    # Both kinds of accumulators travel as integers through the loop: a float64 is 64 bits too.
    with f.fold(_VECTORS, _V, integers + reals) as (index, totals):
        byte = f.op(f"mul i64 {index}, 64")
        rows = f.offset("%weights", f.op(f"mul i64 {index}, {64 * kernel.weight_rows}"))
        mask = f.op(f"load {_V}, ptr {rows}, align 64") if kernel.masked else None
        magnitude, sign = _difference(f, kernel, planes, byte, mask)
        for k, counter in enumerate(kernel.counters):
            amount = _counter(f, counter, magnitude, sign, mask)
            totals[k] = f.op(f"add {_V} {totals[k]}, {amount}")
        first = int(kernel.masked)
        for k, (quantity, bits) in enumerate(kernel.weighted, len(kernel.counters)):
            weights = [f.op(f"load {_V}, ptr {f.offset(rows, 64 * (first + n))}, align 64") for n in range(bits)]
            scale = f.op(f"load {_D}, ptr {f.offset(rows, 64 * (first + bits))}, align 64")
            first += bits + 1
            amount = _weighted(f, quantity, magnitude, sign, weights)
            exact = f.op(f"sitofp {_V} {amount} to {_D}")
            scaled = f.op(f"fmul {_D} {exact}, {scale}")
            before = f.op(f"bitcast {_V} {totals[k]} to {_D}")
            total = f.op(f"fadd {_D} {before}, {scaled}")
            totals[k] = f.op(f"bitcast {_D} {total} to {_V}")
    _write_totals(f, kernel, totals)
    # Declared by hand: the emitter knows functions, not modules.
    return f.text() + "\n".join(
        ["declare <8 x i64> @llvm.ctpop.v8i64(<8 x i64>)", "declare i64 @llvm.vector.reduce.add.v8i64(<8 x i64>)", ""]
    )


def _difference(
    f: Function, kernel: ErrorKernel, planes: Sequence[str], byte: str, mask: str | None
) -> tuple[list[str], str]:
    """(planes of D ^ s, plane of s), both 0 in lanes that are masked out."""
    differences = []
    borrow = "zeroinitializer"
    a = p = ""
    for bit, plane in enumerate(planes):
        a = f.op(f"load {_V}, ptr {f.offset(plane, byte)}, align 64")
        p = f.op(f"load {_V}, ptr {f.offset(f.offset('%exact', byte), bit * PLANE_BYTES)}, align 64")
        differences.append(_ternary(f, [a, "xor", p, "xor", borrow]))
        borrow = _borrow(f, a, p, borrow)
    sign = _ternary(f, [a, "xor", p, "xor", borrow]) if kernel.signed else borrow
    magnitude = [_ternary(f, [d, "xor", sign, *(("and", mask) if mask else ())]) for d in differences]
    return magnitude, f.op(f"and {_V} {sign}, {mask}") if mask else sign


def _borrow(f: Function, a: str, p: str, borrow: str) -> str:
    """majority(~a, p, borrow)."""
    no_a = f.op(f"xor {_V} {a}, splat (i64 -1)")
    either = f.op(f"or {_V} {p}, {borrow}")
    both = f.op(f"and {_V} {p}, {borrow}")
    return _ternary(f, [no_a, "and", either, "or", both])


def _ones(f: Function, plane: str) -> str:
    return f.op(f"call {_V} @llvm.ctpop.v8i64({_V} {plane})")


def _number(f: Function, planes: Sequence[str], change: Callable[[str], str] = lambda plane: plane) -> str:
    """sum over i of 2^i popcount(change(planes[i])), by Horner's rule from the highest plane down."""
    total = ""
    for plane in reversed(planes):
        count = _ones(f, change(plane))
        total = f.op(f"add {_V} {f.op(f'shl {_V} {total}, splat (i64 1)')}, {count}") if total else count
    return total


def _counter(f: Function, counter: str, magnitude: Sequence[str], sign: str, mask: str | None) -> str:
    if counter == "over":
        return _ones(f, _over(f, magnitude, sign, mask))
    return _quantity(f, counter, magnitude, sign, lambda plane: plane)


def _quantity(f: Function, quantity: str, magnitude: Sequence[str], sign: str, change: Callable[[str], str]) -> str:
    """The sum of a quantity over the lanes that `change` leaves in a plane."""
    if quantity == "wrong":
        # s = 1 is an error whatever the bits are: D ^ s = 0 then means D = -1.
        wrong = sign
        for plane in magnitude:
            wrong = f.op(f"or {_V} {wrong}, {plane}")
        return _ones(f, change(wrong))
    total = _number(f, magnitude, change)
    ones = _ones(f, change(sign))
    if quantity == "absolute":
        return f.op(f"add {_V} {total}, {ones}")
    # sum D = sum over s = 0 of (D ^ s) less the sum over s = 1 of (D ^ s) + 1.
    negative = _number(f, magnitude, lambda plane: change(f.op(f"and {_V} {plane}, {sign}")))
    twice = f.op(f"shl {_V} {negative}, splat (i64 1)")
    return f.op(f"sub {_V} {f.op(f'sub {_V} {total}, {twice}')}, {ones}")


def _weighted(f: Function, quantity: str, magnitude: Sequence[str], sign: str, weights: Sequence[str]) -> str:
    """sum over k of 2^k times the quantity over lanes whose weight has bit k."""
    total = ""
    for weight in reversed(weights):
        amount = _quantity(f, quantity, magnitude, sign, lambda plane, w=weight: f.op(f"and {_V} {plane}, {w}"))  # type: ignore[misc]
        total = f.op(f"add {_V} {f.op(f'shl {_V} {total}, splat (i64 1)')}, {amount}") if total else amount
    return total


def _over(f: Function, magnitude: Sequence[str], sign: str, mask: str | None) -> str:
    """The plane of |D| > limit: D ^ s above the limit, or equal to it where s = 1."""
    over = "zeroinitializer"
    equal = mask or "splat (i64 -1)"
    for bit, plane in reversed(list(enumerate(magnitude))):
        limit = _broadcast(f, f.op(f"load i64, ptr {f.offset('%limit', 8 * bit)}"))
        differs = f.op(f"xor {_V} {plane}, {limit}")
        larger = _ternary(f, [plane, "and", differs, "and", equal])
        over = f.op(f"or {_V} {over}, {larger}")
        equal = f.op(f"and {_V} {equal}, {f.op(f'xor {_V} {differs}, splat (i64 -1)')}")
    return f.op(f"or {_V} {over}, {f.op(f'and {_V} {equal}, {sign}')}")


def _write_totals(f: Function, kernel: ErrorKernel, totals: Sequence[str]) -> None:
    for counter, total in zip(kernel.counters, totals, strict=False):
        amount = f.op(f"call i64 @llvm.vector.reduce.add.v8i64({_V} {total})")
        pointer = f.offset("%counters", 8 * COUNTERS.index(counter))
        before = f.op(f"load i64, ptr {pointer}")
        f.do(f"store i64 {f.op(f'add i64 {before}, {amount}')}, ptr {pointer}")
    for k, total in enumerate(totals[len(kernel.counters) :]):
        pointer = f.offset("%sums", 8 * k)
        amounts = f.op(f"bitcast {_V} {total} to {_D}")
        value = f.op(f"load double, ptr {pointer}")
        # One after the other: sums of float64 must not depend on how a processor would reduce a vector.
        for lane in range(8):
            value = f.op(f"fadd double {value}, {f.op(f'extractelement {_D} {amounts}, i32 {lane}')}")
        f.do(f"store double {value}, ptr {pointer}")


def _broadcast(f: Function, scalar: str) -> str:
    first = f.op(f"insertelement {_V} poison, i64 {scalar}, i32 0")
    return f.op(f"shufflevector {_V} {first}, {_V} poison, <8 x i32> zeroinitializer")

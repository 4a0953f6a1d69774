"""The integer matmul kernel: products by the gates, and sums that stay bit-planes until the last product is added.

    for 512 lanes at a time:
        sums[n] = 0                                         A planes for each column n
        for each chunk of 64 k:
            gather and transpose lane operands for the chunk's k        once for all columns
            for each column n, for each k of the chunk:
                product = gates(lane operand[., k], operand[n, k])      512 products
                sums[n] += product                                      a ripple of A adders on planes
        transpose the sums back to words and write them

Adding P planes of products to A planes of sums takes about 2 A operations, of which each serves 512 lanes; transposing
every product to words first would take several hundred. With A = P + ceil(log2 K) no sum of K products overflows.
Signed products are extended by their sign, that is, by their highest plane.

Lanes are either rows m, or columns n where there are few rows. The kernel knows a lane operand and a broadcast one;
`lanes_first` says which of the gates' two operands the lanes are.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from circuits.engine.blocks import BLOCK, LIMB, PLANE_BYTES, WORD_BYTES
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target, load
from circuits.engine.llvm.vectors import Plane, Vectors

_CHUNK = 64
_SUM3, _MAJORITY = 0x96, 0xE8  # truth tables of a full adder, as vpternlog takes them


@dataclass(frozen=True)
class IntegerSettings:
    """What the kernel depends on, apart from the target.

    `lane_bits`, `other_bits`: widths of the operand in the lanes and of the broadcast one; `lane_type` and `other_type`
    are LLVM's types of their codes in memory. `product_bits`: P, `sum_bits`: A, at most 64. `total`: "i32" or "i64".
    """

    lane_bits: int
    lane_type: str
    other_bits: int
    other_type: str
    lanes_first: bool
    signed: bool
    product_bits: int
    sum_bits: int
    total: str

    @property
    def _lane_bytes(self) -> int:
        return self.lane_bits * PLANE_BYTES

    @property
    def other_at(self) -> int:
        """Where in the scratch memory the planes of the broadcast operand are; those of the lanes come first."""
        return _CHUNK * self._lane_bytes

    @property
    def product_at(self) -> int:
        """Where the product's planes are."""
        return self.other_at + self.other_bits * PLANE_BYTES

    @property
    def words_at(self) -> int:
        """Where 512 words are: gathered codes, later the low and high words of sums."""
        return self.product_at + self.product_bits * PLANE_BYTES

    @property
    def sums_at(self) -> int:
        """Where the planes of the sums are, column after column."""
        return self.words_at + 2 * WORD_BYTES

    def scratch_bytes(self, columns: int) -> int:
        """Bytes of scratch (64-aligned) for so many columns a call."""
        return self.sums_at + columns * self.sum_bits * PLANE_BYTES


def integer_matmul_ir(settings: IntegerSettings, target: Target) -> str:
    """The matmul kernel over blocks of 512 lanes.

    @kernel(gates, x, x_at, x_step, w, depth, columns, out, out_at, out_step, lanes, scratch):
    out[out_at[lane] + n out_step] = sum over k < depth of x[x_at[lane] + x_step[k]] * w[n depth + k] for 0 <= lane <
    lanes, 0 <= n < columns. x_at and out_at int64, readable up to the next multiple of 512; x the lanes' operand, w the
    broadcast one.
    """
    f = Function(
        "kernel",
        "ptr %gates, ptr %x, ptr %x_at, ptr %x_step, ptr %w, i64 %depth, i64 %columns, "
        "ptr %out, ptr %out_at, i64 %out_step, i64 %lanes, ptr %scratch",
    )
    e, s = Vectors(f, target), settings
    other, product = f.offset("%scratch", s.other_at), f.offset("%scratch", s.product_at)
    words, all_sums = f.offset("%scratch", s.words_at), f.offset("%scratch", s.sums_at)
    with f.loop("%lanes", step=BLOCK) as first_lane:
        x_at = f.element("%x_at", "i64", first_lane)
        with f.loop(f.op(f"mul i64 %columns, {s.sum_bits * PLANE_BYTES}"), step=e.vector_bytes) as byte:
            e.store("zeroinitializer", all_sums, 0, byte)
        with f.loop("%depth", step=_CHUNK) as chunk:
            rest = f.op(f"sub i64 %depth, {chunk}")
            count = f.op(f"select i1 {f.op(f'icmp slt i64 {rest}, {_CHUNK}')}, i64 {rest}, i64 {_CHUNK}")
            with f.loop(count) as k:
                step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', f.op(f'add i64 {chunk}, {k}'))}")
                _emit_gather(f, s, x_at, step, words)
                _emit_lane_planes(e, s, words, f.offset("%scratch", f.op(f"mul i64 {k}, {s.lane_bits * PLANE_BYTES}")))
            with f.loop("%columns") as n:
                sums = f.offset(all_sums, f.op(f"mul i64 {n}, {s.sum_bits * PLANE_BYTES}"))
                row = f.op(f"add i64 {f.op(f'mul i64 {n}, %depth')}, {chunk}")
                with f.loop(count) as k:
                    code = f.op(
                        f"load {s.other_type}, ptr {f.element('%w', s.other_type, f.op(f'add i64 {row}, {k}'))}"
                    )
                    _emit_broadcast_planes(e, s, code, other)
                    lane = f.offset("%scratch", f.op(f"mul i64 {k}, {s.lane_bits * PLANE_BYTES}"))
                    first, second = (lane, other) if s.lanes_first else (other, lane)
                    f.do(f"call void %gates(ptr {first}, ptr {second}, ptr {product})")
                    _emit_add(e, s, target, product, sums)
        _emit_write(e, s, first_lane, all_sums, words)
    declared = "declare <16 x i32> @llvm.x86.avx512.pternlog.d.512(<16 x i32>, <16 x i32>, <16 x i32>, i32)\n"
    return (declared if target.ternary else "") + f.text()


def _emit_gather(f: Function, s: IntegerSettings, x_at: str, step: str, words: str) -> None:
    """words[lane] = x[x_at[lane] + step], extended to 32 bits; bits from the operand's width up are not used."""
    source = f.element("%x", s.lane_type, step)
    with f.loop(BLOCK) as lane:
        index = f.op(f"load i64, ptr {f.element(x_at, 'i64', lane)}")
        code = f.op(f"load {s.lane_type}, ptr {f.element(source, s.lane_type, index)}")
        f.do(f"store i32 {f.op(f'zext {s.lane_type} {code} to i32')}, ptr {f.element(words, 'i32', lane)}")


def _emit_lane_planes(e: Vectors, s: IntegerSettings, words: str, planes: str) -> None:
    with e.f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
        rows: list[Plane] = [e.load(words, b, byte) for b in range(LIMB)]
        for bit, row in enumerate(e.transpose(rows)[: s.lane_bits]):
            e.store(str(row), planes, bit, byte)


def _emit_broadcast_planes(e: Vectors, s: IntegerSettings, code: str, planes: str) -> None:
    """Stores the planes of one code in all lanes: all ones or all zeros each."""
    f = e.f
    wide = f.op(f"zext {s.other_type} {code} to i32")
    for bit in range(s.other_bits):
        # The bit moves to the sign's place, from where an arithmetic shift spreads it over the whole word.
        mask = e.broadcast(f.op(f"ashr i32 {f.op(f'shl i32 {wide}, {31 - bit}')}, 31"))
        for unit in range(e.units):
            e.store(mask, planes, bit, str(unit * e.vector_bytes))


def _emit_add(e: Vectors, s: IntegerSettings, target: Target, product: str, sums: str) -> None:
    """sums += product, on planes."""
    with e.f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
        carry: str | None = None
        addend: str | None = None
        for bit in range(s.sum_bits):
            if bit < s.product_bits:
                addend = e.load(product, bit, byte)
            elif not s.signed:
                addend = None
            terms = [e.load(sums, bit, byte), *(term for term in (addend, carry) if term)]
            if len(terms) == 1:
                break
            total, carry = _emit_adder(e, target, terms)
            e.store(total, sums, bit, byte)


def _emit_adder(e: Vectors, target: Target, terms: list[str]) -> tuple[str, str]:
    """Sum and carry of two or three planes."""
    if len(terms) == 2:
        return e.integer("xor", *terms), e.integer("and", *terms)
    if target.ternary:
        operands = ", ".join(f"{e.v} {term}" for term in terms)
        name = "@llvm.x86.avx512.pternlog.d.512"
        return (
            e.f.op(f"call {e.v} {name}({operands}, i32 {_SUM3})"),
            e.f.op(f"call {e.v} {name}({operands}, i32 {_MAJORITY})"),
        )
    a, b, c = terms
    half = e.integer("xor", a, b)
    return e.integer("xor", half, c), e.integer("or", e.integer("and", a, b), e.integer("and", half, c))


def _emit_write(e: Vectors, s: IntegerSettings, first_lane: str, all_sums: str, words: str) -> None:
    """Writes the sums of the lanes that exist, column after column."""
    f = e.f
    rest = f.op(f"sub i64 %lanes, {first_lane}")
    valid = f.op(f"select i1 {f.op(f'icmp slt i64 {rest}, {BLOCK}')}, i64 {rest}, i64 {BLOCK}")
    out_at = f.element("%out_at", "i64", first_lane)
    limbs = 1 if s.total == "i32" else 2
    with f.loop("%columns") as n:
        sums = f.offset(all_sums, f.op(f"mul i64 {n}, {s.sum_bits * PLANE_BYTES}"))
        for limb in range(limbs):
            _emit_words(e, s, sums, limb, f.offset(words, limb * WORD_BYTES))
        column = f.element("%out", s.total, f.op(f"mul i64 {n}, %out_step"))
        with f.loop(valid) as lane:
            value = f.op(f"load i32, ptr {f.element(words, 'i32', lane)}")
            if limbs == 2:
                upper = f.op(f"load i32, ptr {f.element(f.offset(words, WORD_BYTES), 'i32', lane)}")
                upper = f.op(f"shl i64 {f.op(f'zext i32 {upper} to i64')}, 32")
                value = f.op(f"or i64 {upper}, {f.op(f'zext i32 {value} to i64')}")
            index = f.op(f"load i64, ptr {f.element(out_at, 'i64', lane)}")
            f.do(f"store {s.total} {value}, ptr {f.element(column, s.total, index)}")


def _emit_words(e: Vectors, s: IntegerSettings, sums: str, limb: int, words: str) -> None:
    """512 words from planes 32 limb .. 32 limb + 31 of a sum, extended by its sign or by zeros."""
    with e.f.loop(PLANE_BYTES, step=e.vector_bytes) as byte:
        highest = e.load(sums, s.sum_bits - 1, byte) if s.signed else None
        rows: list[Plane] = []
        for bit in range(LIMB * limb, LIMB * (limb + 1)):
            rows.append(e.load(sums, bit, byte) if bit < s.sum_bits else highest)
        for b, word in enumerate(e.transpose(rows)):
            e.store(word or "zeroinitializer", words, b, byte)


@lru_cache(maxsize=64)
def integer_matmul_kernel(settings: IntegerSettings, vector_bits: int | None = None) -> Any:
    """The compiled kernel, a ctypes function (see `integer_matmul_ir`)."""
    target = Target.host(vector_bits)
    p, n = ctypes.c_void_p, ctypes.c_int64
    library = load(integer_matmul_ir(settings, target), target)
    return library.function("kernel", p, p, p, p, p, n, n, p, p, n, n, p)

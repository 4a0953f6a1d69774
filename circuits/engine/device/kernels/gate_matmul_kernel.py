"""The kernel of matrix products through gates: a thread adds the products of 32 lanes with one word at a time.

    for k = 0 .. depth - 1:                                 instructions of an exact float32 design, about
        load the planes of 32 lanes                              40
        spread the bits of the other operand's word              80
        the gates                                             1,700
        normaliser, rounding, exponents, zeros, infinities      250
        transpose 32 planes to 32 products                      290
        32 sums += 32 products                                   32

Nothing is exchanged between threads, and each lane's sum is the plain loop over k in its own order.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.device.kernels.code_planes import CodeRules, integer_terms, word_planes
from circuits.engine.device.kernels.float_planes import (
    FloatRules,
    finished_product,
    lane_operand,
    product_rows,
    word_operand,
)
from circuits.engine.device.kernels.gate_planes import emit_gates
from circuits.engine.device.kernels.packing_kernel import (
    LANES,
    QUAD_BYTES,
    LaneGroup,
    PackedKind,
    PackedPlanes,
    lane_number,
    load_word,
    quad_address,
)
from circuits.engine.device.kernels.thread_code import THREADS, GridPlace, Kernel, Registers
from circuits.netlists.lut_program import Program

_PARAMETERS = (
    "ptr %planes, ptr %other, ptr %other_at, ptr %other_step, i64 %other_group, ptr %out, ptr %lane_out, "
    "ptr %other_out, i64 %out_group, i64 %lanes, i64 %tiles, i64 %tile, i64 %others, i64 %depth"
)


@dataclass(frozen=True)
class GateMatmul:
    """A matmul kernel's program and the operands around it: `packed` is the one in lanes, `program` reads x first."""

    program: Program
    packed: PackedKind
    other_bits: int

    @property
    def rules(self) -> FloatRules | CodeRules:
        """The rules of the products."""
        return self.packed.rules

    @property
    def sums(self) -> str:
        """The type of the sums in LLVM IR."""
        return "float" if isinstance(self.rules, FloatRules) else f"i{self.rules.sum_bits}"


def gate_matmul_kernel(kind: GateMatmul) -> Kernel:
    """@kernel(planes, other, other_at, other_step, other_group, out, lane_out, other_out, out_group, lanes, tiles,
    tile, others, depth), one thread for a lane group and an element of the other operand.

    planes: as `packing_kernel` leaves them. Word k of the other operand's index o is other[other_at[o] + other_step[k]
    + g other_group], and the result of a lane with it goes to out[lane_out[lane] + other_out[o] + g out_group]. The
    grid has tiles * others * tile threads, and as many groups as there are.
    """

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        number = f.op(f"add i64 {f.op(f'mul i64 {place.block}, {THREADS}')}, {place.thread}")
        total = f.op(f"mul i64 {f.op('mul i64 %tiles, %others')}, %tile")
        with f.when(f.op(f"icmp slt i64 {number}, {total}")):
            # Neighbouring warps meet the same lanes with another word, so that planes come from the nearest cache.
            member = f.op(f"urem i64 {number}, %tile")
            rest = f.op(f"udiv i64 {number}, %tile")
            other, tile_number = f.op(f"urem i64 {rest}, %others"), f.op(f"udiv i64 {rest}, %others")
            lanes = LaneGroup(place.group, tile_number, member)
            sums = _emit_sums(e, kind, lanes, other)
            base = f.op(f"load i64, ptr {f.element('%other_out', 'i64', other)}")
            base = f.op(f"add i64 {base}, {f.op(f'mul i64 {place.group}, %out_group')}")
            for register, value in enumerate(sums):
                lane = lane_number(e, lanes, "%tile", register)
                with f.when(f.op(f"icmp slt i64 {lane}, %lanes")):
                    at = f.op(f"load i64, ptr {f.element('%lane_out', 'i64', lane)}")
                    address = f.element("%out", kind.sums, f.op(f"add i64 {at}, {base}"))
                    f.do(f"store {kind.sums} {value}, ptr {address}")

    return Kernel(_PARAMETERS, body)


def _emit_sums(e: Registers, kind: GateMatmul, lanes: LaneGroup, other: str) -> list[str]:
    """The sums of the 32 lanes over all k."""
    f = e.f
    quads = kind.packed.quads
    address, stride = quad_address(e, PackedPlanes("%planes", quads, "%tiles", "%tile", "%depth"), lanes)
    row_bytes = f.op(f"mul i64 {stride}, {quads}")
    start = f.op(f"load i64, ptr {f.element('%other_at', 'i64', other)}")
    start = f.op(f"add i64 {start}, {f.op(f'mul i64 {lanes.group}, %other_group')}")
    zero = "0.0" if kind.sums == "float" else "0"
    with f.fold("%depth", kind.sums, [zero] * LANES) as (k, sums):
        step = f.op(f"load i64, ptr {f.element('%other_step', 'i64', k)}")
        word = load_word(e, kind.other_bits, "%other", f.op(f"add i64 {start}, {step}"))
        planes = _load_planes(e, f.offset(address, f.op(f"mul i64 {k}, {row_bytes}")), stride, quads)
        add = "fadd" if kind.sums == "float" else "add"
        for lane, term in enumerate(_emit_terms(e, kind, planes[: kind.packed.planes], word)):
            sums[lane] = f.op(f"{add} {kind.sums} {sums[lane]}, {term}")
    return sums


def _load_planes(e: Registers, address: str, stride: str, quads: int) -> list[str]:
    planes = []
    for _ in range(quads):
        value = e.f.op(f"load <4 x i32>, ptr {address}, align {QUAD_BYTES}")
        planes += [e.f.op(f"extractelement <4 x i32> {value}, i32 {index}") for index in range(4)]
        address = e.f.offset(address, stride)
    return planes


def _emit_terms(e: Registers, kind: GateMatmul, planes: list[str], word: str) -> list[str]:
    """The 32 products of the lanes with the word."""
    rules = kind.rules
    if isinstance(rules, FloatRules):
        lanes, same = lane_operand(rules, planes), word_operand(e, rules, word)
        mantissas = (lanes.mantissa, same.mantissa) if kind.packed.first else (same.mantissa, lanes.mantissa)
        product = emit_gates(e, kind.program, [*mantissas[0], *mantissas[1]])
        words = e.transpose(product_rows(e, rules, product, lanes, same))
        return [finished_product(e, rules, str(w)) for w in words]
    same_planes = word_planes(e, rules.widths[1 if kind.packed.first else 0], word)
    inputs = [*planes, *same_planes] if kind.packed.first else [*same_planes, *planes]
    return integer_terms(e, rules, emit_gates(e, kind.program, inputs))

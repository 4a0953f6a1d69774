"""Vector operations of one target in LLVM IR, and the bit-matrix transposition between words and bit-planes.

A block is 512 lanes; a plane of it is 64 bytes, and so is a word register of 16 lanes. In the order of the kernels,
word register b holds lanes 16 b .. 16 b + 15, and bit b of 32-bit word d of a plane is lane 16 b + d: a 32 x 32
transposition in every 32-bit column turns 32 word registers into 32 planes, and back.
"""

from __future__ import annotations

from circuits.engine.backends.compiled import PLANE_BYTES
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target

Plane = str | None  # None is the constant 0


class Vectors:
    """Vector operations of one target; a unit is `vector_bits` of every plane."""

    def __init__(self, function: Function, target: Target) -> None:
        self.f = function
        self.lanes = target.vector_bits // 32
        self.vector_bytes = target.vector_bits // 8
        self.units = PLANE_BYTES // self.vector_bytes
        self.v = f"<{self.lanes} x i32>"
        self.vf = f"<{self.lanes} x float>"
        self.mask = f"<{self.lanes} x i1>"

    def splat(self, value: int) -> str:
        return f"splat (i32 {value - (1 << 32) if value >> 31 else value})"

    def broadcast(self, scalar: str, kind: str = "i32") -> str:
        vector = f"<{self.lanes} x {kind}>"
        first = self.f.op(f"insertelement {vector} poison, {kind} {scalar}, i32 0")
        return self.f.op(f"shufflevector {vector} {first}, {vector} poison, <{self.lanes} x i32> zeroinitializer")

    def load(self, base: str, index: int, part: str, kind: str | None = None) -> str:
        """Vector `part` of the 64 bytes number `index` at `base`: a plane or a word register; any alignment will do."""
        address = self.f.offset(self.f.offset(base, part), index * PLANE_BYTES)
        return self.f.op(f"load {kind or self.v}, ptr {address}, align 4")

    def store(self, value: str, base: str, index: int, part: str, kind: str | None = None) -> None:
        address = self.f.offset(self.f.offset(base, part), index * PLANE_BYTES)
        self.f.do(f"store {kind or self.v} {value}, ptr {address}, align 4")

    # Planes that may be the constant 0.

    def op2(self, operator: str, a: Plane, b: Plane) -> Plane:
        if a is None or b is None:
            return None if operator == "and" else a or b
        return self.f.op(f"{operator} {self.v} {a}, {b}")

    def select(self, condition: str, yes: Plane, no: Plane) -> Plane:
        """Bitwise: yes where condition is 1, no elsewhere."""
        inverse = self.f.op(f"xor {self.v} {condition}, {self.splat(0xFFFFFFFF)}")
        return self.op2("or", self.op2("and", yes, condition), self.op2("and", no, inverse))

    def shift(self, operator: str, a: Plane, count: int) -> Plane:
        return None if a is None else self.f.op(f"{operator} {self.v} {a}, {self.splat(count)}")

    def transpose(self, rows: list[Plane]) -> list[Plane]:
        """32 x 32 bits in every 32-bit column: bit b of row p goes to bit p of row b."""
        assert len(rows) == 32
        rows = list(rows)
        for s in (16, 8, 4, 2, 1):
            low = sum(1 << bit for bit in range(32) if not bit & s)
            low_mask, high_mask = self.splat(low), self.splat(~low & 0xFFFFFFFF)
            for p in range(32):
                if p & s:
                    continue
                a, b = rows[p], rows[p + s]
                rows[p] = self.op2(
                    "or", self.op2("and", a, low_mask), self.op2("and", self.shift("shl", b, s), high_mask)
                )
                rows[p + s] = self.op2(
                    "or", self.op2("and", self.shift("lshr", a, s), low_mask), self.op2("and", b, high_mask)
                )
        return rows

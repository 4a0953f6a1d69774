"""Vector operations of one target in LLVM IR, and the bit-matrix transposition between words and bit-planes.

Words and bit-planes of a block both come as 64-byte rows. Row b of the words ("word register" b) holds the 32-bit
words of lanes 16 b .. 16 b + 15. Row p of the planes holds bit p of all 512 lanes; in the kernels' order of lanes, bit
b of its 32-bit element d belongs to lane 16 b + d:

    words:   row b, element d, bit p  =  bit p of lane 16 b + d
    planes:  row p, element d, bit b  =  bit p of lane 16 b + d

So a block of words is, in each of the 16 columns d, a 32 x 32 bit matrix (rows b, bits p), and its planes are the
transposed matrix. `transpose` does all columns at once, and is its own inverse.
"""

from __future__ import annotations

from circuits.engine.blocks import PLANE_BYTES
from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target

Plane = str | None
"""The name of a vector value; None stands for the constant 0."""


class Vectors:
    """Emits vector operations of one target. Each works on one byte, `vector_bits` wide, of a 64-byte row."""

    def __init__(self, function: Function, target: Target) -> None:
        self.f = function
        self.lanes = target.vector_bits // 32
        self.vector_bytes = target.vector_bits // 8
        self.units = PLANE_BYTES // self.vector_bytes
        self.v = f"<{self.lanes} x i32>"
        self.vf = f"<{self.lanes} x float>"
        self.mask = f"<{self.lanes} x i1>"

    def splat(self, value: int) -> str:
        """The constant vector of a 32-bit value."""
        # IR text spells i32 constants as signed numbers.
        return f"splat (i32 {value - (1 << 32) if value >> 31 else value})"

    def broadcast(self, scalar: str, kind: str = "i32") -> str:
        """A scalar value in every lane."""
        vector = f"<{self.lanes} x {kind}>"
        first = self.f.op(f"insertelement {vector} poison, {kind} {scalar}, i32 0")
        return self.f.op(f"shufflevector {vector} {first}, {vector} poison, <{self.lanes} x i32> zeroinitializer")

    def load(self, base: str, index: int, byte: str, kind: str | None = None) -> str:
        """Vector at byte `byte` of row `index` (a plane or a word register) at `base`, of any alignment."""
        address = self.f.offset(self.f.offset(base, byte), index * PLANE_BYTES)
        return self.f.op(f"load {kind or self.v}, ptr {address}, align 4")

    def store(self, value: str, base: str, index: int, byte: str, kind: str | None = None) -> None:
        """Stores a vector where `load` would read it."""
        address = self.f.offset(self.f.offset(base, byte), index * PLANE_BYTES)
        self.f.do(f"store {kind or self.v} {value}, ptr {address}, align 4")

    # Lane by lane, on 32-bit integers.

    def integer(self, operator: str, a: str, b: str | int) -> str:
        """An integer operation of two vectors, or of a vector and a constant."""
        return self.f.op(f"{operator} {self.v} {a}, {self.splat(b) if isinstance(b, int) else b}")

    def compare(self, order: str, a: str, b: str | int) -> str:
        """The mask of lanes where `a` and `b` are in the given order (icmp's eq, ne, slt, sgt, ult, ugt)."""
        return self.integer(f"icmp {order}", a, b)

    def either(self, a: str, b: str) -> str:
        """The union of two masks."""
        return self.f.op(f"or {self.mask} {a}, {b}")

    def where(self, mask: str, yes: str, no: str, kind: str | None = None) -> str:
        """Lanes of `yes` where `mask` is set, of `no` elsewhere."""
        kind = kind or self.v
        return self.f.op(f"select {self.mask} {mask}, {kind} {yes}, {kind} {no}")

    def as_float(self, value: str) -> str:
        """The float32 vector with these bit patterns."""
        return self.f.op(f"bitcast {self.v} {value} to {self.vf}")

    # Bit by bit, on planes that may be the constant 0.

    def op2(self, operator: str, a: Plane, b: Plane) -> Plane:
        """AND or OR of two planes; nothing is emitted where one is the constant 0."""
        if a is None or b is None:
            # 0 & x = 0 and 0 | x = x: a transposition of few rows costs only the operations that see one.
            return None if operator == "and" else a or b
        return self.f.op(f"{operator} {self.v} {a}, {b}")

    def select(self, condition: str, yes: Plane, no: Plane) -> Plane:
        """Bitwise multiplexer: `yes` where `condition` is 1, `no` elsewhere."""
        inverse = self.f.op(f"xor {self.v} {condition}, {self.splat(0xFFFFFFFF)}")
        return self.op2("or", self.op2("and", yes, condition), self.op2("and", no, inverse))

    def shift(self, operator: str, a: Plane, count: int) -> Plane:
        """Shifts every 32-bit element of a plane by a constant."""
        return None if a is None else self.f.op(f"{operator} {self.v} {a}, {self.splat(count)}")

    def transpose(self, rows: list[Plane]) -> list[Plane]:
        """Transposes the 32 x 32 bits of every 32-bit column: bit b of row p goes to bit p of row b.

        Row and bit indices have five binary digits. Stage s = 16, 8, 4, 2, 1 exchanges digit s of the row index with
        digit s of the bit index, for rows p and p + s where p has digit s = 0:

            row p:      bits without digit s stay        bits with digit s come from those without it in row p + s
            row p + s:  bits with digit s stay           bits without digit s come from those with it in row p

        After the five stages all digits are exchanged, that is, row and bit index are. Each stage costs 16 exchanges,
        80 in all, against 32 x 32 for moving bits one by one.
        """
        return self._transpose_stages(list(rows), (16, 8, 4, 2, 1))

    def _transpose_stages(self, rows: list[Plane], stages: tuple[int, ...]) -> list[Plane]:
        """Some stages of the transposition, in place."""
        assert len(rows) == 32
        for s in stages:
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

"""Products and sums by the machine's own arithmetic, as the gates of an exact circuit give them.

Float32, rounding to nearest. The machine's product is the circuit's product wherever that is normal, infinite or NaN.
With subnormals flushed, mode "full" must find the products that are tiny after a rounding with unbounded exponent
(`circuits.floats.arithmetic`), and the machine's rounding to the subnormal grid cannot tell these: products in
[2^-126 - 2^-150, 2^-126 - 2^-151) round to 2^-126 there, and to 2^-126 - 2^-150 with unbounded exponent. Hence the
product is computed a second time with x scaled by 2^32, far from the grid:

    tiny  <=>  |(2^32 x) w| < 2^(32 - 126).

Where 2^32 x overflows, |x| >= 2^96, and no product with a normal w is tiny. A product that is dropped adds a zero to a
sum that began at +0 and so is never -0: the sum does not change.

Float32, truncating. AVX-512 multiplies with rounding towards zero. Only the overflow differs: the machine then gives
the largest finite number instead of infinity. So x is scaled by 2^-32 for a second product, which finds these. Other
targets multiply in float64, which holds every product exactly: 24 + 24 <= 53 bits. The lowest 52 - 23 fraction bits are
cleared, which is the truncation.

Integers. Products and sums of integers are exact in floating point as long as they stay below 2^24 in float32 or 2^53
in float64, and a fused multiply-add does not round then either. The caller cuts the sums accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.llvm.ir import Function
from circuits.engine.llvm.jit import Target

SCALE = 32
"""Exponent of the scaling above."""
_TO_ZERO = 11
"""AVX-512's embedded rounding: towards zero (3), without exceptions (8)."""


@dataclass(frozen=True)
class NativeSettings:
    """What a native kernel depends on, apart from the target.

    `operand`: LLVM's type of x in memory: "float", or the integer types "i8" and "i16", `signed` or not. `computed`:
    the type of packed x, of w and of a product, "float" or "double". `total`: the type of the sums, "float", "i32" or
    "i64". For float32: `rounding`; `full`: whether products may leave the normal range; `flush`: whether subnormal
    operands and products are zeros.
    """

    operand: str = "float"
    signed: bool = True
    computed: str = "float"
    total: str = "float"
    rounding: str = "nearest_even"
    full: bool = False
    flush: bool = True

    @property
    def is_float(self) -> bool:
        """Whether operands are floats, whose sums are rounded after every addition."""
        return self.operand == "float"


class NativeProducts:
    """Emits vector operations of one target for one setting; a vector holds `lanes` numbers of the computed type."""

    def __init__(self, function: Function, settings: NativeSettings, target: Target) -> None:
        self.f = function
        self.settings = settings
        self.lanes = target.vector_bits // (64 if settings.computed == "double" else 32)
        self.vector = f"<{self.lanes} x {settings.computed}>"
        self.totals = f"<{self.lanes} x {settings.total}>"
        self._bits = f"<{self.lanes} x i32>"
        self._mask = f"<{self.lanes} x i1>"
        self._embedded_rounding = target.vector_bits == 512
        self.fits_registers = 32 if target.vector_bits == 512 else 16

    # Memory.

    def first_lanes(self, count: str) -> str:
        """The mask of lanes 0 .. count - 1; `count` is an i64 value, of which more than `lanes` means all."""
        wide = f"<{self.lanes} x i64>"
        numbers = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
        return self.f.op(f"icmp slt {wide} <{numbers}>, {self._broadcast(count, 'i64')}")

    def load_operands(self, address: str, mask: str) -> str:
        """Operands at `address` in the computed type; lanes outside of the mask are 0 and not read."""
        s = self.settings
        kind = f"<{self.lanes} x {s.operand}>"
        align = {"float": 4, "i8": 1, "i16": 2}[s.operand]
        value = self._masked_load(kind, align, address, mask)
        if not s.is_float:
            return self.f.op(f"{'si' if s.signed else 'ui'}tofp {kind} {value} to {self.vector}")
        return self._flushed(value) if s.full and s.flush else value

    def load_weight(self, address: str) -> str:
        """The weight at `address` in every lane."""
        weight = self.load_broadcast(address)
        s = self.settings
        return self._flushed(weight) if s.is_float and s.full and s.flush else weight

    def load_broadcast(self, address: str) -> str:
        """The number of the computed type at `address`, in every lane."""
        computed = self.settings.computed
        return self._broadcast(self.f.op(f"load {computed}, ptr {address}"), computed)

    def load_totals(self, address: str, mask: str) -> str:
        """Totals at `address`, 0 outside of the mask."""
        return self._masked_load(self.totals, 8 if self.settings.total == "i64" else 4, address, mask)

    def store_totals(self, value: str, address: str, mask: str) -> None:
        """Stores the lanes of `mask`."""
        align = 8 if self.settings.total == "i64" else 4
        name = f"@llvm.masked.store.{self._suffix(self.totals)}.p0"
        self.f.do(f"call void {name}({self.totals} {value}, ptr {address}, i32 {align}, {self._mask} {mask})")

    def _masked_load(self, kind: str, align: int, address: str, mask: str) -> str:
        name = f"@llvm.masked.load.{self._suffix(kind)}.p0"
        return self.f.op(f"call {kind} {name}(ptr {address}, i32 {align}, {self._mask} {mask}, {kind} zeroinitializer)")

    def transposed(self, rows: list[str]) -> list[str]:
        """The transpose of a square of `lanes` vectors.

        Stage s exchanges the binary digit of value s in the row index with the one in the lane index, as
        `circuits.engine.llvm.vectors` derives for bits.
        """
        rows = list(rows)
        stage = self.lanes // 2
        while stage:
            # Lane d of the pair's second vector has the index lanes + d in a shuffle.
            low = [d if not d & stage else self.lanes + d - stage for d in range(self.lanes)]
            high = [d + stage if not d & stage else self.lanes + d for d in range(self.lanes)]
            for r in range(self.lanes):
                if not r & stage:
                    pair = rows[r], rows[r + stage]
                    rows[r], rows[r + stage] = self._shuffled(*pair, low), self._shuffled(*pair, high)
            stage //= 2
        return rows

    def _shuffled(self, a: str, b: str, lanes: list[int]) -> str:
        order = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.f.op(f"shufflevector {self.vector} {a}, {self.vector} {b}, <{self.lanes} x i32> <{order}>")

    # Arithmetic.

    def scaled(self, x: str) -> str:
        """What `add_product` needs of x apart from x itself; "" where it needs nothing."""
        s = self.settings
        if not (s.is_float and s.full):
            return ""
        if s.rounding == "nearest_even":
            return self._float_op("fmul", x, self._power(SCALE)) if s.flush else ""
        return self._float_op("fmul", x, self._power(-SCALE)) if self._embedded_rounding else ""

    def add_product(self, total: str, x: str, scaled: str, weight: str) -> str:
        """total + x weight, in the computed type."""
        s = self.settings
        if not s.is_float:
            name, v = f"@llvm.fmuladd.{self._suffix(self.vector)}", self.vector
            return self.f.op(f"call {v} {name}({v} {x}, {v} {weight}, {v} {total})")
        if s.rounding == "nearest_even":
            product = self._float_op("fmul", x, weight)
            if s.full and s.flush:
                tiny = self._less(self._absolute(self._float_op("fmul", scaled, weight)), self._power(SCALE - 126))
                product = self._where(tiny, "zeroinitializer", product)
        elif self._embedded_rounding:
            product = self._product_to_zero(x, scaled, weight)
        else:
            product = self._truncated_product(x, weight)
        return self._float_op("fadd", total, product)

    def to_totals(self, value: str) -> str:
        """Exact integer sums, converted from the computed type."""
        return self.f.op(f"fptosi {self.vector} {value} to {self.totals}")

    def _product_to_zero(self, x: str, scaled: str, weight: str) -> str:
        """The truncated product by AVX-512's embedded rounding; see the module's docstring."""
        product = self._multiply_to_zero(x, weight)
        if not self.settings.full:
            return product
        # Products below 2^-126 are below it after truncation to the subnormal grid, too.
        if self.settings.flush:
            tiny = self._less(self._absolute(product), self._power(-126))
            product = self._where(tiny, "zeroinitializer", product)
        beyond = self._multiply_to_zero(scaled, weight)
        huge = self.f.op(f"fcmp oge {self.vector} {self._absolute(beyond)}, {self._power(128 - SCALE)}")
        # The largest finite number and infinity: bit patterns 7F7FFFFF and 7F800000, with the sign that is there.
        as_bits = self.f.op(f"bitcast {self.vector} {product} to {self._bits}")
        infinite = self.f.op(f"or {self._bits} {as_bits}, splat (i32 {0x7F800000})")
        infinite = self.f.op(f"and {self._bits} {infinite}, splat (i32 {0xFF800000 - (1 << 32)})")
        return self._where(huge, self.f.op(f"bitcast {self._bits} {infinite} to {self.vector}"), product)

    def _multiply_to_zero(self, a: str, b: str) -> str:
        v = self.vector
        return self.f.op(f"call {v} @llvm.x86.avx512.mul.ps.512({v} {a}, {v} {b}, i32 {_TO_ZERO})")

    def _truncated_product(self, x: str, weight: str) -> str:
        """The truncated product by way of float64; rounding to float32 at the end overflows as the format demands."""
        f, wide, words = self.f, f"<{self.lanes} x double>", f"<{self.lanes} x i64>"
        x, weight = (f.op(f"fpext {self.vector} {value} to {wide}") for value in (x, weight))
        product = f.op(f"bitcast {wide} {f.op(f'fmul {wide} {x}, {weight}')} to {words}")
        product = f.op(f"bitcast {words} {f.op(f'and {words} {product}, splat (i64 {-1 << 52 - 23})')} to {wide}")
        if self.settings.full:
            # Decided in float64: the conversion would round 2^-126 - 2^-150 up to 2^-126.
            size = f.op(f"call {wide} @llvm.fabs.{self._suffix(wide)}({wide} {product})")
            tiny = f.op(f"fcmp olt {wide} {size}, splat (double {_double(-126)})")
            product = f.op(f"select {self._mask} {tiny}, {wide} zeroinitializer, {wide} {product}")
        return f.op(f"fptrunc {wide} {product} to {self.vector}")

    def _flushed(self, value: str) -> str:
        """Subnormals become zeros. (A zero's sign does not matter: see the module's docstring.)"""
        return self._where(self._less(self._absolute(value), self._power(-126)), "zeroinitializer", value)

    # Small pieces.

    def _broadcast(self, scalar: str, kind: str) -> str:
        vector = f"<{self.lanes} x {kind}>"
        first = self.f.op(f"insertelement {vector} poison, {kind} {scalar}, i32 0")
        return self.f.op(f"shufflevector {vector} {first}, {vector} poison, <{self.lanes} x i32> zeroinitializer")

    def _float_op(self, operator: str, a: str, b: str) -> str:
        return self.f.op(f"{operator} {self.vector} {a}, {b}")

    def _absolute(self, value: str) -> str:
        return self.f.op(f"call {self.vector} @llvm.fabs.{self._suffix(self.vector)}({self.vector} {value})")

    def _less(self, a: str, b: str) -> str:
        return self.f.op(f"fcmp olt {self.vector} {a}, {b}")

    def _where(self, mask: str, yes: str, no: str) -> str:
        return self.f.op(f"select {self._mask} {mask}, {self.vector} {yes}, {self.vector} {no}")

    def _power(self, exponent: int) -> str:
        return f"splat (float {_double(exponent)})"

    @staticmethod
    def _suffix(kind: str) -> str:
        """LLVM's name of a vector type in the names of intrinsics: "<16 x float>" is v16f32."""
        count, element = kind.strip("<>").split(" x ")
        return f"v{count}" + {"float": "f32", "double": "f64"}.get(element, element)

    def declarations(self) -> str:
        """The intrinsics that the operations above call."""
        s, v, mask = self.settings, self.vector, self._mask
        loaded = {f"<{self.lanes} x {s.operand}>", self.totals}
        lines = [f"declare {k} @llvm.masked.load.{self._suffix(k)}.p0(ptr, i32, {mask}, {k})" for k in sorted(loaded)]
        lines.append(f"declare void @llvm.masked.store.{self._suffix(self.totals)}.p0({self.totals}, ptr, i32, {mask})")
        lines.append(f"declare {v} @llvm.fmuladd.{self._suffix(v)}({v}, {v}, {v})")
        for kind in {v, f"<{self.lanes} x double>"}:
            lines.append(f"declare {kind} @llvm.fabs.{self._suffix(kind)}({kind})")
        if self._embedded_rounding and s.is_float:
            lines.append(f"declare {v} @llvm.x86.avx512.mul.ps.512({v}, {v}, i32)")
        return "\n".join(sorted(lines)) + "\n"


def _double(exponent: int) -> str:
    """2^exponent as IR text spells it: the bits of the float64, also for float32 constants."""
    return f"0x{1023 + exponent << 52:016X}"

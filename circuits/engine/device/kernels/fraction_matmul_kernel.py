"""The kernel of matrix products of floats with at most 7 fraction bits (bfloat16) by a table of their fractions.

Signs and exponents are exact, so that only the product of two significands, 1.i times 1.j, is looked up: 16,384 entries
instead of 2^32. With h(v) for the upper half of v's float32 word, and an entry for both fractions,

    h(x w)  =  (h(x) & 0xFF80)  +  (h(w) & 0xFF80) - 0x3F80  +  entry[j][i]        modulo 2^16,

where the entry is h of the rounded product of the significands, less h(1.0). Its bits from 7 on raise the exponent; the
sum without carry of the highest bits is the XOR of the signs. Most designs have entries below 256. Then the row of a
weight's fraction, which all threads of a warp read at the same time, is 128 bytes, one word in each bank of shared
memory: 32 lookups need one access. Instructions of a product:

    address of the entry = x's + w's                                        1
    entry                                                                   1
    sign and exponent = x's + w's, then entry * 65536 + them                2
    sum += the word, as a float                                             1
    a quarter of the loads of four words of w                               0.5

That is right where both are nonzero numbers and no product of the row's x with the tile's weights can leave the normal
range: where x's exponent lies between two bounds that `weight_kernel` has found for each k. A zero x adds nothing if
all weights are finite. Every other row, at that k, takes the way that looks at each product (`_emit_any`).

Tiny products of formats that keep subnormals are rounded to their grid from the exact product of the significands, out
of a second table, in device memory, because a rounded product must not be rounded again.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.engine.device.kernels.float_planes import FloatRules
from circuits.engine.device.kernels.packing_kernel import load_word
from circuits.engine.device.kernels.thread_code import THREADS, GridPlace, Kernel, Registers
from circuits.engine.device.kernels.tiled_lookups import TileKind, load_quads, shared_address, tiled_kernel
from circuits.engine.llvm.float_parts import BIAS, EXPONENT, FRACTION, SIGN

ROWS = 256
"""Rows of a block, one a thread."""
BLOCKS = 4
"""Blocks of a multiprocessor: their tables and registers fit together."""
_INDEX_BITS = 7
_HALF = 16
_ONE = BIAS << FRACTION
_UPPER = SIGN | EXPONENT
_HEADER = 4  # words before those of the weights


@dataclass(frozen=True)
class FractionMatmul:
    """What the kernels depend on: the product's rules; bytes of an entry, 1 or 2; the largest raise of the exponent by
    an entry; and the columns that a thread sums, 1 or a multiple of 4."""

    rules: FloatRules
    entry_bytes: int
    raised: int
    columns: int

    @property
    def table_words(self) -> int:
        """32-bit words of the table in shared memory."""
        return self.entry_bytes << 2 * _INDEX_BITS - 2

    @property
    def weight_words(self) -> int:
        """32-bit words that `weight_kernel` writes for each k of a tile."""
        return _HEADER + max(4, 2 * self.columns)

    @property
    def greatest(self) -> int:
        """The greatest exponent with which every number is finite."""
        return self.rules.greatest - (not self.rules.infinity)


def weight_kernel(kind: FractionMatmul) -> Kernel:
    """@kernel(w, out, depth, columns, tiles): what a tile's products need of its weights, i32 [groups, tiles, depth,
    kind.weight_words].

    w: float32 [groups, columns, depth] in the format. Of each k first three words about x: the least exponent with
    which all products are normal numbers; how many exponents from there on have that property, 0 where a weight is
    zero, infinite or NaN; and 0 if a zero x has only zeros as products, else -1. Then, from word 4 on, the byte offset
    of each weight's row of the table, and each weight's sign and exponent less the bias. Columns that do not exist
    count as 1.0. One thread a k, groups on the second axis of the grid.
    """

    def body(e: Registers, place: GridPlace) -> None:
        f = e.f
        number = f.op(f"add i64 {f.op(f'mul i64 {place.block}, {THREADS}')}, {place.thread}")
        size = f.op("mul i64 %tiles, %depth")
        with f.when(f.op(f"icmp slt i64 {number}, {size}")):
            k, tile = f.op(f"urem i64 {number}, %depth"), f.op(f"udiv i64 {number}, %depth")
            base = f.op(f"add i64 {f.op(f'mul i64 {place.group}, {size}')}, {number}")
            out = f.element("%out", "i32", f.op(f"mul i64 {base}, {kind.weight_words}"))
            words = _tile_weights(e, kind, place.group, tile, k)
            for column, (word, _) in enumerate(words):
                fraction = e.integer("and", e.integer("lshr", word, _HALF), (1 << _INDEX_BITS) - 1)
                offset = e.integer("mul", fraction, kind.entry_bytes << _INDEX_BITS)
                scale = e.integer("sub", e.integer("and", word, _UPPER), _ONE)
                f.do(f"store i32 {offset}, ptr {f.offset(out, 4 * (_HEADER + column))}")
                f.do(f"store i32 {scale}, ptr {f.offset(out, 4 * (_HEADER + kind.columns + column))}")
            for index, value in enumerate(_bounds(e, kind, words)):
                f.do(f"store i32 {value}, ptr {f.offset(out, 4 * index)}")

    return Kernel("ptr %w, ptr %out, i64 %depth, i64 %columns, i64 %tiles", body)


def _tile_weights(e: Registers, kind: FractionMatmul, group: str, tile: str, k: str) -> list[tuple[str, str]]:
    """(word, whether (i1) the column exists) of each column of a tile."""
    f = e.f
    last = f.op("sub i64 %columns, 1")
    words = []
    for column in range(kind.columns):
        n = f.op(f"add i64 {f.op(f'mul i64 {tile}, {kind.columns}')}, {column}")
        exists = f.op(f"icmp sle i64 {n}, {last}")
        n = f.op(f"select i1 {exists}, i64 {n}, i64 {last}")
        row = f.op(f"add i64 {f.op(f'mul i64 {group}, %columns')}, {n}")
        word = load_word(e, 32, "%w", f.op(f"add i64 {f.op(f'mul i64 {row}, %depth')}, {k}"))
        words.append((e.where(exists, word, str(_ONE)), exists))
    return words


def _bounds(e: Registers, kind: FractionMatmul, words: list[tuple[str, str]]) -> list[str]:
    """The three words about x. An exponent E of x gives products of exponents E + E_w - 127 to that + raised."""
    f = e.f
    least, greatest, all_normal, all_finite = "255", "0", "true", "true"
    for word, exists in words:
        exponent = _exponent(e, word)
        finite = e.compare("ne", exponent, 255)
        all_finite = f.op(f"and i1 {all_finite}, {finite}")
        all_normal = f.op(f"and i1 {all_normal}, {f.op(f'and i1 {finite}, ' + e.compare('ne', exponent, 0))}")
        below = f.op(f"and i1 {exists}, {e.compare('ult', exponent, least)}")
        above = f.op(f"and i1 {exists}, {e.compare('ugt', exponent, greatest)}")
        least, greatest = e.where(below, exponent, least), e.where(above, exponent, greatest)
    low = _larger(e, f.op(f"sub i32 {kind.rules.least + BIAS}, {least}"), 1)
    high = f.op(f"sub i32 {kind.greatest + BIAS - kind.raised}, {greatest}")
    high = e.where(e.compare("slt", high, 254), high, "254")
    count = _larger(e, e.integer("add", e.integer("sub", high, low), 1), 0)
    return [low, e.where(all_normal, count, "0"), e.where(all_finite, "0", "-1")]


def _larger(e: Registers, value: str, bound: int) -> str:
    return e.where(e.compare("sgt", value, bound), value, str(bound))


def _exponent(e: Registers, word: str) -> str:
    return e.integer("and", e.integer("lshr", word, FRACTION), 255)


def fraction_matmul_kernel(kind: FractionMatmul) -> Kernel:
    """@kernel(`tiled_lookups.PARAMETERS`, exact): x float32 in the format, weights as `weight_kernel` leaves them.

    `entries`: those of `kind.entry_bytes` bytes, [128 fractions of w, 128 of x]. `exact`: the float32 word of each
    product of significands before rounding, less that of 1.0, i32 [128, 128]; read only if `kind.rules.gradual`.
    """

    def sums(e: Registers, at: str, tile_number: str) -> list[str]:
        return _emit_sums(e, kind, at, tile_number)

    return tiled_kernel(TileKind(ROWS, kind.columns, kind.table_words, "float", BLOCKS), sums, ", ptr %exact")


@dataclass(frozen=True)
class _Factor:
    """The row's x at one k: its word, its exponent, the address of its column of the table, its sign and exponent."""

    word: str
    exponent: str
    entries: str
    scale: str


def _emit_sums(e: Registers, kind: FractionMatmul, at: str, tile_number: str) -> list[str]:
    """The sums of one row with the tile's columns."""
    f = e.f
    first = f.op(f"mul i64 {f.op(f'mul i64 {tile_number}, %depth')}, {kind.weight_words}")
    weights = f.element("%weights", "i32", first)
    with f.fold("%depth", "float", ["0.0"] * kind.columns) as (k, sums):
        step = f.op(f"load i64, ptr {f.element('%x_step', 'i64', k)}, align 8")
        word = load_word(e, 32, "%x", f.op(f"add i64 {at}, {step}"))
        own = f.element(weights, "i32", f.op(f"mul i64 {k}, {kind.weight_words}"))
        low, count, skipped = load_quads(e, own, 3)
        x = _factor(e, kind, word)
        normal = e.compare("ult", e.integer("sub", x.exponent, low), count)
        with f.choice(normal, "float", sums) as normal_sums:
            _emit_normal(e, kind, x, own, normal_sums)
        # A zero x has the exponent 0, so that it is skipped where the word is 0.
        other = f.op(f"xor i1 {f.op(f'or i1 {normal}, ' + e.compare('sle', x.exponent, skipped))}, true")
        with f.choice(other, "float", sums) as other_sums:
            _emit_any(e, kind, x, own, other_sums)
    return sums


def _factor(e: Registers, kind: FractionMatmul, word: str) -> _Factor:
    fraction = e.integer("and", e.integer("lshr", word, _HALF), (1 << _INDEX_BITS) - 1)
    entries = shared_address(e, f"i{8 * kind.entry_bytes}", "@table", f"i32 {fraction}")
    return _Factor(word, _exponent(e, word), entries, e.integer("and", word, _UPPER))


def _weight_words(e: Registers, kind: FractionMatmul, own: str) -> list[tuple[str, str]]:
    """(byte offset of the row, sign and exponent less the bias) of each column."""
    words = load_quads(e, e.f.offset(own, 4 * _HEADER), 2 * kind.columns)
    return list(zip(words[: kind.columns], words[kind.columns :], strict=True))


def _entry(e: Registers, kind: FractionMatmul, x: _Factor, offset: str) -> str:
    """The entry of x and the weight with this row."""
    bits = 8 * kind.entry_bytes
    address = shared_address(e, "i8", x.entries, f"i32 {offset}")
    entry = e.f.op(f"load i{bits}, ptr addrspace(3) {address}, align {kind.entry_bytes}")
    return e.f.op(f"zext i{bits} {entry} to i32")


def _emit_normal(e: Registers, kind: FractionMatmul, x: _Factor, own: str, sums: list[str]) -> None:
    """Adds products of normal numbers that are normal numbers."""
    for column, (offset, scale) in enumerate(_weight_words(e, kind, own)):
        raised = e.integer("add", x.scale, scale)
        product = e.as_float(e.integer("add", e.integer("shl", _entry(e, kind, x, offset), _HALF), raised))
        sums[column] = e.f.op(f"fadd float {sums[column]}, {product}")


def _emit_any(e: Registers, kind: FractionMatmul, x: _Factor, own: str, sums: list[str]) -> None:
    """Adds products of any numbers."""
    f = e.f
    row_bytes = kind.entry_bytes << _INDEX_BITS
    x_special = _special(e, x.exponent)
    for column, (offset, scale) in enumerate(_weight_words(e, kind, own)):
        upper = e.integer("add", scale, _ONE)
        exponent = _exponent(e, upper)
        sum_of_exponents = e.integer("sub", e.integer("add", x.exponent, exponent), BIAS)
        half = e.integer("add", e.integer("shl", sum_of_exponents, _INDEX_BITS), _entry(e, kind, x, offset))
        sign = e.integer("and", e.integer("xor", x.word, upper), SIGN)
        tiny = "0"
        if kind.rules.gradual:
            tiny = _subnormal(e, kind, x, offset, sum_of_exponents)
        normal = e.integer("shl", half, _HALF)
        value = e.where(e.compare("slt", half, kind.rules.least << _INDEX_BITS), tiny, normal)
        beyond = EXPONENT if kind.rules.infinity else EXPONENT | 1 << FRACTION - 1
        value = e.where(e.compare("sgt", half, _largest(kind.rules)), str(beyond), value)
        # Zeros, infinities and NaN never reach the circuit, and float32 has the same rules for them.
        fraction = e.integer("shl", e.integer("udiv", offset, row_bytes), _HALF)
        factor = e.as_float(e.integer("or", upper, fraction))
        plain = f.op(f"fmul float {e.as_float(x.word)}, {factor}")
        special = f.op(f"or i1 {x_special}, {_special(e, exponent)}")
        product = e.where(special, plain, e.as_float(e.integer("or", value, sign)), "float")
        sums[column] = f.op(f"fadd float {sums[column]}, {product}")


def _special(e: Registers, exponent: str) -> str:
    """Whether (i1) a number with this exponent is zero, infinite or NaN."""
    return e.f.op(f"or i1 {e.compare('eq', exponent, 0)}, {e.compare('eq', exponent, 255)}")


def _largest(rules: FloatRules) -> int:
    """The upper half of the format's largest number."""
    fraction = (1 << rules.fraction) - (1 if rules.infinity else 2)
    return rules.greatest << _INDEX_BITS | fraction << _INDEX_BITS - rules.fraction


def _subnormal(e: Registers, kind: FractionMatmul, x: _Factor, offset: str, sum_of_exponents: str) -> str:
    """The word, without sign, of a product below the normal numbers, rounded once to the grid of subnormal ones.

    With m the least exponent and F fraction bits the grid's step is 2^(m - F). A significand of 24 bits with exponent
    E = m - d is its multiple after a shift by 23 - F + d; beyond 31, of which nothing is left either, shifts are cut.
    """
    f, rules = e.f, kind.rules
    x_fraction = e.integer("and", e.integer("lshr", x.word, _HALF), (1 << _INDEX_BITS) - 1)
    index = e.integer("add", e.integer("udiv", offset, kind.entry_bytes), x_fraction)
    exact = load_word(e, 32, "%exact", f.op(f"zext i32 {index} to i64"))
    exponent = e.integer("add", sum_of_exponents, e.integer("lshr", exact, FRACTION))
    significand = e.integer("or", e.integer("and", exact, (1 << FRACTION) - 1), 1 << FRACTION)
    shift = f.op(f"sub i32 {FRACTION - rules.fraction + rules.least}, {exponent}")
    shift = e.where(e.compare("ult", shift, 31), shift, "31")
    if rules.nearest_even:
        half = f.op(f"shl i32 1, {e.integer('sub', shift, 1)}")
        odd = e.integer("and", f.op(f"lshr i32 {significand}, {shift}"), 1)
        significand = e.integer("add", e.integer("add", significand, e.integer("sub", half, 1)), odd)
    multiple = f.op(f"uitofp i32 {f.op(f'lshr i32 {significand}, {shift}')} to float")
    step = e.as_float(str(rules.least - rules.fraction << FRACTION))
    return f.op(f"bitcast float {f.op(f'fmul float {multiple}, {step}')} to i32")

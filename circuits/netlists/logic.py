"""Small logic for generators: gates that fold constants, adders, shifters, leading ones.

A `Logic` draws into a builder. Where an input is a constant, or two inputs are the same net, it draws the smaller gate
or none, so that generators can state a circuit in general and get the one that a designer would draw. Bits are lists of
nets, the least significant first.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.cells.adder_cells import EXACT
from circuits.netlists.gates import AND2, HALF_ADDER, MUX2, NOT, OR2, XNOR2, XOR2
from circuits.netlists.netlist import ONE, ZERO, Bus, NetlistBuilder, Place

Bits = Sequence[int]
"""Nets of a number, the least significant first."""


class Logic:
    """Adds gates at one place (None: outside the array), except where an input is constant or inputs are one net."""

    def __init__(self, builder: NetlistBuilder, place: Place | None = None) -> None:
        self._builder = builder
        self._place = place

    # Gates.

    def invert(self, a: int) -> int:
        """NOT a."""
        return 1 - a if a in (ZERO, ONE) else self._builder.add(NOT, a, place=self._place)[0]

    def both(self, a: int, b: int) -> int:
        """a AND b."""
        if ZERO in (a, b):
            return ZERO
        if ONE in (a, b) or a == b:
            return b if a == ONE else a
        return self._builder.add(AND2, a, b, place=self._place)[0]

    def either(self, a: int, b: int) -> int:
        """a OR b."""
        if ONE in (a, b):
            return ONE
        return a or b if ZERO in (a, b) or a == b else self._builder.add(OR2, a, b, place=self._place)[0]

    def xor(self, a: int, b: int) -> int:
        """a XOR b."""
        if a == b:
            return ZERO
        if ONE in (a, b):
            return self.invert(b if a == ONE else a)
        return a or b if ZERO in (a, b) else self._builder.add(XOR2, a, b, place=self._place)[0]

    def choose(self, zero: int, one: int, select: int) -> int:
        """`one` where `select` is 1, else `zero`."""
        if zero == one or select == ZERO:
            return zero
        if select == ONE:
            return one
        if zero == ZERO:
            return self.both(select, one)
        if one == ONE:
            return self.either(select, zero)
        if zero == ONE:
            return self.either(self.invert(select), one)
        if one == ZERO:
            return self.both(self.invert(select), zero)
        return self._builder.add(MUX2, zero, one, select, place=self._place)[0]

    def choose_bits(self, zero: Bits, one: Bits, select: int) -> list[int]:
        """Bit by bit, `one` where `select` is 1, else `zero`; the shorter number is extended by zeros."""
        size = max(len(zero), len(one))
        return [self.choose(a, b, select) for a, b in zip(extended(zero, size), extended(one, size), strict=True)]

    def any_of(self, nets: Bits) -> int:
        """The OR of all nets, by a balanced tree; 0 without nets."""
        level = [net for net in nets if net != ZERO]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            level = [self.either(a, b) for a, b in pairs] + (level[-1:] if len(level) % 2 else [])
        return level[0] if level else ZERO

    def gated(self, bits: Bits, enable: int) -> list[int]:
        """The bits where `enable` is 1, else 0."""
        return [self.both(bit, enable) for bit in bits]

    # Arithmetic.

    def full_add(self, a: int, b: int, c: int) -> Bus:
        """(sum, carry) of three bits: an exact full adder, a half adder, or what constants leave of them."""
        constants = [net for net in (a, b, c) if net in (ZERO, ONE)]
        present = [net for net in (a, b, c) if net not in (ZERO, ONE)]
        ones = sum(constants)
        if len(present) == 3:
            return self._builder.add(EXACT, *present, place=self._place)
        if len(present) == 2 and ones == 0:
            return self._builder.add(HALF_ADDER, *present, place=self._place)
        if len(present) == 2:
            #   a + b + 1 = XNOR + 2 OR
            return self._builder.add(XNOR2, *present, place=self._place)[0], self.either(*present)
        if len(present) == 1:
            #   a + 0 = a;  a + 1 = NOT a + 2 a;  a + 2 = a + 2
            (bit,) = present
            return ((bit, ZERO), (self.invert(bit), bit), (bit, ONE))[ones]
        return ones & 1, ones >> 1

    def add(self, a: Bits, b: Bits, carry: int = ZERO) -> list[int]:
        """a + b + carry by a ripple-carry adder; one bit more than the longer operand."""
        size = max(len(a), len(b))
        total = []
        for left, right in zip(extended(a, size), extended(b, size), strict=True):
            bit, carry = self.full_add(left, right, carry)
            total.append(bit)
        return [*total, carry]

    def subtract(self, a: Bits, b: Bits) -> list[int]:
        """a - b modulo 2^n, n the length of a: a + NOT b + 1."""
        return self.add(a, [self.invert(bit) for bit in extended(b, len(a))], ONE)[: len(a)]

    def negate_if(self, bits: Bits, negative: int) -> list[int]:
        """-bits modulo 2^n where `negative` is 1, else bits: (bits XOR negative) + negative."""
        return self.add([self.xor(bit, negative) for bit in bits], [], negative)[: len(bits)]

    # Shifters and leading ones.

    def shift_right(self, bits: Bits, amount: Bits) -> list[int]:
        """bits / 2^amount, rounded down: a logarithmic shifter, one row of multiplexers a bit of `amount`."""
        shifted = list(bits)
        for k, select in reversed(list(enumerate(amount))):
            moved = [*shifted[1 << k :], *[ZERO] * min(1 << k, len(shifted))]
            shifted = self.choose_bits(shifted, moved, select)
        return shifted

    def shift_left(self, bits: Bits, amount: Bits, size: int) -> list[int]:
        """bits 2^amount modulo 2^size, by a logarithmic shifter."""
        shifted = extended(bits, size)
        for k, select in enumerate(amount):
            moved = [*[ZERO] * min(1 << k, size), *shifted[: max(size - (1 << k), 0)]]
            shifted = self.choose_bits(shifted, moved, select)
        return shifted

    def normalise(self, bits: Bits) -> tuple[list[int], list[int]]:
        """(bits shifted left until the highest one is the last bit, by how many places).

        Stage k moves by 2^k where the 2^k highest bits are 0. Both results mean nothing where all bits are 0; the last
        bit then stays 0.
        """
        shifted = list(bits)
        places = []
        for k in reversed(range((len(bits) - 1).bit_length())):
            step = 1 << k
            none = self.invert(self.any_of(shifted[-step:]))
            shifted = self.choose_bits(shifted, [*[ZERO] * step, *shifted[:-step]], none)
            places.append(none)
        return shifted, places[::-1]

    def leading_one(self, bits: Bits) -> list[int]:
        """One-hot: 1 at the highest bit that is 1, all 0 where there is none (a priority chain from the top)."""
        hot = []
        above = ZERO
        for bit in reversed(bits):
            hot.append(self.both(bit, self.invert(above)))
            above = self.either(above, bit)
        return hot[::-1]

    def encode(self, hot: Bits) -> list[int]:
        """The binary number of the one-hot position, 0 where all are 0: an OR for each digit."""
        digits = max(len(hot) - 1, 0).bit_length()
        return [self.any_of([net for k, net in enumerate(hot) if k >> digit & 1]) for digit in range(digits)]


def extended(bits: Bits, size: int) -> list[int]:
    """The bits, extended by zeros to `size`."""
    return [*bits, *[ZERO] * (size - len(bits))]

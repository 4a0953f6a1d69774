"""The complete float multiplier as a netlist: exponent adder, normaliser and rounding around a mantissa circuit.

It holds for operands and results that are normal numbers. What handles zeros, subnormals, infinities and NaN is not
drawn (a few gates an operand that hardly switch). Blocks, with E exponent bits, F fraction bits and w = F + 1:

- sign: XOR.
- exponent adder: a ripple of E exact adders with carry in 1, and three more for -2^(E-1). Together they give
  ex + ey - bias = ex + ey + 1 - 2^(E-1), in E + 2 bits of two's complement.
- normaliser: a 2-to-1 multiplexer for each fraction bit, selected by product bit 2w - 1 (buffered for every eight); a
  second one where the product can have bit 2w. The exponent is incremented by a chain of half adders for each of the
  two.
- rounding, for nearest_even: guard, sticky (a tree of ORs), the decision, and chains of half adders that increment the
  fraction and the exponent. Truncation has none.

    product bits     2w    2w-1   2w-2 | 2w-3 ... w-1 |  w-2  | w-3 ... 0
    leads at 2w-2     0      0      1  |   fraction   | guard |  sticky
    leads at 2w-1     0      1      the same one bit further left; at 2w two bits

The fraction is rounded up where guard AND (sticky OR last fraction bit): more than half, or half and odd.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import EXACT
from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.floats.arithmetic import float_format, quantize
from circuits.netlists.gates import AND2, BUFFER, HALF_ADDER, MUX2, OR2, XOR2
from circuits.netlists.netlist import ONE, ZERO, Netlist, NetlistBuilder

_FAN_OUT = 8
"""Multiplexers that one buffer of a select signal drives."""


def float_netlist(design: Design) -> Netlist:
    """The netlist of a float design's complete multiplier.

    Inputs `x` and `w`: words of the format, the sign their highest bit. Outputs `fraction` (F bits), `exponent`
    (biased, E + 2 bits, two's complement) and `sign`. Raises DesignError for integer designs.
    """
    if design.float_format is None:
        raise DesignError("a whole float multiplier needs a float format, but got format=None; choose one.")
    return _float_netlist(design)


@lru_cache(maxsize=16)
def _float_netlist(design: Design) -> Netlist:
    fmt = design.float_format
    assert fmt is not None
    fractions, exponents = fmt.fraction_bits, fmt.exponent_bits
    width = fmt.width
    builder = NetlistBuilder("float_multiplier")
    x = builder.input("x", 1 + exponents + fractions)
    w = builder.input("w", 1 + exponents + fractions)
    (sign,) = builder.add(XOR2, x[-1], w[-1])
    product = _embed(builder, design.netlist(), (*x[:fractions], ONE), (*w[:fractions], ONE))
    exponent = _exponent(builder, x[fractions:-1], w[fractions:-1])

    # The normaliser: the hidden one is at bit 2w - 2, 2w - 1 or 2w.
    product += [ZERO] * (2 * width + 1 - len(product))
    beyond = product[2 * width]
    (leading,) = builder.add(OR2, product[2 * width - 1], beyond) if beyond else (product[2 * width - 1],)
    positions = range(2 * width - 2 - fractions, 2 * width - 2)  # of the fraction, unshifted
    fraction = _select(builder, [(product[k], product[k + 1]) for k in positions], leading)
    guard = _select(builder, [(_at(product, width - 2), _at(product, width - 1))], leading)[0]
    if beyond:
        fraction = _select(builder, [(net, product[k + 2]) for net, k in zip(fraction, positions, strict=True)], beyond)
        guard = _select(builder, [(guard, product[width])], beyond)[0]
    exponent = _increment(builder, exponent, leading)[0]
    if beyond and design.normalization == "full":
        exponent = _increment(builder, exponent, beyond)[0]

    if design.rounding == "nearest_even":
        # Below the guard: all bits under w - 2, and those that the shifts moved below it.
        sticky = list(product[: width - 2])
        sticky.append(_both(builder, leading, _at(product, width - 2)))
        if beyond:
            sticky.append(_both(builder, beyond, product[width - 1]))
        sticky_or_odd = _any(builder, [*sticky, fraction[0]])
        fraction, carry = _increment(builder, fraction, _both(builder, guard, sticky_or_odd))
        exponent = _increment(builder, exponent, carry)[0]
    builder.output("fraction", fraction)
    builder.output("exponent", exponent)
    builder.output("sign", [sign])
    return _live(builder.build())


def _live(netlist: Netlist) -> Netlist:
    """Removes multiplexers that nothing reads (the guard's, for truncation); the multiplier itself stays as drawn."""
    used = set(netlist.output_nets) | {net for instance in netlist.instances for net in instance.inputs}
    instances = tuple(
        instance
        for instance in netlist.instances
        if instance.component is not MUX2 or any(net in used for net in instance.outputs)
    )
    return Netlist(netlist.name, netlist.inputs, netlist.outputs, instances, netlist.nets)


def _at(nets: Sequence[int], k: int) -> int:
    """Net k; the constant 0 below the lowest."""
    return nets[k] if k >= 0 else ZERO


def _embed(builder: NetlistBuilder, netlist: Netlist, x: Sequence[int], y: Sequence[int]) -> list[int]:
    """Copies a multiplier into `builder`, its operands driven by the nets x and y; returns its product's nets."""
    number = {ZERO: ZERO, ONE: ONE}
    for bus, nets in zip(netlist.inputs.values(), (x, y), strict=True):
        number.update(zip(bus, nets, strict=True))
    for instance in netlist.instances:
        outputs = builder.add(instance.component, *(number[net] for net in instance.inputs), place=instance.place)
        number.update(zip(instance.outputs, outputs, strict=True))
    return [number[net] for net in netlist.output_nets]


def _exponent(builder: NetlistBuilder, x: Sequence[int], w: Sequence[int]) -> list[int]:
    """The nets of ex + ew - bias = ex + ew + 1 - 2^(E-1), in E + 2 bits; x and w are the biased exponents."""
    nets, carry = [], ONE
    for a, b in zip(x, w, strict=True):
        total, carry = builder.add(EXACT, a, b, carry)
        nets.append(total)
    nets += [carry, ZERO]
    carry = ZERO
    for k in range(len(x) - 1, len(x) + 2):  # -2^(E-1): ones in the three highest places
        nets[k], carry = builder.add(EXACT, nets[k], ONE, carry)
    return nets


def _increment(builder: NetlistBuilder, nets: Sequence[int], carry: int) -> tuple[list[int], int]:
    """(nets + carry, carry out), by a chain of half adders."""
    totals = []
    for net in nets:
        total, carry = builder.add(HALF_ADDER, net, carry)
        totals.append(total)
    return totals, carry


def _select(builder: NetlistBuilder, pairs: Sequence[tuple[int, int]], select: int) -> list[int]:
    """The second net of each pair where `select` is 1, else the first."""
    selected = []
    driver = select
    for k, (first, second) in enumerate(pairs):
        if k % _FAN_OUT == 0 and len(pairs) > 1:
            (driver,) = builder.add(BUFFER, select)
        selected.append(builder.add(MUX2, first, second, driver)[0])
    return selected


def _both(builder: NetlistBuilder, a: int, b: int) -> int:
    """a AND b, without a gate where one is the constant 0."""
    return ZERO if ZERO in (a, b) else builder.add(AND2, a, b)[0]


def _any(builder: NetlistBuilder, nets: Sequence[int]) -> int:
    """The OR of the nets, by a balanced tree; the constant 0 without nets."""
    level = [net for net in nets if net != ZERO]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [builder.add(OR2, a, b)[0] for a, b in pairs] + (level[-1:] if len(level) % 2 else [])
    return level[0] if level else ZERO


# Operands.


def random_words(mantissas: NDArray[np.uint64], format_name: str, stream: np.random.Generator) -> NDArray[np.uint64]:
    """Words of the format with these mantissas (leading one set), for products that are all normal numbers.

    Signs are random, and exponents uniform over about half of their range.
    """
    fmt = float_format(format_name)
    reach = max((fmt.bias - 3) // 2, 0)
    exponents = stream.integers(fmt.bias - reach, fmt.bias + reach, mantissas.size, dtype=np.uint64, endpoint=True)
    signs = stream.integers(0, 1, mantissas.size, dtype=np.uint64, endpoint=True)
    return _word(fmt.fraction_bits, fmt.exponent_bits, mantissas, exponents, signs)


def words_of(
    design: Design, x: NDArray[np.generic], w: NDArray[np.generic], *, whole: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Operands for simulation, from pairs of float values: words if `whole`, else mantissas; uint64 arrays.

    Pairs of which a value is zero or not finite in the format are left out. Raises DesignError where less than two
    pairs remain.
    """
    fmt = design.float_format
    assert fmt is not None
    operands = [quantize(fmt, values, rounding=design.rounding, subnormals="flush").ravel() for values in (x, w)]
    usable = np.logical_and.reduce([np.isfinite(values) & (values != 0) for values in operands])
    if usable.sum() < 2:
        raise DesignError(
            f"at least 2 operand pairs must be finite and not zero, but {int(usable.sum())} of {usable.size} are; "
            f"give more."
        )
    words = []
    for values in operands:
        # frexp gives fractions in [1/2, 1), so its exponent is one above that of a mantissa in [1, 2).
        fraction, exponent = np.frexp(np.abs(values[usable]).astype(np.float64))
        mantissas = np.ldexp(fraction, fmt.width).astype(np.uint64)
        biased = (exponent.astype(np.int64) - 1 + fmt.bias).astype(np.uint64)
        signs = np.signbit(values[usable]).astype(np.uint64)
        words.append(_word(fmt.fraction_bits, fmt.exponent_bits, mantissas, biased, signs) if whole else mantissas)
    return words[0], words[1]


def _word(
    fraction_bits: int,
    exponent_bits: int,
    mantissas: NDArray[np.uint64],
    exponents: NDArray[np.uint64],
    signs: NDArray[np.uint64],
) -> NDArray[np.uint64]:
    """sign | exponent | fraction, from the highest bit down; the leading one of the mantissa is hidden."""
    fraction = mantissas & np.uint64((1 << fraction_bits) - 1)
    word: NDArray[np.uint64] = fraction | exponents << np.uint64(fraction_bits)
    word |= signs << np.uint64(fraction_bits + exponent_bits)
    return word

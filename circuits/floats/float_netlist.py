"""The whole float multiplier as a netlist: exponent adder, normaliser and rounding around a design's mantissa circuit.

For operands and results that are normal numbers; what handles zeros, subnormals, infinities and NaN is not drawn (a few
gates an operand that hardly switch). Blocks, with E exponent and F fraction bits, w = F + 1:

- sign: XOR.
- exponent adder: E exact adders in a ripple, carry in 1, and three more for -2^(E-1): together ex + ey - bias, in E + 2
  bits of two's complement.
- normaliser: a 2-to-1 multiplexer a fraction bit, selected by product bit 2w - 1 (buffered for every eight); a second
  one where the product can have bit 2w. The exponent is incremented by a chain of half adders for each of the two.
- rounding, for nearest_even: guard, sticky (a tree of ORs), the decision, and chains of half adders that increment the
  fraction and the exponent. Truncation has none.
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
    """Inputs `x` and `w`: words of the format, sign the highest bit. Outputs `fraction` (F bits), `exponent` (biased,
    E + 2 bits, two's complement) and `sign`. Raises DesignError for integer designs.
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

    # The normaliser: hidden one at bit 2w - 2, 2w - 1 or 2w.
    product += [ZERO] * (2 * width + 1 - len(product))
    beyond = product[2 * width]
    (leading,) = builder.add(OR2, product[2 * width - 1], beyond) if beyond else (product[2 * width - 1],)
    positions = range(2 * width - 2 - fractions, 2 * width - 2)  # of the fraction, unshifted
    kept = _select(builder, [(product[k], product[k + 1]) for k in positions], leading)
    guard = _select(builder, [(_at(product, width - 2), _at(product, width - 1))], leading)[0]
    if beyond:
        kept = _select(builder, [(net, product[k + 2]) for net, k in zip(kept, positions, strict=True)], beyond)
        guard = _select(builder, [(guard, product[width])], beyond)[0]
    exponent = _increment(builder, exponent, leading)[0]
    if beyond and design.normalization == "full":
        exponent = _increment(builder, exponent, beyond)[0]

    if design.rounding == "nearest_even":
        rest = list(product[: width - 2])
        rest.append(_both(builder, leading, _at(product, width - 2)))
        if beyond:
            rest.append(_both(builder, beyond, product[width - 1]))
        odd = _any(builder, [*rest, kept[0]])
        kept, carry = _increment(builder, kept, _both(builder, guard, odd))
        exponent = _increment(builder, exponent, carry)[0]
    builder.output("fraction", kept)
    builder.output("exponent", exponent)
    builder.output("sign", [sign])
    return _live(builder.build())


def _live(netlist: Netlist) -> Netlist:
    """Without the guard's multiplexers where truncation reads none of them; the multiplier itself stays as drawn."""
    used = set(netlist.output_nets) | {net for instance in netlist.instances for net in instance.inputs}
    kept = tuple(
        instance
        for instance in netlist.instances
        if instance.component is not MUX2 or any(net in used for net in instance.outputs)
    )
    return Netlist(netlist.name, netlist.inputs, netlist.outputs, kept, netlist.nets)


def _at(nets: Sequence[int], k: int) -> int:
    return nets[k] if k >= 0 else ZERO


def _embed(builder: NetlistBuilder, netlist: Netlist, x: Sequence[int], y: Sequence[int]) -> list[int]:
    """The nets of the product of a multiplier copied into `builder`."""
    number = {ZERO: ZERO, ONE: ONE}
    for bus, nets in zip(netlist.inputs.values(), (x, y), strict=True):
        number.update(zip(bus, nets, strict=True))
    for instance in netlist.instances:
        made = builder.add(instance.component, *(number[net] for net in instance.inputs), place=instance.place)
        number.update(zip(instance.outputs, made, strict=True))
    return [number[net] for net in netlist.output_nets]


def _exponent(builder: NetlistBuilder, x: Sequence[int], w: Sequence[int]) -> list[int]:
    """ex + ew - bias = ex + ew + 1 - 2^(E-1) in E + 2 bits."""
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
    """(nets + carry, carry out)."""
    made = []
    for net in nets:
        total, carry = builder.add(HALF_ADDER, net, carry)
        made.append(total)
    return made, carry


def _select(builder: NetlistBuilder, pairs: Sequence[tuple[int, int]], select: int) -> list[int]:
    """The second of each pair where `select`, else the first."""
    made = []
    driver = select
    for k, (first, second) in enumerate(pairs):
        if k % _FAN_OUT == 0 and len(pairs) > 1:
            (driver,) = builder.add(BUFFER, select)
        made.append(builder.add(MUX2, first, second, driver)[0])
    return made


def _both(builder: NetlistBuilder, a: int, b: int) -> int:
    return ZERO if ZERO in (a, b) else builder.add(AND2, a, b)[0]


def _any(builder: NetlistBuilder, nets: Sequence[int]) -> int:
    """A balanced tree of ORs."""
    level = [net for net in nets if net != ZERO]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [builder.add(OR2, a, b)[0] for a, b in pairs] + (level[-1:] if len(level) % 2 else [])
    return level[0] if level else ZERO


# Operands.


def random_words(mantissas: NDArray[np.uint64], format_name: str, stream: np.random.Generator) -> NDArray[np.uint64]:
    """Words with these mantissas (leading one set), random signs, and exponents uniform over about half of their range,
    so that every product is a normal number."""
    fmt = float_format(format_name)
    reach = max((fmt.bias - 3) // 2, 0)
    exponents = stream.integers(fmt.bias - reach, fmt.bias + reach, mantissas.size, dtype=np.uint64, endpoint=True)
    signs = stream.integers(0, 1, mantissas.size, dtype=np.uint64, endpoint=True)
    return _word(fmt.fraction_bits, fmt.exponent_bits, mantissas, exponents, signs)


def words_of(
    design: Design, x: NDArray[np.generic], w: NDArray[np.generic], *, whole: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Words (`whole`) or mantissas of the pairs of float values of which both are finite and not zero in the format."""
    fmt = design.float_format
    assert fmt is not None
    values = [quantize(fmt, part, rounding=design.rounding, subnormals="flush").ravel() for part in (x, w)]
    kept = np.logical_and.reduce([np.isfinite(part) & (part != 0) for part in values])
    if kept.sum() < 2:
        raise DesignError(
            f"at least 2 operand pairs must be finite and not zero, but {int(kept.sum())} of {kept.size} are; "
            f"give more."
        )
    made = []
    for part in values:
        fraction, exponent = np.frexp(np.abs(part[kept]).astype(np.float64))
        mantissas = np.ldexp(fraction, fmt.width).astype(np.uint64)
        fields = (exponent.astype(np.int64) - 1 + fmt.bias).astype(np.uint64)
        signs = np.signbit(part[kept]).astype(np.uint64)
        made.append(_word(fmt.fraction_bits, fmt.exponent_bits, mantissas, fields, signs) if whole else mantissas)
    return made[0], made[1]


def _word(
    fraction_bits: int,
    exponent_bits: int,
    mantissas: NDArray[np.uint64],
    exponents: NDArray[np.uint64],
    signs: NDArray[np.uint64],
) -> NDArray[np.uint64]:
    fraction = mantissas & np.uint64((1 << fraction_bits) - 1)
    word: NDArray[np.uint64] = fraction | exponents << np.uint64(fraction_bits)
    word |= signs << np.uint64(fraction_bits + exponent_bits)
    return word

"""RoBA, the rounding-based multiplier (Zendegani et al., IEEE TVLSI 25(2), 2017).

With xr and yr the powers of two nearest to x and y,

    x y = xr y + yr x - xr yr + (xr - x)(yr - y),

of which the last term is left out: three shifts, an addition and a subtraction. The relative error is (xr - x)(yr - y)
/ (x y), at most 1/9 in magnitude. Halfway between two powers, 3 * 2^p, is rounded up, but 3 itself to 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import gates_only
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ZERO


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: xr y + yr x - xr yr, which lies from 0 to 2^(w+v) - 1 although xr and yr may be 2^w and 2^v."""
    logic = Logic(frame.builder)
    bits = sum(frame.width)
    power_x, power_y = (_nearest_power(logic, operand) for operand in (frame.x, frame.y))
    exponent_x, exponent_y = logic.encode(power_x), logic.encode(power_y)
    # An operand of 0 has the power 0, whose exponent reads as 0: its shifted partner is blocked.
    y_shifted = logic.gated(logic.shift_left(frame.y, exponent_x, bits), logic.any_of(power_x))
    x_shifted = logic.gated(logic.shift_left(frame.x, exponent_y, bits), logic.any_of(power_y))
    powers = logic.shift_left(power_x, exponent_y, bits)
    total = logic.add(y_shifted, x_shifted)[:bits]
    # Modulo 2^(w+v): the difference is in range, whatever is carried out. With y = 0, powers = xr must be blocked too.
    return logic.subtract(total, logic.gated(powers, logic.any_of(power_y)))


def _nearest_power(logic: Logic, operand: Sequence[int]) -> list[int]:
    """xr, one-hot of one bit more than the operand; all 0 for 0."""
    hot = logic.leading_one(operand)
    # From 1.5 times the power on, that is where the bit below the leading one is 1, the next power is nearer.
    up = [ZERO, ZERO, *(logic.both(hot[t], operand[t - 1]) for t in range(2, len(operand)))]
    stay = [*hot[:2], *(logic.both(hot[t], logic.invert(operand[t - 1])) for t in range(2, len(operand)))]
    return [logic.either(stay[t] if t < len(stay) else ZERO, up[t - 1] if t else ZERO) for t in range(len(operand) + 1)]


TOPOLOGY = gates_only(generate, {}, "Zendegani et al., IEEE TVLSI 25(2), 2017, RoBA")

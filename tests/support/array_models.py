"""Integer models of the arrays, written from the text of DESIGN "Arrays, exactly" and from nothing else.

A signal is a Python integer that holds one bit per operand pair (lane), or None where the text makes it the constant 0
by construction. `grid[i][j]` gives the (sum, carry) tables of adder (i, j) as 8 characters for rows A B Cin.
"""

from __future__ import annotations

from collections.abc import Sequence

Signal = int | None
Tables = tuple[str, str]
EXACT: Tables = ("01101001", "00010111")


class Lanes:
    """All pairs (x, y) with x < 2^w and y < 2^v side by side: lane x * 2^v + y."""

    def __init__(self, w: int, v: int) -> None:
        self.pairs = [(x, y) for x in range(2**w) for y in range(2**v)]
        self.ones = (1 << len(self.pairs)) - 1
        self.x = [self._plane(pair[0] >> i & 1 for pair in self.pairs) for i in range(w)]
        self.y = [self._plane(pair[1] >> j & 1 for pair in self.pairs) for j in range(v)]

    @staticmethod
    def _plane(bits: object) -> int:
        return int("".join(map(str, bits))[::-1], 2)  # type: ignore[call-overload]

    def numbers(self, bits: Sequence[Signal]) -> list[int]:
        """The number in each lane, from its bits, least significant first."""
        strings = [f"{bit or 0:0{len(self.pairs)}b}"[::-1] for bit in bits]
        return [int("".join(column)[::-1], 2) for column in zip(*strings, strict=True)]

    def add(self, tables: Tables, half_adders: str, a: Signal, b: Signal, cin: Signal) -> tuple[int, int]:
        """(sum, carry) of a cell; of an exact half adder where an input is 0 by construction, if the policy says so."""
        if half_adders == "exact" and None in (a, b, cin):
            tables = EXACT
        inputs = [0 if signal is None else signal for signal in (a, b, cin)]
        results = []
        for table in tables:
            value = 0
            for row in range(8):
                if table[row] == "1":
                    minterm = self.ones
                    for k in range(3):
                        minterm &= inputs[k] if row >> (2 - k) & 1 else ~inputs[k] & self.ones
                    value |= minterm
            results.append(value)
        return results[0], results[1]


def ripple_array(
    lanes: Lanes,
    x: Sequence[int],
    y: Sequence[int],
    grid: Sequence[Sequence[Tables]],
    ports: str,
    half_adders: str,
    final_adder: str,
) -> list[Signal]:
    """Product bits, least significant first."""
    w, v = len(x), len(y)
    s: list[Signal] = [x[0] & y[j] for j in range(v)] + [None]
    product: list[Signal] = [s[0]]
    for i in range(1, w):
        above = list(s)
        c: Signal = None
        for j in range(v):
            named = {"p": x[i] & y[j], "s": above[j + 1], "c": c}
            s[j], c = lanes.add(grid[i][j], half_adders, *(named[port] for port in ports))
        s[v] = c
        product.append(s[0])
    return product + s[1:]


def carry_save_array(
    lanes: Lanes,
    x: Sequence[int],
    y: Sequence[int],
    grid: Sequence[Sequence[Tables]],
    ports: str,
    half_adders: str,
    final_adder: str,
) -> list[Signal]:
    """Product bits, least significant first."""
    w, v = len(x), len(y)
    s: list[Signal] = [x[0] & y[j] for j in range(v)] + [None]
    c: list[Signal] = [None] * v
    product: list[Signal] = [s[0]]
    for i in range(1, w):
        above = list(s)
        for j in range(v):
            named = {"p": x[i] & y[j], "s": above[j + 1], "c": c[j]}
            s[j], c[j] = lanes.add(grid[i][j], half_adders, *(named[port] for port in ports))
        s[v] = None
        product.append(s[0])
    ripple: Signal = None
    for j in range(v):
        tables = EXACT if final_adder == "exact" else grid[w][j]
        bit, ripple = lanes.add(tables, half_adders, s[j + 1], c[j], ripple)
        product.append(bit)
    return product


MODELS = {"ripple_array": ripple_array, "carry_save_array": carry_save_array}


def products(
    topology: str,
    w: int,
    v: int,
    grid: Sequence[Sequence[Tables]],
    *,
    ports: str,
    half_adders: str,
    final_adder: str,
    tile: int | None = None,
) -> list[int]:
    """The product of every pair, x major; tiles added exactly into w + v + 1 bits."""
    lanes = Lanes(w, v)
    size = tile or max(w, v)
    total = [0] * len(lanes.pairs)
    for i in range(0, w, size):
        for j in range(0, v, size):
            part = [row[j:] for row in grid[i:]]
            bits = MODELS[topology](
                lanes, lanes.x[i : i + size], lanes.y[j : j + size], part, ports, half_adders, final_adder
            )
            for lane, number in enumerate(lanes.numbers(bits)):
                total[lane] += number << (i + j)
    return [number % 2 ** (w + v + (tile is not None)) for number in total]

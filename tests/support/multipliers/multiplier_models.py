"""Models of the five topologies, written from their documented definitions (DESIGN "Arrays, exactly" and the docstrings
of circuits/multipliers), not from the generators' code: loops over positions and columns, a word-parallel bit a signal.

A signal is a uint64 array with one bit per operand pair (lane), or None where the definition has the constant 0.
Booth's rows are computed with integers, digit times operand, and only then cut into bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from circuits import CELLS, AdderCell

Plane = np.ndarray
Signal = Plane | None
EXACT = CELLS["exact"]


def bit_plane(values: np.ndarray, k: int) -> Plane:
    """Bit k of integers in two's complement, 64 lanes a word."""
    bits = (values >> np.int64(k)).astype(np.uint8) & 1
    padded = np.zeros(-(-len(bits) // 64) * 64, dtype=np.uint8)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").view("<u8")


def every_pair(w: int, v: int, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """All operand pairs, int64, x major, the signed minimum included."""
    low_x, low_y = (-(2 ** (w - 1)), -(2 ** (v - 1))) if signed else (0, 0)
    x, y = np.arange(low_x, low_x + 2**w), np.arange(low_y, low_y + 2**v)
    return np.repeat(x, len(y)), np.tile(y, len(x))


@dataclass
class Model:
    """One multiplier over the operand values `x`, `y` (int64, negative where signed)."""

    x: np.ndarray
    y: np.ndarray
    w: int
    v: int
    cell_at: Callable[[int, int], AdderCell]
    ports: str = "psc"
    half_adders: str = "cell"
    final_adder: str = "exact"
    signed: bool = False
    truncate_columns: int = 0

    def product(self, topology: str) -> list[Signal]:
        """The w + v product bits, least significant first."""
        self.one = bit_plane(np.full(len(self.x), -1), 0)
        bits = getattr(self, topology)()
        assert len(bits) == self.w + self.v
        return bits

    # Bits.

    def pp(self, i: int, j: int, baugh_wooley: bool = True) -> Signal:
        if i + j < self.truncate_columns:
            return None
        value = bit_plane(self.x, i) & bit_plane(self.y, j)
        edges = (i == self.w - 1) + (j == self.v - 1)
        return value ^ self.one if self.signed and baugh_wooley and edges == 1 else value

    def constants(self) -> list[int]:
        """Weights (exponents) of the ones that modified Baugh-Wooley adds."""
        total = 2 ** (self.w - 1) + 2 ** (self.v - 1) + 2 ** (self.w + self.v - 1)
        return [k for k in range(self.w + self.v) if self.signed and total >> k & 1]

    def look_up(self, table: str, inputs: list[Signal]) -> Plane:
        result = np.zeros_like(self.one)
        for row in range(8):
            if table[row] == "1":
                term = self.one
                for position, signal in enumerate(inputs):
                    plane = np.zeros_like(self.one) if signal is None else signal
                    term = term & (plane if row & 4 >> position else ~plane)
                result = result | term
        return result

    def adder(self, cell: AdderCell, column: int, a: Signal, b: Signal, cin: Signal) -> tuple[Signal, Signal]:
        if column < self.truncate_columns:
            return None, None
        if self.half_adders == "exact" and (a is None or b is None or cin is None):
            cell = EXACT
        return self.look_up(cell.sum, [a, b, cin]), self.look_up(cell.carry, [a, b, cin])

    def placed(self, i: int, j: int, p: Signal, s: Signal, c: Signal) -> tuple[Signal, Signal]:
        named = {"p": p, "s": s, "c": c}
        a, b, cin = [named[port] for port in self.ports]
        return self.adder(self.cell_at(i, j), i + j, a, b, cin)

    def final(self, column: int, s: Signal, c: Signal, ripple: Signal) -> tuple[Signal, Signal]:
        i = min(column, self.w)
        cell = EXACT if self.final_adder == "exact" else self.cell_at(i, column - i)
        return self.adder(cell, column, s, c, ripple)

    # Arrays.

    def ripple_array(self) -> list[Signal]:
        w, v = self.w, self.v
        s: list[Signal] = [self.pp(0, j, baugh_wooley=False) for j in range(v)] + [None]
        sign = s[v - 1]
        if self.signed and sign is not None:
            s[v] = sign ^ self.one
        bits = [s[0]]
        for i in range(1, w):
            c: Signal = self.one if self.signed and i == w - 1 else None
            new: list[Signal] = []
            for j in range(v):
                total, c = self.placed(i, j, self.pp(i, j), s[j + 1], c)
                new.append(total)
            s = [*new, c]
            bits.append(s[0])
        if self.signed:
            s[v] = self.one if s[v] is None else s[v] ^ self.one
        return bits + s[1:]

    def carry_save_array(self) -> list[Signal]:
        w, v = self.w, self.v
        s: list[Signal] = [self.pp(0, j) for j in range(v)]
        c: list[Signal] = [None] * v
        extra: dict[int, Signal] = {}  # row -> its s_v
        for k in self.constants():
            if k < self.truncate_columns:
                continue
            if k <= v:
                c[k - 1] = self.one
            else:
                extra[k - v] = self.one
        bits = [s[0]]
        for i in range(1, w):
            above = [*s, extra.get(i - 1)]
            for j in range(v):
                s[j], c[j] = self.placed(i, j, self.pp(i, j), above[j + 1], c[j])
            bits.append(s[0])
        above = [*s, extra.get(w - 1)]
        ripple: Signal = None
        for j in range(v):
            total, ripple = self.final(w + j, above[j + 1], c[j], ripple)
            bits.append(total)
        return bits

    # Columns: a bit is (stage, source row, serial number, plane).

    def wallace(self) -> list[Signal]:
        return self.compress(self.tree_bits(), lambda heights: [max(heights)] if max(heights) > 2 else [], True)

    def dadda(self) -> list[Signal]:
        return self.compress(self.tree_bits(), self.dadda_target, False)

    def booth(self) -> list[Signal]:
        return self.compress(self.booth_bits(), self.dadda_target, False)

    @staticmethod
    def dadda_target(heights: list[int]) -> list[int]:
        return [d for d in (2, 3, 4, 6, 9, 13, 19, 28, 42, 63) if d < max(heights)][-1:]

    def tree_bits(self) -> Iterator[tuple[int, int, Plane]]:
        """(column, source row, plane) of the partial products and the ones, in order."""
        for i in range(self.w):
            for j in range(self.v):
                plane = self.pp(i, j)
                if plane is not None:
                    yield i + j, i, plane
        for k in self.constants():
            if k >= self.truncate_columns:
                yield k, 1, self.one

    def booth_bits(self) -> Iterator[tuple[int, int, Plane]]:
        w, v = self.w, self.v
        columns = range(self.truncate_columns, w + v)
        negative = 0
        for n in range((w + 1) // 2 if self.signed else w // 2 + 1):

            def bit(k: int) -> np.ndarray:
                if k < 0 or (k >= w and not self.signed):
                    return np.zeros_like(self.x)
                return self.x >> min(k, w - 1) & 1

            digit = bit(2 * n) + bit(2 * n - 1) - 2 * bit(2 * n + 1)
            neg = bit(2 * n + 1)
            may_be_negative = self.signed or 2 * n + 1 < w
            row = np.abs(digit) * self.y  # v + 1 bits
            complement = row ^ -neg
            bits = [(2 * n, 2 * n, bit_plane(row, 0))]
            bits += [(2 * n + j, 2 * n, bit_plane(complement, j)) for j in range(1, v + (not self.signed))]
            if may_be_negative:
                completed = (complement & 1) + neg  # bit 0 and the one of the two's complement
                bits.append((2 * n + 1, 2 * n + 1, bit_plane(completed, 1)))
                sign, at = (complement >> v & 1, 2 * n + v) if self.signed else (neg, 2 * n + v + 1)
                if at in columns:
                    bits.append((at, 2 * n, bit_plane(1 - sign, 0)))
                    negative -= 2**at
            yield from (entry for entry in bits if entry[0] in columns and (n < w // 2 or self.top_bit(entry[0], n)))
        yield from ((k, 1, self.one) for k in range(w + v) if negative >> k & 1)

    def top_bit(self, column: int, n: int) -> bool:
        """Whether row n, beyond the last whole pair of bits, reaches `column`: not with y_v where two is never set."""
        return self.signed or self.w % 2 == 1 or column - 2 * n < self.v

    def compress(
        self,
        bits: Iterator[tuple[int, int, Plane]],
        targets: Callable[[list[int]], list[int]],
        greedy: bool,
    ) -> list[Signal]:
        width = self.w + self.v
        serial = 0
        pool: list[list[tuple[int, int, int, Plane]]] = [[] for _ in range(width)]

        def put(column: int, stage: int, row: int, plane: Plane) -> None:
            nonlocal serial
            if column < width:
                pool[column].append((stage, row, serial, plane))
            serial += 1

        def take(column: int, count: int) -> list[tuple[int, int, int, Plane]]:
            pool[column].sort(key=lambda entry: entry[:3])
            taken, pool[column][:] = pool[column][:count], pool[column][count:]
            return taken

        for column, row, plane in bits:
            put(column, 0, row, plane)
        stage = 0
        while target := targets([len(column) for column in pool]):
            stage += 1
            before = [len(column) for column in pool]
            for column in range(width):
                if greedy:
                    sizes = [3] * (before[column] // 3) + ([2] if before[column] % 3 == 2 else [])
                else:
                    sizes = []
                    while (excess := len(pool[column]) - sum(sizes) + len(sizes) - target[0]) > 0:
                        sizes.append(2 if excess == 1 else 3)
                for size in sizes:
                    taken = take(column, size)
                    row = max(entry[1] for entry in taken)
                    i = max(row, column - self.v + 1)
                    p, s, c = [entry[3] for entry in taken] + [None] * (3 - size)
                    total, carry = self.placed(i, column - i, p, s, c)
                    put(column, stage, row, total)
                    put(column + 1, stage, row, carry)
        result: list[Signal] = []
        ripple: Signal = None
        for column in range(width):
            entries = [entry[3] for entry in take(column, 2)]
            if len(entries) + (ripple is not None) < 2:
                result.append(entries[0] if entries else ripple)
                ripple = None
                continue
            first, second = [*entries, None][:2]
            total, ripple = self.final(column, first, second, ripple)
            result.append(total)
        return result


def numbers(bits: list[Signal], count: int) -> np.ndarray:
    """uint64 [count] from at most 64 product bits."""
    total = np.zeros(count, dtype=np.uint64)
    for k, plane in enumerate(bits):
        if plane is not None:
            total |= np.unpackbits(plane.view(np.uint8), bitorder="little")[:count].astype(np.uint64) << np.uint64(k)
    return total


def products(
    topology: str,
    w: int,
    v: int,
    cell_at: Callable[[int, int], AdderCell],
    *,
    ports: str = "psc",
    half_adders: str = "cell",
    final_adder: str = "exact",
    tile: int | None = None,
) -> np.ndarray:
    """Unsigned products of every pair, uint64, x major; those of tiles are added exactly into w + v + 1 bits."""
    x, y = every_pair(w, v, signed=False)
    size = tile or max(w, v)
    total = np.zeros(len(x), dtype=np.uint64)
    for i in range(0, w, size):
        for j in range(0, v, size):
            rows, columns = min(size, w - i), min(size, v - j)
            model = Model(
                x >> i & (2**rows - 1),
                y >> j & (2**columns - 1),
                rows,
                columns,
                lambda row, column, i=i, j=j: cell_at(i + row, j + column),
                ports=ports,
                half_adders=half_adders,
                final_adder=final_adder,
            )
            total += numbers(model.product(topology), len(x)) << np.uint64(i + j)
    return total % np.uint64(2 ** (w + v + (tile is not None)))

"""A product table as a design: its behaviour drawn as multiplexers, its cost not known.

A table says what a multiplier computes and nothing about the circuit. For simulation it is drawn as a reduced ordered
decision diagram: each node is a multiplexer that an operand bit controls,

    f = bit ? f1 : f0,

equal nodes are drawn once, and a node with f0 = f1 is left out. The diagram is built from the leaves upwards. At each
bit the functions of the remaining bits are numbered, so that a pair of numbers (f0, f1) names a node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.netlists.behaviour import BEHAVIOUR
from circuits.netlists.netlist import ONE, ZERO, Netlist, NetlistBuilder

WIDEST = 10
"""Largest operand width of a table, in bits."""
_NARROWEST = 2


def design_from_table(table: ArrayLike, *, signed: bool | None = None, name: str | None = None) -> Design:
    """The integer design whose products are `table`, integers [2**w, 2**v] for widths w and v of 2 to 10 bits.

    The first axis is the first operand; both are indexed by the operand's bit pattern, so that with `signed` (default:
    whether there is a negative product) row 255 of a table of 8-bit operands belongs to -1. Every command takes the
    design, but its cost is not known. Raises DesignError for other shapes and for products of more than w + v + 1 bits
    (w + v if signed).
    """
    products = np.asarray(table)
    widths = _widths(products)
    signed = bool(products.min() < 0) if signed is None else signed
    _check_products(products, widths, signed)
    return Design(circuit=table_circuit(products, widths, signed), format=None, signed=signed, name=name)


def table_circuit(products: NDArray[Any], widths: tuple[int, int], signed: bool) -> Netlist:
    """The netlist of multiplexers with the products [2**w, 2**v]; buses x, y and product."""
    builder = NetlistBuilder("table")
    x, y = builder.input("x", widths[0]), builder.input("y", widths[1])
    bits = sum(widths) if signed else max(sum(widths), int(products.max()).bit_length())
    words = products.astype(np.int64)
    # The operand bits by significance, x and y in turn: the diagrams of sums and products are smallest if bits that
    # meet in a column stand together.
    axes = sorted([(bit, 0, bit) for bit in range(widths[0])] + [(bit, 1, bit) for bit in range(widths[1])])
    # Axis k of `cube` is the operand bit axes[k], the least significant last.
    cube = words.reshape([2] * sum(widths))
    places = [widths[0] - 1 - bit if operand == 0 else sum(widths) - 1 - bit for _, operand, bit in reversed(axes)]
    cube = cube.transpose(places)
    # [output bit, all operand bits in that order]: every entry names a function, to begin with a constant net.
    functions = np.stack([cube.reshape(-1) >> bit & 1 for bit in range(bits)])
    nets = np.array([ZERO, ONE])
    for _, operand, bit in axes:
        pairs = functions.reshape(bits, -1, 2)
        codes = pairs[..., 0] * len(nets) + pairs[..., 1]
        distinct, functions = np.unique(codes, return_inverse=True)
        functions = functions.reshape(codes.shape)
        select = (x, y)[operand][bit]
        nets = np.array([_node(builder, nets[code // len(nets)], nets[code % len(nets)], select) for code in distinct])
    product = [int(nets[number]) for number in functions[:, 0]]
    # A table of wires and constants needs no multiplexer; one stands there all the same, to mark it as a behaviour.
    builder.add(BEHAVIOUR, ZERO, ZERO, x[0])
    builder.output("product", product)
    return builder.build()


def _node(builder: NetlistBuilder, low: Any, high: Any, select: int) -> int:
    if low == high:
        return int(low)
    if (low, high) == (ZERO, ONE):
        return select
    return builder.add(BEHAVIOUR, int(low), int(high), select)[0]


def _widths(products: NDArray[Any]) -> tuple[int, int]:
    if products.dtype.kind not in "iu":
        raise DesignError(f"a product table must hold integers, but has dtype {products.dtype}; convert it.")
    widths = tuple(int(size).bit_length() - 1 for size in products.shape)
    valid = all(
        _NARROWEST <= width <= WIDEST and size == 1 << width for width, size in zip(widths, products.shape, strict=True)
    )
    if len(widths) != 2 or not valid:
        raise DesignError(
            f"a product table must be 2^w x 2^v for operands of {_NARROWEST} to {WIDEST} bits, but has shape "
            f"{products.shape}; give one row for each first and one column for each second operand."
        )
    return widths[0], widths[1]


def _check_products(products: NDArray[Any], widths: tuple[int, int], signed: bool) -> None:
    bits = sum(widths) if signed else sum(widths) + 1
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    least, largest = int(products.min()), int(products.max())
    if least < low or largest > high:
        kind = "signed" if signed else "unsigned"
        raise DesignError(
            f"products of an {kind} {widths[0]}x{widths[1]} table must lie in {low} .. {high}, but lie in {least} .. "
            f"{largest}; check the file, its signedness and its format.".replace("an signed", "a signed")
        )

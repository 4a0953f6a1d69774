"""The smallest network of characterised gates for each of the 256 three-input functions.

`python -m circuits characterize --networks` makes the table `gate_networks.json` next to this file from the
areas of `transistors`: trees of gates of least total area, nothing shared within a tree. Inputs and constants need no
gate; an output that is an input takes a buffer.

The search is a shortest-path relaxation over functions (bytes f, bit r the value in row r): with area(f) = 0 for inputs
and constants,

    area(g(f1, ..., fk)) <= size(g) + area(f1) + ... + area(fk)          for every gate g

is applied to all combinations of functions that are reached, until no area becomes smaller.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.cost.characterize.transistors import schematic
from circuits.netlists import truth_table
from circuits.netlists.gates import EXTRA_GATES, GATES, Gate

TABLE = Path(__file__).with_name("gate_networks.json")
INPUTS = "abc"
USABLE = (
    "not",
    "nand2",
    "nor2",
    "and2",
    "or2",
    "xor2",
    "xnor2",
    "nand3",
    "nor3",
    "aoi21",
    "oai21",
    "mux2",
    "majority_not",
)
"""Gates of one output that networks consist of."""

Tree = str | tuple[Any, ...]
"""An input or constant, or (gate, operand trees ...)."""


def gates() -> dict[str, Gate]:
    """Every gate that a network may contain, by name; buffers too."""
    known = {gate.name: gate for gate in (*GATES.values(), *EXTRA_GATES)}
    return {name: known[name] for name in (*USABLE, "buffer")}


@lru_cache(maxsize=1)
def networks() -> tuple[str, ...]:
    """The network of each function (the byte of its table), e.g. "nand2(a,not(c))"; "0" and "1" for constants."""
    texts = json.loads(TABLE.read_text(encoding="utf-8"))["networks"]
    return tuple(texts[f"{table:08b}"] for table in range(256))


def smallest_networks() -> list[str]:
    """The table anew: the network of each function, by relaxation until no area becomes smaller."""
    area = np.full(256, np.inf)
    form = [""] * 256
    for table, text in zip((*truth_table.CONSTANTS, *truth_table.INPUTS), ("0", "1", *INPUTS), strict=True):
        area[table], form[table] = 0.0, text
    usable = [gates()[name] for name in USABLE]
    sizes = [schematic(gate).area for gate in usable]
    while True:
        before = area.copy()
        for gate, size in zip(usable, sizes, strict=True):
            _relax(gate, size, area, form)
        if np.array_equal(before, area):
            return form


def _relax(gate: Gate, size: float, area: NDArray[np.float64], form: list[str]) -> None:
    """Puts `gate` behind all combinations of reached functions; keeps what is smaller in `area` and `form`."""
    count = len(gate.inputs)
    reached = np.flatnonzero(np.isfinite(area))
    operands = np.meshgrid(*[reached] * count, indexing="ij", sparse=True)
    # The gate's function, applied to the bytes of its operands: the OR of the rows in which it is 1.
    results = np.zeros(np.broadcast_shapes(*(axis.shape for axis in operands)), dtype=np.int64)
    for row in range(1 << count):
        if gate.tables[0] >> (row << (3 - count)) & 1:
            term: Any = 0xFF
            for k, axis in enumerate(operands):
                term = term & (axis if row >> (count - 1 - k) & 1 else axis ^ 0xFF)
            results |= term
    costs = np.full(results.shape, size)
    for axis in operands:
        costs += area[axis]
    # The first of each group of equal results is the cheapest.
    order = np.lexsort((costs.ravel(), results.ravel()))
    tables = results.ravel()[order]
    for first in np.flatnonzero(np.diff(tables, prepend=-1)):
        table, cost = int(tables[first]), float(costs.ravel()[order[first]])
        if cost < area[table] - 1e-9:
            combination = np.unravel_index(order[first], results.shape)
            texts = ",".join(form[int(reached[k])] for k in combination)
            area[table], form[table] = cost, f"{gate.name}({texts})"


def parse(text: str) -> Tree:
    """The nested form of a network: an input, a constant, or (gate, operand, ...)."""
    tree, rest = _parse(text)
    assert not rest, text
    return tree


def _parse(text: str) -> tuple[Tree, str]:
    """(first tree of the text, the text after it)."""
    end = next((k for k, character in enumerate(text) if character in "(),"), len(text))
    name, rest = text[:end], text[end:]
    if not rest.startswith("("):
        return name, rest
    operands = []
    while not rest.startswith(")"):
        operand, rest = _parse(rest[1:])
        operands.append(operand)
    return (name, *operands), rest[1:]


def table_text() -> str:
    """The JSON text of the table, with `smallest_networks` for every truth table."""
    record = {
        "made_by": "python -m circuits characterize --networks",
        "rows": "bit r of the key, the last character bit 0, is the value in row r = 4a + 2b + c",
        "networks": {f"{table:08b}": form for table, form in enumerate(smallest_networks())},
    }
    return json.dumps(record, indent=0) + "\n"

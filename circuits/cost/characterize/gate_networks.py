"""The smallest network of characterised gates for each of the 256 three-input functions.

`python -m circuits characterize --networks` makes the table `gate_networks.json` beside this file from the areas of
`cells45`: least total area over trees of gates (nothing shared within a tree). The eight inputs-only and constant functions need
no gate; an input that is an output takes a buffer.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from circuits.cost.characterize.transistors import INPUT_TABLES, schematic
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
"""Gates of one output that networks are made of."""

Tree = str | tuple[Any, ...]
"""An input or constant, or (gate, operand trees ...)."""


def gates() -> dict[str, Gate]:
    """Every gate that may stand in a network, by name; buffers besides."""
    known = {gate.name: gate for gate in (*GATES.values(), *EXTRA_GATES)}
    return {name: known[name] for name in (*USABLE, "buffer")}


@lru_cache(maxsize=1)
def networks() -> tuple[str, ...]:
    """For each function (the byte of its table) its network, e.g. "nand2(a,not(c))"; "0" and "1" for constants."""
    found = json.loads(TABLE.read_text(encoding="utf-8"))["networks"]
    return tuple(found[f"{table:08b}"] for table in range(256))


def smallest_networks() -> list[str]:
    """The table anew, by dynamic programming over areas until nothing improves."""
    area = np.full(256, np.inf)
    form = [""] * 256
    for table, text in ((0x00, "0"), (0xFF, "1"), *zip(INPUT_TABLES, INPUTS, strict=True)):
        area[table], form[table] = 0.0, text
    parts = [gates()[name] for name in USABLE]
    sizes = [schematic(part).area for part in parts]
    while True:
        before = area.copy()
        for part, size in zip(parts, sizes, strict=True):
            count = len(part.inputs)
            known = np.flatnonzero(np.isfinite(area))
            grids = np.meshgrid(*[known] * count, indexing="ij", sparse=True)
            made = np.zeros(np.broadcast_shapes(*(grid.shape for grid in grids)), dtype=np.int64)
            for row in range(1 << count):
                if part.tables[0] >> (row << (3 - count)) & 1:
                    term: Any = 0xFF
                    for k, grid in enumerate(grids):
                        term = term & (grid if row >> (count - 1 - k) & 1 else grid ^ 0xFF)
                    made |= term
            costs = np.full(made.shape, size)
            for grid in grids:
                costs += area[grid]
            order = np.lexsort((costs.ravel(), made.ravel()))
            tables = made.ravel()[order]
            first = np.flatnonzero(np.diff(tables, prepend=-1))
            for at in first:
                table, cost = int(tables[at]), float(costs.ravel()[order[at]])
                if cost < area[table] - 1e-9:
                    place = np.unravel_index(order[at], made.shape)
                    operands = ",".join(form[int(known[k])] for k in place)
                    area[table], form[table] = cost, f"{part.name}({operands})"
        if np.array_equal(before, area):
            return form


def parse(text: str) -> Tree:
    """The nested form of a network: an input, a constant, or (gate, operand, ...)."""
    tree, rest = _parse(text)
    assert not rest, text
    return tree


def _parse(text: str) -> tuple[Tree, str]:
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

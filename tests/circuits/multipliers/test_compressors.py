"""4:2 compressors: tables against published error counts, trees against an independent model, gates, TOML, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lopsided import LOPSIDED
from multiplier_models import every_pair

from circuits import (
    COMPRESSORS,
    Compressor,
    Design,
    DesignError,
    cost_report,
    matmul,
    netlist_from_verilog,
    simulate,
    to_verilog,
)
from circuits.cells.compressors import load_compressors
from circuits.engine.bit_planes import pack
from circuits.multipliers.compressor_gates import draw
from circuits.netlists.lut_program import lower
from circuits.netlists.netlist import NetlistBuilder


def tree(width: Any = 8, compressor: Any = "exact", **fields: Any) -> Design:
    return Design(topology="compressor_tree", width=width, format=None, options={"compressor": compressor}, **fields)


# Tables.


def mean_distance(entry: Compressor) -> int:
    """256 times the mean |error| of four partial products, each 1 with probability 1/4."""
    return sum(3 ** (4 - row.bit_count()) * abs(error) for row, error in enumerate(entry.errors))


@pytest.mark.parametrize(
    ("name", "wrong", "distance"),
    [
        # Wrong rows: Momeni et al. 2015 (12 of 32, 4 of 16), Venkatachalam and Ko 2017 (5), Akbari et al. 2017 (error
        # rates 62.5, 62.5, 50 and 31.25 %; that of the second one over the rows with Cin = 0); Yang et al. 2015 and Lin
        # and Lin 2013 (only 1111). Distances: Wang and Qian, ISCAS 2022, MEDs of published compressors in 256ths. The
        # other counts are those of the tables with these distances.
        ("momeni1", 12, None),
        ("momeni2", 4, 100),
        ("venkatachalam", 5, 37),
        ("yang1", 1, 1),
        ("yang2", 2, 10),
        ("yang3", 4, 16),
        ("lin", 1, 2),
        ("akbari1", 10, None),
        ("akbari3", 8, 116),
        ("akbari4", 5, 38),
        ("ahmadinejad", 7, 55),
        ("strollo", 2, 4),
        # No published counts are known; these are the counts of the tables as they stand.
        ("zanandrea1", 8, None),
        ("zanandrea2", 10, None),
        ("majority", 14, None),
        ("sabetzadeh", 8, None),
        ("exact", 0, None),
    ],
)
def test_published_compressors_have_the_published_errors(name: str, wrong: int, distance: int | None) -> None:
    entry = COMPRESSORS[name]
    assert sum(map(bool, entry.errors)) == wrong
    assert distance is None or mean_distance(entry) == distance


def test_the_second_dual_quality_compressor_has_the_published_error_rate() -> None:
    errors = COMPRESSORS["akbari2"].errors
    assert sum(map(bool, errors[::2])) == 10  # Cin = 0: 62.5 % of 16 rows


def test_every_compressor_has_a_source() -> None:
    checked = [entry for entry in COMPRESSORS.values() if "second-hand" not in entry.source and not entry.is_exact]
    assert len(checked) >= 12
    assert all(entry.source for entry in COMPRESSORS.values())
    assert {entry.has_chain for entry in checked} == {True, False}


# Gates.


def planes_of(entry: Compressor, constants: dict[int, int]) -> list[int]:
    """[row][output] bits of the drawn gates; `constants`: input -> the constant 0 or 1 that drives it."""
    builder = NetlistBuilder("compressor")
    nets = builder.input("x", entry.inputs)[::-1]
    driven = tuple(constants.get(k, net) for k, net in enumerate(nets))
    builder.output("y", draw(builder, entry, driven, (0, 0)))
    rows = np.arange(1 << entry.inputs, dtype=np.uint64)
    out = simulate(lower(builder.build()), pack(rows, entry.inputs), "reference")
    return [[int(plane[row // 64] >> np.uint64(row % 64)) & 1 for plane in out] for row in rows.tolist()]


def rows_of(entry: Compressor, constants: dict[int, int]) -> list[list[int]]:
    """The same bits, read from the tables."""
    rows = []
    for row in range(1 << entry.inputs):
        for k, value in constants.items():
            bit = 1 << (entry.inputs - 1 - k)
            row = row | bit if value else row & ~bit
        rows.append([table >> row & 1 for table in entry.tables])
    return rows


@pytest.mark.parametrize("name", COMPRESSORS)
def test_gates_compute_the_table(name: str) -> None:
    entry = COMPRESSORS[name]
    for constants in ({}, {0: 1}, {3: 0}, {1: 0, 2: 1}, {entry.inputs - 1: 0}):
        assert planes_of(entry, constants) == rows_of(entry, constants)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_gates_compute_any_table(data: st.DataObject) -> None:
    chain = data.draw(st.booleans())
    rows = 32 if chain else 16
    tables = [f"{data.draw(st.integers(0, (1 << rows) - 1)):0{rows}b}" for _ in range(2 + chain)]
    entry = Compressor("random", *tables)
    constants = data.draw(st.dictionaries(st.integers(0, entry.inputs - 1), st.integers(0, 1)))
    assert planes_of(entry, constants) == rows_of(entry, constants)


def test_gates_are_the_librarys_where_it_has_them() -> None:
    """Momeni's second design as the paper draws it: NAND of two XORs, AND of two ORs; nothing is estimated."""
    builder = NetlistBuilder("momeni2")
    builder.output("y", draw(builder, COMPRESSORS["momeni2"], builder.input("x", 4)[::-1], (0, 0)))
    assert builder.build().count() == {"or2": 2, "xor2": 2, "and2": 1, "nand2": 1}
    assert cost_report(tree(6, "momeni2"), samples=16).estimated == ()
    own = Compressor("own", "0110100110010110", "0000100101101011")
    estimated = cost_report(tree(6, own), samples=16).estimated
    assert estimated
    assert all(name.startswith("own_") for name in estimated)


# Trees.


def looked_up(entry: Compressor, values: list[Any]) -> list[Any]:
    """The outputs in the rows of `values`; a Python integer where the constant inputs leave no choice."""
    index = sum(value << (entry.inputs - 1 - n) for n, value in enumerate(values))
    possible = [
        row
        for row in range(1 << entry.inputs)
        if all(
            isinstance(value, np.ndarray) or row >> (entry.inputs - 1 - n) & 1 == value
            for n, value in enumerate(values)
        )
    ]
    outputs: list[Any] = []
    for text in [entry.sum, entry.carry, *([entry.cout] if entry.cout else [])]:
        choices = {text[row] for row in possible}
        outputs.append(int(*choices) if len(choices) == 1 else np.array([int(c) for c in text])[index])
    return outputs


def model(x: np.ndarray, y: np.ndarray, w: int, v: int, entries: list[Compressor | None], signed: bool) -> np.ndarray:
    """Products of the documented tree with exact full adders, on integers: one array of bits per signal.

    Written from the docstring of compressor_tree: a column is a list of (stage, row, bits).
    """
    columns: list[list[tuple[int, int, Any]]] = [[] for _ in range(w + v)]
    for i in range(w):
        for j in range(v):
            bit = (x >> i & 1) & (y >> j & 1)
            columns[i + j].append((0, i, 1 - bit if signed and (i == w - 1) != (j == v - 1) else bit))
    # A Python integer is a bit that is constant by construction.
    for k in ([w, w + v - 1] if w == v else [w - 1, v - 1, w + v - 1]) if signed else []:
        columns[k].append((0, 1, 1))
    stage = 0
    while max(map(len, columns)) > 2:
        for column in columns:
            column.sort(key=lambda bit: bit[:2])
        height, target = max(map(len, columns)), 2
        while 2 * target < height:
            target *= 2
        stage += 1
        start = [len(column) for column in columns]
        chained: list[tuple[int, int, Any]] = []
        for k, column in enumerate(columns):
            left, couts = start[k], []
            while len(column) + len(chained) > target and left >= 2:
                excess = len(column) + len(chained) - target
                entry = entries[k] if left >= 4 and excess >= 3 else None
                size = 4 if entry else 3 if left >= 3 and excess >= 2 else 2
                bits = [column.pop(0) for _ in range(size)]
                left -= size
                row = max(bit[1] for bit in bits)
                values = [bit[2] for bit in bits]
                if entry is None:
                    total = sum(values) + np.zeros_like(x)
                    outputs = [total & 1, total >> 1]
                else:
                    if entry.has_chain:
                        values.append(chained.pop(0)[2] if chained else 0)
                    outputs = looked_up(entry, values)
                above = [] if k + 1 == len(columns) else columns[k + 1]
                for place, output in zip((column, above, couts), outputs, strict=False):
                    if isinstance(output, np.ndarray) or output:
                        place.append((stage, row, output))
            column += chained
            chained = couts
    total = sum((bit[2] << k for k, column in enumerate(columns) for bit in column), np.zeros_like(x))
    total = total % (1 << (w + v))
    return np.where(total >> (w + v - 1) & 1, total - (1 << (w + v)), total) if signed else total


@pytest.mark.parametrize("shape", [(6, 6), (8, 8), (7, 5)])
@pytest.mark.parametrize("name", COMPRESSORS)
def test_trees_equal_the_model(name: str, shape: tuple[int, int]) -> None:
    """Exhaustive: one compressor everywhere. Most are not symmetric in their inputs."""
    x, y = every_pair(*shape, signed=False)
    products = tree(shape, name).multiply_integers(x, y, backend="interpreted").astype(np.int64)
    assert np.array_equal(products, model(x, y, *shape, [COMPRESSORS[name]] * sum(shape), False))


@pytest.mark.parametrize("signed", [False, True])
def test_mixed_trees_equal_the_model(signed: bool) -> None:
    """Every column has its own compressor, some with a carry chain, some without, or full adders only."""
    names = ["momeni2", "none", "akbari2", "venkatachalam", "none", "majority", "momeni1", "lin", "exact", "akbari4"]
    names = [*names, "none", "exact"]
    entries = [COMPRESSORS.get(name) for name in names]
    x, y = every_pair(6, 6, signed=signed)
    entry = tree(6, names, signed=signed)
    products = entry.multiply_integers(x, y, backend="interpreted").astype(np.int64)
    assert np.array_equal(products, model(x, y, 6, 6, entries, signed))
    assert entry.describe()["options"].startswith("compressor = columns 0 momeni2, 1 none, 2 akbari2")


@pytest.mark.parametrize("compressor", ["exact", "none"])
@pytest.mark.parametrize("width", [2, 3, 8, (4, 9), 10])
@pytest.mark.parametrize("signed", [False, True])
def test_exact_trees_are_exact(width: Any, compressor: str, signed: bool) -> None:
    entry = tree(width, compressor, signed=signed)
    x, y = every_pair(*entry.shape, signed=signed)
    assert np.array_equal(entry.multiply_integers(x, y, backend="interpreted").astype(np.int64), x * y)


def test_wide_and_tiled_exact_trees_are_exact() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 1 << 31, (2, 500))
    assert np.array_equal(tree(32).multiply_integers(x, y, backend="interpreted"), x * y)
    tiled = tree(8, tile=4)
    x, y = every_pair(8, 8, signed=False)
    assert np.array_equal(tiled.multiply_integers(x, y, backend="interpreted"), x * y)
    assert len(tree(8, "momeni2", tile=4).netlist().outputs["product"]) == 17


def test_cells_and_columns_change_the_tree() -> None:
    plain = tree(8, "venkatachalam", placement=LOPSIDED)
    others = [
        tree(8, "venkatachalam"),
        tree(8, "venkatachalam", placement=LOPSIDED, ports="csp"),
        tree(8, ["venkatachalam"] * 8 + ["exact"] * 8, placement=LOPSIDED),
        tree(8, "venkatachalam", placement=LOPSIDED, truncate_columns=4),
    ]
    assert len({plain.digest, *(entry.digest for entry in others)}) == 5


def test_an_approximate_tree_costs_less_than_one_of_full_adders() -> None:
    """Which is what compressors are for."""
    exact, approximate = (cost_report(tree(8, name), samples=256).drawn for name in ("none", "momeni2"))
    assert approximate.area < 0.85 * exact.area
    assert approximate.energy < 0.85 * exact.energy


@pytest.mark.parametrize("name", COMPRESSORS)
def test_integer_matrix_products_go_through_the_tree(name: str) -> None:
    """As int8 layers compute them."""
    entry = tree(8, name, signed=True)
    rng = np.random.default_rng(5)
    x, w = rng.integers(-128, 128, (3, 7)).astype(np.int8), rng.integers(-128, 128, (7, 4)).astype(np.int8)
    products = entry.multiply_integers(x[:, :, None].astype(np.int64), w[None].astype(np.int64), backend="interpreted")
    assert np.array_equal(matmul(entry, x, w), products.sum(axis=1))


# Text and mistakes.


OWN = """
[design]
topology = "compressor_tree"
format = "integer"
width = 8
options = { compressor = ["mine", "mine", "mine", "mine", "none", "none", "none", "none", "exact", "exact", "exact", \
"exact", "exact", "exact", "exact", "exact"] }

[compressors.mine]
sum = "0111111111111111"
carry = "0000000100010111"
source = "an OR, and at least three"
"""


def test_own_compressors_are_stored_in_the_design() -> None:
    entry = Design.from_toml(OWN)
    assert entry.options["compressor"].at(0) == Compressor(
        "mine", "0111111111111111", "0000000100010111", source="an OR, and at least three"
    )
    assert Design.from_toml(entry.to_toml()) == entry
    assert "[compressors.mine]" in entry.to_toml()
    read = Design(circuit=netlist_from_verilog(to_verilog(entry), where="own.v"))
    x, y = every_pair(8, 8, signed=False)
    assert np.array_equal(read.multiply_integers(x, y), entry.multiply_integers(x, y))


def test_a_file_of_compressors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'[compressors.a]\nsum = "{"01" * 16}"\ncarry = "{"0" * 32}"\ncout = "{"0011" * 8}"\n')
    assert load_compressors(path)["a"].has_chain


@pytest.mark.parametrize(
    ("compressor", "message"),
    [
        ("momeni3", "unknown compressor 'momeni3'; nearest: momeni2, momeni1."),
        (
            7,
            "compressor must be a compressor, or a list of 16 by product column for 8 x 8 bits, but got 7; correct it.",
        ),
        (
            ["lin"] * 15,
            "compressor must be a compressor, or a list of 16 by product column for 8 x 8 bits, but got 15 entries; "
            "correct it.",
        ),
        ([7] * 16, "a compressor must be named, but got 7; give its name in quotes."),
    ],
)
def test_unusable_compressors_are_refused_with_the_whole_message(compressor: Any, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        tree(8, compressor)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            'sum = "01"\ncarry = "0000000000000000"',
            "[compressors.a] in the TOML text: sum of compressor 'a' must be 16 characters 0 or 1 for rows x1 x2 x3 "
            "x4, but got '01'; correct it (16 rows without cout, 32 with it).",
        ),
        (
            'sum = "0000000000000000"',
            "[compressors.a] in the TOML text must have sum and carry, and cout with a carry chain; add the truth "
            "tables.",
        ),
        (
            'sum = "0000000000000000"\ncarry = "0000000000000000"\ncolour = "red"',
            "the keys of [compressors.a] in the TOML text must be among carry, cout, source, sum, but got 'colour'; "
            "remove it.",
        ),
    ],
)
def test_malformed_compressor_tables_are_refused_with_the_whole_message(table: str, message: str) -> None:
    text = f'[design]\ntopology = "compressor_tree"\nformat = "integer"\nwidth = 8\n[compressors.a]\n{table}\n'
    with pytest.raises(DesignError) as caught:
        Design.from_toml(text)
    assert str(caught.value) == f"[design] in the TOML text: {message}"


def test_library_names_are_reserved() -> None:
    with pytest.raises(DesignError, match="must not reuse the reserved name of a library compressor"):
        Design.from_toml(OWN.replace("mine", "lin"))
    with pytest.raises(DesignError, match="an embedded compressor must not reuse the reserved name"):
        tree(8, Compressor("lin", "0" * 16, "0" * 16)).to_toml()

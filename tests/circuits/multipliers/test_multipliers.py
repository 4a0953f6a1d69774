"""Multiplier generators against the models in tests/support/multipliers: every topology, cell, width and policy."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lopsided import LOPSIDED
from multiplier_models import Model, bit_plane, every_pair, numbers

from circuits import CELLS, NAMED, TOPOLOGIES, AdderCell, Design, DesignError, design, multipliers, simulate
from circuits.designs import trace
from circuits.multipliers import PORTS
from circuits.netlists.gates import HALF_ADDER
from circuits.netlists.lut_program import lower

ALL_CELLS = [*CELLS.values(), LOPSIDED]
SHAPES = [(w, v) for w in range(2, 9) for v in range(2, 9)]
POLICIES = [(ports, half, final) for ports in PORTS for half in ("cell", "exact") for final in ("exact", "cell")]

topologies = pytest.mark.parametrize("topology", TOPOLOGIES)
signednesses = pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])


def integer_design(topology: str, w: int, v: int, **policies: Any) -> Design:
    return Design(topology=topology, width=(w, v), format=None, **policies)


def planes(multiplier: Design, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The product's bit-planes, straight from the netlist."""
    w, v = multiplier.shape
    operands = np.stack([bit_plane(x, i) for i in range(w)] + [bit_plane(y, j) for j in range(v)])
    return simulate(lower(multiplier.netlist()), operands, "reference")


def model_planes(multiplier: Design, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The product's bit-planes by the independent model."""
    w, v = multiplier.shape
    model = Model(
        x,
        y,
        w,
        v,
        lambda i, j: multiplier.placement.at(i, j, None),
        ports=multiplier.ports,
        half_adders=multiplier.half_adders,
        final_adder=multiplier.final_adder,
        signed=multiplier.signed,
        truncate_columns=multiplier.truncate_columns,
    )
    bits = model.product(multiplier.topology)
    return np.stack([np.zeros_like(model.one) if bit is None else bit for bit in bits])


def equal(multiplier: Design, x: np.ndarray, y: np.ndarray) -> bool:
    """Whether netlist and model give the same products of all pairs."""
    lanes = bit_plane(np.full(len(x), -1), 0)
    return np.array_equal(planes(multiplier, x, y) & lanes, model_planes(multiplier, x, y) & lanes)


def random_grid(rng: np.random.Generator, w: int, v: int) -> dict[str, list[list[AdderCell]]]:
    """A placement with a random cell at every position."""
    return {"grid": [[ALL_CELLS[rng.integers(len(ALL_CELLS))] for _ in range(v)] for _ in range(w + 1)]}


@pytest.mark.slow
@topologies
@signednesses
def test_every_cell_at_widths_2_to_8_equals_the_model(topology: str, signed: bool) -> None:
    """Exhaustive: every cell in all square shapes, in some rectangular ones, and with policies in rotation."""
    for number, cell in enumerate(ALL_CELLS):
        shapes = [(w, v) for w, v in SHAPES if w == v or (3 * w + v + number) % 5 == 0]
        for w, v in shapes:
            ports, half_adders, final_adder = POLICIES[(7 * number + 5 * w + v) % len(POLICIES)]
            multiplier = integer_design(
                topology,
                w,
                v,
                placement=cell,
                ports=ports,
                half_adders=half_adders,
                final_adder=final_adder,
                signed=signed,
            )
            assert equal(multiplier, *every_pair(w, v, signed)), multiplier.describe()


@topologies
@signednesses
def test_heterogeneous_and_truncated_arrays_equal_the_model(topology: str, signed: bool) -> None:
    rng = np.random.default_rng(41)
    for number in range(80):
        w, v = SHAPES[rng.integers(len(SHAPES))]
        ports, half_adders, final_adder = POLICIES[rng.integers(len(POLICIES))]
        multiplier = integer_design(
            topology,
            w,
            v,
            placement=random_grid(rng, w, v),
            ports=ports,
            half_adders=half_adders,
            final_adder=final_adder,
            signed=signed,
            truncate_columns=int(rng.integers(0, w + v)) if number % 2 else 0,
        )
        assert equal(multiplier, *every_pair(w, v, signed)), multiplier.describe()


@topologies
@signednesses
def test_exact_cells_multiply_at_widths_2_to_8(topology: str, signed: bool) -> None:
    """All pairs of all shapes, the signed minimum squared included, whatever the policies."""
    for number, (w, v) in enumerate(SHAPES):
        ports, half_adders, final_adder = POLICIES[5 * number % len(POLICIES)]
        x, y = every_pair(w, v, signed)
        product = (x * y).astype(np.uint64) & np.uint64(2 ** (w + v) - 1)
        multiplier = integer_design(
            topology, w, v, ports=ports, half_adders=half_adders, final_adder=final_adder, signed=signed
        )
        np.testing.assert_array_equal(numbers(list(planes(multiplier, x, y)), len(x)), product, err_msg=f"{w} x {v}")


@topologies
@signednesses
def test_multiply_integers_is_exact_on_all_8_bit_pairs(topology: str, signed: bool) -> None:
    multiplier = integer_design(topology, 8, 8, signed=signed)
    x, y = np.arange(-128, 128) + 128 * (not signed), np.arange(-128, 128) + 128 * (not signed)
    got = multiplier.multiply_integers(x[:, None], y[None, :])
    assert got.dtype == (np.int64 if signed else np.uint64)
    np.testing.assert_array_equal(got.astype(np.int64), np.multiply.outer(x, y))


def operands(draw: st.DrawFn, width: int, signed: bool) -> list[int]:
    """62 random operands and the two extremes."""
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    return [low, high, *draw(st.lists(st.integers(low, high), min_size=62, max_size=62))]


wide = st.sampled_from([(12, 12), (16, 16), (24, 24), (53, 53), (12, 24), (53, 16), (24, 53)])


@topologies
@signednesses
@settings(derandomize=True, deadline=None, max_examples=7, database=None)
@given(shape=wide, policy=st.sampled_from(POLICIES), data=st.data())
def test_exact_cells_multiply_at_greater_widths(
    topology: str, signed: bool, shape: tuple[int, int], policy: tuple[str, str, str], data: st.DataObject
) -> None:
    w, v = shape
    x = data.draw(st.composite(operands)(w, signed))
    y = data.draw(st.composite(operands)(v, signed))
    y[:4] = y[0], y[0], y[1], y[1]  # all pairs of extremes
    ports, half_adders, final_adder = policy
    multiplier = integer_design(
        topology, w, v, ports=ports, half_adders=half_adders, final_adder=final_adder, signed=signed
    )
    x[2], x[3] = x[0], x[1]
    bits = planes(multiplier, np.array(x, dtype=np.int64), np.array(y, dtype=np.int64))
    for lane, (a, b) in enumerate(zip(x, y, strict=True)):
        got = sum((int(plane[lane // 64]) >> lane % 64 & 1) << k for k, plane in enumerate(bits))
        assert got == a * b % 2 ** (w + v), (a, b)


@topologies
@signednesses
@settings(derandomize=True, deadline=None, max_examples=6, database=None)
@given(shape=wide, policy=st.sampled_from(POLICIES), seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 20))
def test_heterogeneous_arrays_equal_the_model_at_greater_widths(
    topology: str, signed: bool, shape: tuple[int, int], policy: tuple[str, str, str], seed: int, cut: int
) -> None:
    w, v = shape
    rng = np.random.default_rng(seed)
    ports, half_adders, final_adder = policy
    multiplier = integer_design(
        topology,
        w,
        v,
        placement=random_grid(rng, w, v),
        ports=ports,
        half_adders=half_adders,
        final_adder=final_adder,
        signed=signed,
        truncate_columns=cut,
    )
    x, y = (rng.integers(-(2 ** (n - 1)) * signed, 2 ** (n - signed), 192, dtype=np.int64) for n in shape)
    assert equal(multiplier, x, y)


@topologies
@signednesses
@pytest.mark.parametrize("shape", [(2, 64), (64, 2), (64, 64), (33, 64)])
def test_products_of_the_widest_operands_equal_the_model(topology: str, signed: bool, shape: tuple[int, int]) -> None:
    w, v = shape
    multiplier = integer_design(topology, w, v, signed=signed)
    x, y = (np.array([a % 2**n for a in extremes(n, signed)], dtype=np.uint64).view(np.int64) for n in shape)
    bits = planes(multiplier, np.repeat(x, len(y)), np.tile(y, len(x)))
    pairs = [(a, b) for a in extremes(w, signed) for b in extremes(v, signed)]
    for lane, (a, b) in enumerate(pairs):
        assert sum((int(plane[0]) >> lane & 1) << k for k, plane in enumerate(bits)) == a * b % 2 ** (w + v), (a, b)


def extremes(width: int, signed: bool) -> list[int]:
    if signed:
        return [-(2 ** (width - 1)), 2 ** (width - 1) - 1, -1, 0, 1]
    return [2**width - 1, 2 ** (width - 1), 3, 1, 0]


@signednesses
@pytest.mark.parametrize("shape", [(6, 58), (6, 59), (64, 2)])
def test_products_beyond_64_bits_are_python_integers(signed: bool, shape: tuple[int, int]) -> None:
    x, y = (np.array(extremes(n, signed), dtype=object) for n in shape)
    got = integer_design("booth", *shape, signed=signed).multiply_integers(x[:, None], y[None, :])
    assert got.dtype == ((np.int64 if signed else np.uint64) if sum(shape) <= 64 else object)
    assert (got.astype(object) == x[:, None] * y[None, :]).all()


@topologies
def test_tiles_of_every_topology_are_added_exactly(topology: str) -> None:
    """A tile is the topology's own array over slices of the operands, in the larger array's grid."""
    rng = np.random.default_rng(43)
    for w, v, tile in [(8, 8, 4), (8, 8, 3), (7, 5, 2), (6, 8, 5), (4, 4, 1), (5, 5, 5)]:
        exact = integer_design(topology, w, v, tile=tile)
        x, y = every_pair(w, v, False)
        np.testing.assert_array_equal(numbers(list(planes(exact, x, y)), len(x)), (x * y).astype(np.uint64))

        multiplier = integer_design(topology, w, v, tile=tile, placement=random_grid(rng, w, v), ports="csp")
        total = np.zeros(len(x), dtype=np.uint64)
        for i in range(0, w, tile):
            for j in range(0, v, tile):
                n, m = min(tile, w - i), min(tile, v - j)
                part = Model(
                    x >> i & 2**n - 1,
                    y >> j & 2**m - 1,
                    n,
                    m,
                    lambda r, c, i=i, j=j, multiplier=multiplier: multiplier.placement.at(
                        r + i, c + j, multiplier.tile
                    ),
                    ports="csp",
                )
                total += numbers(part.product(topology), len(x)) << np.uint64(i + j)
        got = numbers(list(planes(multiplier, x, y)), len(x))
        np.testing.assert_array_equal(got, total & np.uint64(2 ** (w + v + 1) - 1))


# Every policy argument changes something.

WITH_FINAL_ADDER = [name for name, topology in TOPOLOGIES.items() if topology.has_final_adder]


def values(multiplier: Design) -> np.ndarray:
    """Products of all operand pairs, uint64, x major."""
    x, y = every_pair(*multiplier.shape, multiplier.signed)
    return numbers(list(planes(multiplier, x, y)), len(x))


@topologies
@signednesses
def test_every_policy_changes_the_products_of_a_non_commutative_cell(topology: str, signed: bool) -> None:
    base: dict[str, Any] = {"placement": LOPSIDED, "signed": signed}
    seen = [values(integer_design(topology, 6, 5, **base, ports=ports)) for ports in PORTS]
    assert len({product.tobytes() for product in seen}) == 6
    changes: list[dict[str, Any]] = [{"half_adders": "exact"}, {"truncate_columns": 4}, {"placement": "ama1"}]
    changes += [{"final_adder": "cell"}] if topology in WITH_FINAL_ADDER else []
    changes += [] if signed else [{"tile": 2}, {"tile": 3}]
    for change in changes:
        assert not np.array_equal(values(integer_design(topology, 6, 5, **(base | change))), seen[0]), change
    if topology not in WITH_FINAL_ADDER:
        same = integer_design(topology, 6, 5, **base, final_adder="cell")
        assert same.netlist().digest() == integer_design(topology, 6, 5, **base).netlist().digest()


@topologies
def test_products_of_a_lopsided_placement_do_not_commute(topology: str) -> None:
    product = values(integer_design(topology, 6, 6, placement=LOPSIDED)).reshape(64, 64)
    assert not np.array_equal(product, product.T)


@topologies
@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3)])
def test_every_entry_of_a_placement_reaches_its_column_or_row(topology: str, shape: tuple[int, int]) -> None:
    """One LOPSIDED cell among exact ones in the placement: the instances stand in its row, or in its column i + j."""
    w, v = shape
    policies: dict[str, Any] = {"final_adder": "cell"}
    used: dict[str, set[int]] = {"columns": set(), "rows": set()}
    for kind, length in (("columns", w + v), ("rows", w + 1)):
        for k in range(length):
            cells = [LOPSIDED if n == k else CELLS["exact"] for n in range(length)]
            multiplier = integer_design(topology, w, v, placement={kind: cells}, **policies)
            places = [instance.place for instance in multiplier.netlist().instances if instance.component == LOPSIDED]
            assert all(place is not None and k == (sum(place) if kind == "columns" else place[0]) for place in places)
            if places:
                used[kind].add(k)
                lowered = {"grid": [[cells[i + j if kind == "columns" else i] for j in range(v)] for i in range(w + 1)]}
                grid = integer_design(topology, w, v, placement=lowered, **policies)
                assert grid.netlist().digest() == multiplier.netlist().digest()
    assert used["rows"] >= set(range(1, w + (topology != "ripple_array")))
    assert used["columns"] >= set(range(2, w + v - 1))
    assert 0 not in used["rows"] | used["columns"]


@topologies
@signednesses
def test_cells_stand_inside_the_grid(topology: str, signed: bool) -> None:
    for w, v in [*SHAPES, (24, 24), (13, 40), (40, 13)]:
        for instance in integer_design(topology, w, v, signed=signed).netlist().instances:
            if isinstance(instance.component, AdderCell):
                assert instance.place is not None
                assert 1 <= instance.place[0] <= w
                assert 0 <= instance.place[1] < v


@topologies
def test_placement_by_tiles_is_the_grid_it_means(topology: str) -> None:
    names = [["ama1", "lopsided", "exact"], ["axa2", "ama4", "lopsided"]]
    cells = {**CELLS, "lopsided": LOPSIDED}
    tiles = {"tiles": [[cells[name] for name in row] for row in names]}
    by_tiles = integer_design(topology, 7, 9, tile=4, placement=tiles)
    grid = {"grid": [[tiles["tiles"][max(i - 1, 0) // 4][j // 4] for j in range(9)] for i in range(8)]}
    by_grid = integer_design(topology, 7, 9, tile=4, placement=grid)
    assert by_tiles.netlist().digest() == by_grid.netlist().digest()


# Structure that the literature states.


@pytest.mark.parametrize("n", [4, 8, 12, 16, 24, 32])
def test_dadda_has_the_published_numbers_of_cells(n: int) -> None:
    """Dadda 1965: n^2 - 4n + 3 full and n - 1 half adders, then 2n - 2 adders, the first of them a half adder."""
    counts = integer_design("dadda", n, n, half_adders="exact").netlist().count()
    assert counts["exact"] == n * n - 4 * n + 3 + 2 * n - 3
    assert counts["half_adder"] == n - 1 + 1
    wallace = integer_design("wallace", n, n, half_adders="exact").netlist().count()
    assert wallace["half_adder"] > counts["half_adder"]


@pytest.mark.parametrize("n", [8, 16, 24])
def test_booth_has_half_the_rows_and_fewer_adders(n: int) -> None:
    """Radix 4: n / 2 + 1 rows unsigned, n / 2 signed, so a signed multiplier needs fewer adders."""
    booth = integer_design("booth", n, n, half_adders="exact").netlist().count()
    dadda = integer_design("dadda", n, n, half_adders="exact").netlist().count()
    signed = integer_design("booth", n, n, half_adders="exact", signed=True).netlist().count()
    assert signed["exact"] < booth["exact"] < dadda["exact"] * 0.8


def test_modified_baugh_wooley_complements_the_sign_row_and_column() -> None:
    for topology in ("wallace", "dadda", "carry_save_array"):
        counts = integer_design(topology, 7, 5, signed=True).netlist().count()
        assert counts["nand2"] == 7 + 5 - 2
        assert counts["and2"] == 7 * 5 - counts["nand2"]


# Designs around the generators.


def test_signed_designs_are_other_designs_and_survive_toml() -> None:
    for topology in TOPOLOGIES:
        multiplier = integer_design(topology, 5, 7, placement=LOPSIDED, signed=True, truncate_columns=3)
        again = Design.from_toml(multiplier.to_toml())
        assert again == multiplier
        assert again.digest == multiplier.digest != integer_design(topology, 5, 7, placement=LOPSIDED).digest
        assert multiplier.describe()["format"] == "signed integer (two's complement)"


def test_port_names_follow_the_topology() -> None:
    arrays = {name: integer_design(name, 4, 4, ports="cps").describe()["ports (A,B,Cin)"] for name in TOPOLOGIES}
    assert arrays["ripple_array"] == arrays["carry_save_array"] == "carry, partial product, sum"
    assert arrays["wallace"] == arrays["dadda"] == arrays["booth"] == "third bit, first bit, second bit"


def test_topologies_declare_their_properties() -> None:
    """DESIGN "Arrays": only ripple rows end without a final adder, only Booth's rows are no ANDs."""
    assert set(TOPOLOGIES) - set(WITH_FINAL_ADDER) == {"ripple_array"}
    assert {name for name, topology in TOPOLOGIES.items() if not topology.plain_partial_products} == {"booth"}
    assert {name for name, topology in TOPOLOGIES.items() if topology.truncation_may_wrap} == {"booth"}


@topologies
def test_a_topology_under_another_name_is_described_by_what_it_is(
    topology: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has a final adder, say, follows from the topology's record, not from its name."""
    other = f"{topology}_2"  # circuits are cached by name
    monkeypatch.setattr(multipliers, "TOPOLOGIES", {**TOPOLOGIES, other: TOPOLOGIES[topology]})
    for fields in ({}, {"tile": 2, "truncate_columns": 3}, {"final_adder": "cell", "placement": LOPSIDED}):
        named, second = (integer_design(name, 5, 5, **fields) for name in (topology, other))
        definition = second.describe()
        assert definition.pop("topology") == other
        assert {**definition, "topology": topology} == named.describe()
        assert second.digest == named.digest
        assert second.has_final_adder == named.has_final_adder == (topology in WITH_FINAL_ADDER)
        assert trace.trace_product(second, 21, 19).rows == trace.trace_product(named, 21, 19).rows
        assert bool(trace.trace_product(second, 21, 19).rows) == (topology != "booth")


def test_no_topology_is_asked_for_by_name() -> None:
    """Outside the generators and the defaults of designs, a comparison with a name would leave out a new topology."""
    root = Path(__file__).parents[3]
    for package in ("circuits", "cnn_eval", "dse", "studies"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare):
                    constants = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                    assert not {*TOPOLOGIES} & {*map(str, constants)}, f"{path}:{node.lineno}"


def test_digests_differ_between_topologies() -> None:
    digests = [integer_design(name, 8, 8, signed=signed).digest for name in TOPOLOGIES for signed in (False, True)]
    assert len(set(digests)) == 2 * len(TOPOLOGIES)


@pytest.mark.parametrize(
    ("topology", "half", "full"),
    [
        # (1, 3) takes pp(1, 3), s_4 = 0 of row 0 and the truncated carry of (1, 2); its own carry is s_4 of row 1.
        ("ripple_array", (1, 3), (2, 3)),
        # (4, 0) takes s_1 of row 3 and the truncated saved carry c_0; its own carry ripples into (4, 1).
        ("carry_save_array", (4, 0), (4, 1)),
    ],
)
def test_a_half_adder_beside_truncated_columns_hands_on_a_live_carry(
    topology: str, half: tuple[int, int], full: tuple[int, int]
) -> None:
    """DESIGN "Arrays": the carry of an exact half adder whose other input is the constant 0 counts as live, although it
    is always 0, so the next position holds the full cell."""
    multiplier = integer_design(
        topology, 4, 4, placement=LOPSIDED, half_adders="exact", final_adder="cell", truncate_columns=4
    )
    standing = {
        instance.place: instance
        for instance in multiplier.netlist().instances
        if instance.component == LOPSIDED or instance.component is HALF_ADDER
    }
    assert standing[half].component is HALF_ADDER
    assert 0 in standing[half].inputs
    carry = standing[half].outputs[1]
    assert standing[full].component == LOPSIDED
    assert carry in standing[full].inputs
    assert 0 not in standing[full].inputs

    # With one more column truncated, the position beside it reads the constant 0 and holds an exact half adder.
    less = integer_design(
        topology, 4, 4, placement=LOPSIDED, half_adders="exact", final_adder="cell", truncate_columns=full[0] + full[1]
    )
    adders = [part for part in less.netlist().instances if part.place == full and len(part.outputs) == 2]
    assert [adder.component for adder in adders] == [HALF_ADDER]


def test_impossible_signed_designs_are_refused() -> None:
    with pytest.raises(DesignError) as error:
        Design(signed=True)
    assert str(error.value) == (
        "a signed design must be an integer design, because mantissas are unsigned, but got format='float32'; "
        "set format=None and a width, or signed=False."
    )
    with pytest.raises(DesignError) as error:
        integer_design("dadda", 8, 8, signed=True, tile=4)
    assert str(error.value) == (
        "a signed design must be untiled, because tiles are unsigned arrays, but got tile=4; "
        "leave tile out or set signed=False."
    )
    with pytest.raises(DesignError, match=r"^signed must be true or false, but got 1; correct it\.$"):
        integer_design("booth", 8, 8, signed=1)
    with pytest.raises(
        DesignError, match=r"^2 <= width <= 64 must hold, but got 65; choose an integer in that range\.$"
    ):
        integer_design("wallace", 65, 8)


@pytest.mark.parametrize(
    ("name", "x", "y", "bad"), [("x", -9, 0, -9), ("x", 8, 0, 8), ("y", 0, 4, 4), ("y", 7, -5, -5)]
)
def test_signed_operands_out_of_range_are_refused(name: str, x: int, y: int, bad: int) -> None:
    bits = {"x": 3, "y": 2}[name]
    with pytest.raises(DesignError) as error:
        integer_design("booth", 4, 3, signed=True).multiply_integers([x, 0], y)
    assert str(error.value) == f"-2^{bits} <= {name} < 2^{bits} must hold, but got {bad}; mask the operand."


def test_the_named_design_bfloat16_is_a_booth_multiplier() -> None:
    multiplier = design("bfloat16")
    assert multiplier in NAMED.values()
    assert (multiplier.topology, multiplier.format, multiplier.shape) == ("booth", "bfloat16", (8, 8))
    assert (multiplier.rounding, multiplier.subnormals) == ("truncate", "flush")

"""Placements: what each kind puts where, as data, in words, and as the choices of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from circuits import CELLS, AdderCell, Design, DesignError, Placement
from circuits.designs.placement import KINDS, Columns, Grid, Rows, Tiles, Uniform

W, V, TILE = 4, 3, 2
SHAPE = (W, V)
LETTERS = [AdderCell(name, "01101001", "00010111") for name in "abcdefghijklmnopqrstuvwxyz"]
"""Cells that differ in their names only."""

# kind, data, position (i, j) -> the index of its cell in LETTERS: written from the definitions, not from the classes.
EXPECTED: list[tuple[type[Placement], Any, Any]] = [
    (Columns, {"columns": LETTERS[:7]}, lambda i, j: i + j),
    (Rows, {"rows": LETTERS[:5]}, lambda i, j: i),
    (Grid, {"grid": [LETTERS[3 * i : 3 * i + 3] for i in range(5)]}, lambda i, j: 3 * i + j),
    # Rows 1 and 2 of the grid belong to the first tile of two bits, rows 3 and 4 to the second.
    (Tiles, {"tiles": [LETTERS[0:2], LETTERS[2:4]]}, lambda i, j: 2 * (0 if i <= 2 else 1) + (0 if j < 2 else 1)),
    (Uniform, LETTERS[5], lambda i, j: 5),
]
each_kind = pytest.mark.parametrize(("kind", "data", "index"), EXPECTED, ids=lambda value: getattr(value, "kind", ""))


@each_kind
def test_every_position_has_the_cell_that_the_kind_says(kind: type[Placement], data: Any, index: Any) -> None:
    placement = Placement.of(data)
    assert type(placement) is kind
    placement.check(SHAPE, TILE)
    for i in range(1, W + 1):
        for j in range(V):
            assert placement.at(i, j, TILE) is LETTERS[index(i, j)], (i, j)


@each_kind
def test_data_of_a_placement_gives_it_back(kind: type[Placement], data: Any, index: Any) -> None:
    placement = Placement.of(data)
    own = {cell.name: cell for cell in LETTERS}
    assert Placement.of(placement.to_data(), own) == placement
    assert hash(Placement.of(placement.to_data(), own)) == hash(placement)


def test_placements_of_different_kinds_are_different() -> None:
    cell = CELLS["ama1"]
    assert Uniform(((cell,),)) != Columns(((cell,),))
    assert Columns(((cell,) * 5,)) != Rows(((cell,) * 5,))


def test_a_placement_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Placement(((CELLS["ama1"],),))  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ama1", "ama1 everywhere"),
        ({"columns": ["ama5"] * 3 + ["exact"] + ["ama5"] * 3}, "columns 0-2 ama5, 3 exact, 4-6 ama5"),
        ({"rows": ["ama5"] * 4 + ["exact"]}, "rows 0-3 ama5, 4 exact"),
        ({"tiles": [["ama1", "exact"], ["exact", "exact"]]}, "tiles 2 x 2: 3 exact, 1 ama1"),
        ({"grid": [["ama1"] * 3] * 4 + [["ama2"] * 3]}, "grid 5 x 3: 12 ama1, 3 ama2"),
    ],
)
def test_descriptions_join_runs_of_equal_cells(value: Any, text: str) -> None:
    assert Placement.of(value).describe() == text


# As choices of a search.

BANDS = (0, 2, 3)


@pytest.mark.parametrize(
    ("kind", "bands", "choices", "expected"),
    [
        ("columns", BANDS, "abc", {"columns": "aabcccc"}),
        ("rows", BANDS, "abc", {"rows": "aabcc"}),
        ("tiles", (0,), "abcd", {"tiles": ["ab", "cd"]}),
        ("grid", (0,), "abcdefghijkl", {"grid": ["abc", "abc", "def", "ghi", "jkl"]}),
    ],
)
def test_choices_of_a_search_give_a_placement_and_come_back(
    kind: str, bands: tuple[int, ...], choices: str, expected: dict[str, Any]
) -> None:
    cells = named(choices)
    assert KINDS[kind].count_choices(SHAPE, TILE, bands) == len(cells)
    placement = KINDS[kind].from_choices(cells, SHAPE, TILE, bands)
    (rows,) = expected.values()
    assert placement == Placement.of({kind: named(rows) if isinstance(rows, str) else [named(row) for row in rows]})
    assert KINDS[kind].choices_of(placement, SHAPE, TILE, bands) == cells


def named(letters: str) -> list[AdderCell]:
    return [next(cell for cell in LETTERS if cell.name == letter) for letter in letters]


@pytest.mark.parametrize("kind", KINDS)
def test_a_uniform_placement_is_a_choice_of_every_kind(kind: str) -> None:
    count = KINDS[kind].count_choices(SHAPE, TILE, BANDS)
    assert KINDS[kind].choices_of(Placement.of("ama1"), SHAPE, TILE, BANDS) == [CELLS["ama1"]] * count
    same = KINDS[kind].from_choices([CELLS["ama1"]] * count, SHAPE, TILE, BANDS)
    fields: dict[str, Any] = {"format": None, "width": SHAPE, "tile": TILE}
    assert Design(placement=same, **fields).cost_digest == Design(placement="ama1", **fields).cost_digest


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("columns", {"rows": ["ama1"] * 5}),
        ("columns", {"columns": ["ama1"] * 8}),
        ("grid", {"tiles": [["ama1"] * 2] * 2}),
        ("grid", {"grid": [["ama1"] * 3] * 4}),
    ],
)
def test_placements_of_another_kind_or_shape_have_no_choices(kind: str, other: Any) -> None:
    assert KINDS[kind].choices_of(Placement.of(other), SHAPE, TILE, BANDS) is None


@pytest.mark.parametrize(
    ("data", "tile", "message"),
    [
        ({"columns": ["exact"] * 6}, None, "placement columns must have 7 cells for a 4 x 3 array, but got 6"),
        ({"rows": ["exact"] * 4}, None, "placement rows must have 5 cells for a 4 x 3 array, but got 4"),
        ({"grid": [["exact"] * 3] * 4}, None, "placement grid must have 5 x 3 cells for a 4 x 3 array, but got 4 x 3"),
        (
            {"grid": [["exact"] * 3, ["exact"] * 2] * 2},
            None,
            "placement grid must have 5 x 3 cells for a 4 x 3 array, but got 4 x 2/3",
        ),
        ({"tiles": [["exact"]]}, 2, "placement tiles must have 2 x 2 cells for a 4 x 3 array, but got 1 x 1"),
    ],
)
def test_a_placement_of_the_wrong_size_is_refused(
    data: dict[str, Sequence[Any]], tile: int | None, message: str
) -> None:
    with pytest.raises(DesignError) as caught:
        Placement.of(data).check(SHAPE, tile)
    assert str(caught.value) == f"{message}; correct the list."


def test_tiles_need_a_tile_size() -> None:
    with pytest.raises(DesignError) as caught:
        Placement.of({"tiles": [["exact"]]}).check(SHAPE, None)
    assert str(caught.value) == ("placement by tiles needs a tile size, but got tile=None; set tile or place by grid.")

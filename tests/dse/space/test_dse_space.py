"""Search spaces: genomes and their designs, sizes, uniform and random genomes, TOML, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import CELLS, AdderCell, Design, DesignError, UnknownNameError, design
from dse import SPACES, Space, find_space
from dse.space.per_layer import LayerDesigns
from dse.space.search_space import Genome

ARRAYS = SPACES["arrays"]
TINY = Space(
    name="tiny",
    ports=("psc", "scp"),
    bands=(0, 24),
    cells=(CELLS["exact"], CELLS["ama5"]),
)
SIX = tuple(CELLS[name] for name in ("exact", "ama1", "ama2", "ama3", "ama4", "ama5"))
ROWS = Space(name="by rows", granularity="rows", bands=(0, 10, 20), cells=SIX)
TILED_COLUMNS = Space(name="tiled columns", bands=(0, 30, 40), cells=SIX, tile=8)
TILES = Space(name="by tiles", granularity="tiles", tile=9, cells=SIX)
PLACES = Space(name="by places", granularity="cells", cells=SIX, formats=("bfloat16",))
FORMATS = Space(name="formats", bands=(0, 8), cells=SIX, formats=("float32", "float16", "bfloat16"))
LAYERS = Space(name="layers", bands=(0, 24), cells=SIX, layers=(("conv1", 86_400), ("conv2", 153_600)))


def genomes_of(space: Space) -> st.SearchStrategy[Genome]:
    return st.tuples(*(st.integers(0, bound - 1) for bound in space.bounds))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_decode_then_encode_gives_the_same_design(data: st.DataObject) -> None:
    space = data.draw(st.sampled_from((ARRAYS, ROWS, TILED_COLUMNS, TILES, PLACES, FORMATS, LAYERS)))
    decoded = space.decode(data.draw(genomes_of(space)))
    assert space.decode(space.encode(decoded)).cost_digest == decoded.cost_digest


@settings(max_examples=20, deadline=None)
@given(genomes_of(ARRAYS))
def test_a_band_holds_its_cell_in_every_column(genome: Genome) -> None:
    placed = ARRAYS.array(genome).placement
    for column in range(1, 47):
        band = max(k for k, low in enumerate(ARRAYS.bands) if low <= column)
        row = max(1, column - 23)
        assert placed.at(row, column - row, None) is ARRAYS.cells[genome[4 + band]]


def adders(entry: Design) -> dict[tuple[int, int], str]:
    """(row, column of the second operand) -> name of the cell drawn there, final adder's row included."""
    found = {}
    for instance in entry.netlist().instances:
        if isinstance(instance.component, AdderCell) and instance.place is not None:
            found[instance.place] = instance.component.name
    return found


def test_the_cells_of_each_granularity_stand_where_the_genome_says() -> None:
    policies = (1, 3, 0, 1)  # carry-save, the final adder of the same cells
    by_rows = adders(ROWS.array((*policies, 1, 2, 3)))
    assert {i for i, _ in by_rows} == set(range(1, 25))
    for (i, _), name in by_rows.items():
        assert name == ("ama1" if i < 10 else "ama2" if i < 20 else "ama3")
    cells = [(7 * i + j) % 6 for i in range(8) for j in range(8)]
    by_places = adders(PLACES.array((*policies, *cells)))
    assert len(by_places) == 64
    for (i, j), name in by_places.items():
        assert name == SIX[(7 * (i - 1) + j) % 6].name
    # 24 bits in tiles of 9: 3 x 3 tiles, X tile first; row 18 is the last of X tile 1, as the final adder's row.
    placement = TILES.array((*policies, 0, 1, 2, 3, 4, 5, 4, 3, 2)).placement
    assert [placement.at(i, j, 9).name for i, j in ((1, 0), (9, 8), (1, 9), (10, 0), (18, 23), (19, 17), (24, 23))] == [
        *("exact", "exact", "ama1", "ama3", "ama5", "ama3", "ama2"),
    ]
    tiled = TILED_COLUMNS.array((0, 0, 0, 0, 1, 2, 3))
    assert tiled.tile == 8
    assert tiled.placement.describe() == "columns 0-29 ama1, 30-39 ama2, 40-47 ama3"


def test_formats_are_a_gene_and_bands_reach_to_the_end_of_each() -> None:
    designs = [FORMATS.array((0, 0, 0, 0, 1, 2, number)) for number in range(3)]
    assert [entry.format for entry in designs] == ["float32", "float16", "bfloat16"]
    ends = [entry.placement.describe() for entry in designs]
    assert ends == [f"columns 0-7 ama1, 8-{last} ama2" for last in (47, 21, 15)]


def test_every_layer_has_genes_of_its_own() -> None:
    found = LAYERS.decode((0, 0, 0, 0, 5, 5, 1, 3, 0, 0, 4, 4))
    assert isinstance(found, LayerDesigns)
    ama4 = Design(topology="carry_save_array", placement="ama4", ports="scp")
    assert found.layers == (("conv1", 86_400, Design(placement="ama5")), ("conv2", 153_600, ama4))
    assert LAYERS.size == (2 * 6 * 2 * 2 * 6**2) ** 2
    assert LAYERS.describe().endswith("2 bands of 48 columns, for each of layers conv1, conv2 = 2,985,984 genomes")
    uniform = [LAYERS.decode(genome) for genome in LAYERS.uniform()]
    assert all(isinstance(entry, LayerDesigns) and len(set(entry.designs.values())) == 1 for entry in uniform)
    with pytest.raises(DesignError, match="to have a genome, but got axfpm; choose another space"):
        LAYERS.encode(design("axfpm"))


@pytest.mark.parametrize("space", [ARRAYS, ROWS, TILES, PLACES, FORMATS, LAYERS], ids=lambda space: space.name)
def test_every_gene_changes_the_design(space: Space) -> None:
    # A carry-save array with a final adder of cells, so that every place holds adders, none of them exact.
    base = [(1 + k % 5) % bound for k, bound in enumerate(space.bounds)]
    for start in range(0, len(base), len(base) // max(1, len(space.layers))):
        base[start : start + 4] = [1, 1, 0, 1]
    first = space.decode(base).cost_digest
    for place, bound in enumerate(space.bounds):
        changed = list(base)
        changed[place] = (base[place] + 1) % bound
        assert space.decode(changed).cost_digest != first, place


def test_genomes_of_one_design_have_one_digest() -> None:
    # A ripple array has no final adder.
    one, other = TINY.decode((0, 0, 0, 0, 0, 1)), TINY.decode((0, 0, 0, 1, 0, 1))
    assert one.cost_digest == other.cost_digest
    assert one != other


def test_the_default_space_holds_the_published_arrays() -> None:
    for name in ("axfpm", "ama1_array", "ama2_array", "ama3_array", "ama4_array"):
        assert ARRAYS.decode(ARRAYS.encode(design(name))) == design(name)


def test_size_counts_all_genomes() -> None:
    genomes = list(TINY.genomes())
    assert len(genomes) == len(set(genomes)) == TINY.size == 2**6
    assert ARRAYS.size == 2 * 6 * 2 * 2 * 6**8 == 80_621_568
    assert ARRAYS.describe() == (
        "arrays: 2 topologies x 6 ports x 2 half-adder x 2 final-adder policies x 6 cells in each of 8 bands "
        "of 48 columns = 8.06e+07 genomes"
    )
    assert ROWS.describe().endswith("6 cells in each of 3 bands of 25 rows = 10,368 genomes")
    assert TILES.describe().endswith("6 cells in each of 9 tiles of 9 x 9 = 4.84e+08 genomes")
    assert TILED_COLUMNS.describe().endswith("3 bands of 48 columns, tiles of 8 bits = 10,368 genomes")
    assert FORMATS.size == 3 * 2 * 6 * 2 * 2 * 6**2
    # 6^576 is about 10^448, beyond any float.
    everywhere = Space(name="everywhere", granularity="cells", cells=SIX)
    assert everywhere.size == 48 * 6**576
    assert everywhere.describe().endswith("6 cells in each of 576 places of 24 x 24 = 7.88e+449 genomes")


def test_genomes_drawn_at_random_follow_from_the_seed() -> None:
    drawn = list(ROWS.sample(3, 200))
    assert drawn == list(ROWS.sample(3, 200))
    assert drawn != list(ROWS.sample(4, 200))
    assert all(
        set(genes) == set(range(bound)) for genes, bound in zip(zip(*drawn, strict=True), ROWS.bounds, strict=True)
    )


def test_a_user_cell_joins_by_name_and_comes_first_among_the_uniform_arrays() -> None:
    mine = AdderCell("mine", "01010101", "00110011", transistors=4)
    space = TINY.with_cells({"mine": mine})
    assert [cell.name for cell in space.cells] == ["exact", "ama5", "mine"]
    assert space.decode(space.uniform()[0]) == Design(placement=mine)
    assert space.with_cells({"mine": mine}) == space


def test_a_space_and_its_cells_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
[space]
topologies = ["carry_save_array"]
ports = ["scp"]
bands = [0, 30]
cells = ["exact", "lopsided"]
half_adders = ["exact"]

[cells.lopsided]
sum = "B"
carry = "A & ~B"
transistors = 4
"""
    )
    space = find_space(str(path))
    assert space.name == "mine"
    assert space.bounds == (1, 1, 1, 2, 2, 2)
    assert space.cells[1] == AdderCell.from_expressions("lopsided", "B", "A & ~B", transistors=4)
    assert Space.load(path) == space


def test_every_field_comes_from_toml_and_identifies_a_run(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    fields = {
        "name": '"mine"',
        "topologies": '["wallace"]',
        "ports": '["cps"]',
        "granularity": '"tiles"',
        "cells": '["exact", "ama2"]',
        "half_adders": '["exact"]',
        "final_adders": '["cell"]',
        "tile": "4",
        "formats": '["bfloat16"]',
        "layers": "{ conv1 = 86400, fc1 = 48000 }",
    }
    path.write_text("[space]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items()))
    space = Space.load(path)
    assert space == Space(
        name="mine",
        topologies=("wallace",),
        ports=("cps",),
        granularity="tiles",
        cells=(CELLS["exact"], CELLS["ama2"]),
        half_adders=("exact",),
        final_adders=("cell",),
        tile=4,
        formats=("bfloat16",),
        layers=(("conv1", 86_400), ("fc1", 48_000)),
    )
    seen = [json.dumps(space.to_data())]
    for name in fields:
        path.write_text(
            "[space]\n" + "".join(f"{k} = {v}\n" for k, v in fields.items() if k not in (name, "granularity"))
        )
        seen.append(json.dumps(Space.load(path).to_data()))
    assert len(set(seen)) == len(seen)
    # Runs of the first version were recorded with these fields.
    assert set(ARRAYS.to_data()) == {
        *("name", "topologies", "ports", "bands", "cells", "half_adders", "final_adders", "format"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[space]\ntopologies = ["ripple_aray"]\n',
            "[space] in {path}: unknown topology 'ripple_aray'; nearest: ripple_array",
        ),
        (
            '[space]\ncells = ["ama6"]\n',
            "[space] in {path}: unknown cell 'ama6'; nearest: ama5, ama4, ama3.",
        ),
        (
            "[space]\nbands = [0, 48]\n",
            "[space] in {path}: bands of space 'bad' must be ascending product columns from 0 to at most 47, the first "
            "one 0, but got [0, 48]; correct the list.",
        ),
        (
            '[space]\nports = ["psc", "psc"]\n',
            "[space] in {path}: ports of space 'bad' must be one or more distinct values, but got psc, psc; correct "
            "the list.",
        ),
        (
            '[space]\nbands = ["0"]\n',
            "bands of [space] in {path} must be a list of integers, but got ['0']; correct it.",
        ),
        (
            '[space]\ngranularity = "tiles"\n',
            "[space] in {path}: space 'bad' places by tiles and needs a tile size, but has none; add tile = 8.",
        ),
        (
            "[space]\ntile = 25\n",
            "[space] in {path}: 1 <= tile <= 24 must hold in space 'bad', but got 25; correct it.",
        ),
        (
            '[space]\ngranularity = "rows"\nbands = [0, 25]\n',
            "[space] in {path}: bands of space 'bad' must be ascending rows from 0 to at most 24, the first one 0, but "
            "got [0, 25]; correct the list.",
        ),
        (
            '[space]\ngranularity = "cells"\nbands = [0, 4]\n',
            "[space] in {path}: space 'bad' places by cells, which have no bands, but got [0, 4]; leave bands out.",
        ),
        (
            '[space]\ngranularity = "row"\n',
            "[space] in {path}: unknown granularity 'row'; nearest: rows.",
        ),
        (
            '[space]\nformats = ["float32", "bfloat16"]\nbands = [0, 16]\n',
            "[space] in {path}: bands of space 'bad' must be ascending product columns from 0 to at most 15, the first "
            "one 0, but got [0, 16]; correct the list.",
        ),
        (
            '[space]\nformats = ["float32", "bfloat16"]\ngranularity = "cells"\n',
            "[space] in {path}: formats of space 'bad' must have one width where places are cells, but got float32, "
            "bfloat16; make a space of each.",
        ),
        (
            "[space]\nlayers = { conv1 = 0 }\n",
            "[space] in {path}: layers of space 'bad' must have a positive number of products an image, but got "
            "conv1 = 0; correct it.",
        ),
        (
            "[space]\nlayers = [1]\n",
            "layers of [space] in {path} must be conv, linear, all, a list of names or a table of products an image, "
            "but got [1]; correct it.",
        ),
        (
            "[space]\nband = [0]\n",
            "[space] in {path}: unknown field 'band'; nearest: bands, operands.",
        ),
        (
            "[design]\n",
            "{path} must hold [space] and, for cells of its own, [cells.NAME], but got design; correct the headers.",
        ),
    ],
)
def test_a_bad_space_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(DesignError) as caught:
        Space.load(path)
    # The nearest topologies grow with the library.
    assert str(caught.value).startswith(message.format(path=path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TINY.encode(design("axfpm_tiled")),
            "a design must lie in space 'tiny' to have a genome, but got axfpm_tiled; choose another space.",
        ),
        (
            lambda: TINY.with_cells({"ama5": AdderCell("ama5", "01010101", "00110011")}),
            "cells of space 'tiny' must be one or more distinct values, but got exact, ama5, ama5; correct the list.",
        ),
    ],
)
def test_what_does_not_fit_a_space_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        make()
    assert str(caught.value) == message


def test_an_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_space("array")
    assert str(caught.value) == "unknown space 'array'; nearest: arrays, library."

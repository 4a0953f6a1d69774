"""Search spaces: genomes, canonical designs, TOML, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import CELLS, AdderCell, Design, DesignError, UnknownNameError, design
from dse.space import SPACES, Genome, Space, find_space

ARRAYS = SPACES["arrays"]
TINY = Space(
    name="tiny",
    ports=("psc", "scp"),
    bands=(0, 24),
    cells=(CELLS["exact"], CELLS["ama5"]),
)


def genomes_of(space: Space) -> st.SearchStrategy[Genome]:
    return st.tuples(*(st.integers(0, bound - 1) for bound in space.bounds))


@settings(max_examples=30, deadline=None)
@given(genomes_of(ARRAYS))
def test_decode_then_encode_gives_the_same_design(genome: Genome) -> None:
    decoded = ARRAYS.decode(genome)
    assert ARRAYS.decode(ARRAYS.encode(decoded)).cost_digest == decoded.cost_digest


@settings(max_examples=20, deadline=None)
@given(genomes_of(ARRAYS))
def test_a_band_holds_its_cell_in_every_column(genome: Genome) -> None:
    placed = ARRAYS.decode(genome).placement
    for column in range(1, 47):
        band = max(k for k, low in enumerate(ARRAYS.bands) if low <= column)
        row = max(1, column - 23)
        assert placed.at(row, column - row, None) is ARRAYS.cells[genome[4 + band]]


def test_every_gene_changes_the_design() -> None:
    base = (1, 1, 0, 1, 1, 2, 3, 4, 5, 1, 2, 3)
    first = ARRAYS.decode(base).cost_digest
    for place, bound in enumerate(ARRAYS.bounds):
        changed = list(base)
        changed[place] = (base[place] + 1) % bound
        assert ARRAYS.decode(changed).cost_digest != first, place


def test_genomes_of_one_design_have_one_digest() -> None:
    # A ripple array has no final adder.
    one, other = TINY.decode((0, 0, 0, 0, 0, 1)), TINY.decode((0, 0, 0, 1, 0, 1))
    assert one.cost_digest == other.cost_digest
    assert one != other


def test_the_default_space_holds_the_published_arrays() -> None:
    for name in ("axfpm", "heap", "ama1_array", "ama2_array", "ama3_array", "ama4_array"):
        assert ARRAYS.decode(ARRAYS.encode(design(name))) == design(name)


def test_size_counts_all_genomes() -> None:
    genomes = list(TINY.genomes())
    assert len(genomes) == len(set(genomes)) == TINY.size == 2**6
    assert ARRAYS.size == 2 * 6 * 2 * 2 * 6**8 == 80_621_568
    assert ARRAYS.describe() == (
        "arrays: 2 topologies x 6 ports x 2 half-adder x 2 final-adder policies x 6 cells in each of 8 bands "
        "of 48 columns = 8.06e+07 genomes"
    )


def test_a_user_cell_joins_by_name_and_comes_first_among_the_uniform_arrays() -> None:
    mine = AdderCell("mine", "01010101", "00110011", transistors=4)
    space = TINY.with_cells({"mine": mine})
    assert [cell.name for cell in space.cells] == ["exact", "ama5", "mine"]
    assert space.decode(space.uniform()[0]) == Design(placement=mine)
    assert space.with_cells({"mine": mine}) == space


def test_a_space_from_toml(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[space]\ntopologies = ["ripple_aray"]\n',
            "[space] in {path}: the topology must be a known name, but got 'ripple_aray'; nearest: ripple_array",
        ),
        (
            '[space]\ncells = ["ama6"]\n',
            "[space] in {path}: the cell must be a known name, but got 'ama6'; nearest: ama5, ama4, ama3.",
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
            "[space]\nband = [0]\n",
            "[space] in {path}: the field must be a known name, but got 'band'; nearest: bands.",
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
    assert str(caught.value) == "the space must be a known name, but got 'array'; nearest: arrays."

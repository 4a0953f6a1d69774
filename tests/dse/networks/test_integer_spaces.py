"""Spaces of integer arrays, families and libraries: every genome decodes, and impossible spaces are refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import CELLS, Design, DesignError, design
from circuits.cells.compressors import compressor
from circuits.designs.design_library import LIBRARY
from dse import SPACES, Family, Space, library_members
from dse.space.number_formats import number_format
from dse.space.per_layer import LayerDesigns
from dse.space.search_space import Genome

CELL_NAMES = tuple(CELLS[name] for name in ("exact", "ama1", "ama5"))
ARRAYS = Space(
    name="integer arrays",
    topologies=("ripple_array", "dadda"),
    bands=(0, 4, 7),
    cells=CELL_NAMES,
    formats=("int8", "uint8", "uint8x4", "bfloat16"),
    truncate_columns=(0, 3),
)
TILED = Space(name="tiled", cells=CELL_NAMES, formats=("uint8",), tile=(0, 4, 2), topologies=("ripple_array",))
PLACES = Space(name="places", granularity="cells", cells=CELL_NAMES, formats=("uint4x3",), topologies=("ripple_array",))
DRUM = Family("drum", (("k", (3, 4, 5)),))
TREE = Family(
    "compressor_tree",
    (("compressor", ("none", "exact", compressor("momeni1"))), ("final_adder", ("exact", "loa(lower=4)"))),
    bands=(0, 5, 9),
)
FAMILIES = Space(name="families", topologies=(), formats=("uint8", "int8"), families=(DRUM, Family("kulkarni")))
TREES = Space(name="trees", topologies=(), formats=("uint8",), families=(TREE,))
MIXED = Space(
    name="mixed",
    topologies=("ripple_array",),
    ports=("psc",),
    bands=(0, 6),
    cells=CELL_NAMES,
    formats=("uint8",),
    families=(DRUM, TREE),
    library=library_members(("exact", "u8_mae0.43", "u8_wce6"), ("uint8",)),
)
LAYERS = Space(
    name="layers",
    topologies=(),
    formats=("uint8",),
    families=(DRUM,),
    library=library_members(("exact", "builtin"), ("uint8",)),
    layers=(("conv1", 100), ("conv2", 70), ("fc", 8)),
)
EVERY = (ARRAYS, TILED, PLACES, FAMILIES, TREES, MIXED, LAYERS)


def genomes_of(space: Space) -> st.SearchStrategy[Genome]:
    return st.tuples(*(st.integers(0, bound - 1) for bound in space.bounds))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_genome_decodes_to_a_circuit_of_its_format(data: st.DataObject) -> None:
    space = data.draw(st.sampled_from(EVERY))
    decoded = space.decode(data.draw(genomes_of(space)))
    designs = decoded.designs.values() if isinstance(decoded, LayerDesigns) else [decoded]
    for each in designs:
        (entry,) = [number_format(name) for name in space.formats if number_format(name).holds(each)]
        circuit = each.netlist()
        assert tuple(len(bus) for bus in circuit.inputs.values()) == entry.shape == each.shape
        if entry.float_name is None:
            greatest = [(1 << width - each.signed) - 1 for width in each.shape]
            assert each.multiply_integers(*greatest) is not None
    assert space.decode(space.encode(decoded)).cost_digest == decoded.cost_digest


def test_a_design_of_the_space_multiplies_activation_by_weight() -> None:
    """In an array of ama1 cells x w differs from w x; x drives the rows."""
    genome = (0, ARRAYS.ports.index("psc"), 0, 0, 1, 1, 0, 1, 0)
    mine = ARRAYS.decode(genome)
    assert mine == Design(format=None, width=8, placement={"columns": ["ama1"] * 7 + ["exact"] * 9})
    assert mine.multiply_integers(200, 77) != mine.multiply_integers(77, 200)


def test_the_size_of_a_space_counts_only_genes_that_matter() -> None:
    assert MIXED.bounds == (4, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 2, 3)
    assert MIXED.size == 2 * 2 * 9 + 3 + 27 * 2 + 3
    genomes = list(MIXED.genomes())
    assert len(set(genomes)) == len(genomes) == MIXED.size
    assert all(0 <= gene < bound for genome in genomes for gene, bound in zip(genome, MIXED.bounds, strict=True))
    # Three drums, an exact array, and the circuits of the library, each once.
    unsigned = {design(name).cost_digest for name in LIBRARY if name.startswith("u8")}
    assert LAYERS.size == (3 + 1 + len(unsigned)) ** 3
    small = Space(name="s", topologies=(), formats=("uint8",), families=(DRUM,), layers=(("a", 1), ("b", 2)))
    assert list(small.genomes()) == [(one, other) for one in range(3) for other in range(3)]
    assert MIXED.describe() == (
        "mixed: 1 topologies x 1 ports x 2 half-adder x 2 final-adder policies x 3 cells in each of 2 bands of 16 "
        "columns + drum x 3 k + compressor_tree x 3 compressor in each of 3 bands x 2 final_adder + 3 designs of a "
        "library = 96 genomes"
    )


@pytest.mark.parametrize("space", EVERY, ids=lambda space: space.name)
def test_uniform_genomes_belong_to_the_space_and_differ(space: Space) -> None:
    uniform = space.uniform()
    assert len({space.decode(genome).cost_digest for genome in uniform}) > 1
    for genome in uniform:
        decoded = space.decode(genome)
        assert not isinstance(decoded, LayerDesigns) or len(set(decoded.designs.values())) == 1


def test_the_last_band_of_compressors_reaches_the_last_column() -> None:
    made = TREES.array((2, 0, 1, 1))
    assert made.options["compressor"].to_data() == ["momeni1"] * 5 + ["none"] * 4 + ["exact"] * 7
    assert made.final_adder == "loa(lower=4)"


def test_genes_of_other_parts_do_not_change_a_design() -> None:
    drum = [1, *[0] * (len(MIXED.bounds) - 1)]
    drum[7] = 2
    other = list(drum)
    other[1:7], other[8:] = [0, 0, 1, 1, 2, 2], [1, 1, 2, 1, 2]
    assert MIXED.decode(drum) == MIXED.decode(other) == Design("drum", width=8, format=None, options={"k": 5})


def test_the_named_spaces_hold_the_library() -> None:
    library = SPACES["library"]
    assert library.size == 1 + sum(name.startswith("s8") for name in LIBRARY)
    assert library.decode((0,)) == Design(format=None, width=8, signed=True)
    assert library.decode(library.encode(design("s8_mae0.43"))) == design("s8_mae0.43")
    assert SPACES["library_by_layer"].network_layers == ("all",)
    of_layers = SPACES["library_by_layer"].of_layers((("a", 3), ("b", 4)))
    assert of_layers.size == library.size**2
    assert [each.name for each in library.references] == ["exact int8"]


def test_a_space_file_may_hold_every_kind_of_part(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.toml").write_text(design("u8_mae0.43").to_toml().replace("u8_mae0.43", "one"))
    table = ",".join(str((x * y) & ~7) for x in range(16) for y in range(16))
    (tmp_path / "mine" / "two.txt").write_text(table.replace(",", "\n"))
    path = tmp_path / "space.toml"
    path.write_text(
        """
[space]
formats = ["uint8"]
truncate_columns = [0, 2]
topologies = ["dadda"]
tile = [0, 4]
cells = ["exact"]
ports = ["psc"]
library = ["exact", "mine/*.toml", "u8_wce6"]
layers = ["conv1", "fc"]
designs = "one"
operands = "layers"

[space.families.drum]
k = 4
[space.families.compressor_tree]
compressor = ["exact", "mine"]
bands = [0, 8]

[compressors.mine]
sum = "0111111111111111"
carry = "0001011101111111"
"""
    )
    space = Space.load(path)
    assert [each.name for each in space.library] == ["exact uint8", "one", "u8_wce6"]
    assert [family.topology for family in space.families] == ["drum", "compressor_tree"]
    assert space.families[1].choices[0][1][1].carry == "0001011101111111"
    assert (space.network_layers, space.designs, space.operands) == (("conv1", "fc"), "one", "layers")
    assert space.tile == (0, 4)
    assert space.of_layers((("conv1", 5), ("fc", 2))).layers == ()
    assert space.describe().startswith("space: 1 topologies x 1 ports x ")
    assert space.describe().endswith(f", for layers conv1, fc = {space.size:,} genomes")
    data = space.to_data()
    assert [name for name, _ in data["library"]] == ["exact uint8", "one", "u8_wce6"]
    assert (data["designs"], data["operands"], data["tile"], data["truncate_columns"]) == (
        "one",
        "layers",
        [0, 4],
        [0, 2],
    )
    path.write_text('[space]\nlibrary = ["builtin"]\n')
    assert Space.load(path).formats == ("int8",)
    assert Space.load(path).topologies == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('formats = ["int1"]', "an integer format must have 2 to 64 bits, but got 'int1'; correct it."),
        ('formats = ["int8"]\ntile = 4', "space 'bad' holds a design that cannot be made: "),
        ('formats = ["uint8"]\ntruncate_columns = [0, 16]', "space 'bad' holds a design that cannot be made: "),
        ('formats = ["uint8"]\ntile = [2, 9]', "1 <= tile <= 8 must hold in space 'bad', but got 9; correct it."),
        (
            'formats = ["uint8", "uint4"]\nbands = [0, 8]',
            "bands of space 'bad' must be ascending product columns from 0 ",
        ),
        (
            'formats = ["int8", "uint8"]\nlayers = "all"',
            "formats of space 'bad' must be one where each layer has a design, since the network has one kind of codes",
        ),
        ('library = ["nosuch/*.v"]', "library source 'nosuch/*.v' must match a file in {folder}, but matches none; "),
        ('library = ["u8_wce6"]', "designs of the library must have format int8, but u8_wce6 of 'u8_wce6' is of "),
        (
            'library = ["heap"]',
            "designs of the library must have format int8, but heap (reconstructed) of 'heap' is of ",
        ),
        ('library = ["exact"]\ndesigns = "two"', "unknown choice of designs 'two'; "),
        ('library = ["exact"]\noperands = "mine"', "unknown choice of operands 'mine'; "),
        ("[space.families.drumm]\nk = 4", "unknown topology 'drumm'; nearest: drum"),
        ("[space.families.drum]\nm = 4", "unknown option of 'drum' 'm'; "),
        ("[space.families.drum]\nk = [4, 4]", "k of drum in space 'bad' must be one or more distinct values, but got "),
        ("[space.families.drum]\nk = [4, 9]", "space 'bad' holds a design that cannot be made: 3 <= k <= 8 must hold "),
        ("[space.families.drum]\nbands = [0, 4]", "bands of drum in space 'bad' are for compressors, but it has none "),
        (
            '[space.families.compressor_tree]\ncompressor = ["exact", "lin"]\nbands = [0, 16]',
            "bands of compressor_tree in space 'bad' must be ascending product columns from 0 to at most 15, ",
        ),
        ("topologies = []", "space 'bad' must have topologies, families or a library, but has none; add one."),
    ],
)
def test_a_bad_space_is_refused_when_it_is_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(f"[space]\n{text}\n")
    with pytest.raises(DesignError) as caught:
        Space.load(path)
    assert str(caught.value).startswith(f"[space] in {path}: {message.format(folder=tmp_path)}")

"""Designs: TOML round trips, digests, placements, and every refusal word for word."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import CELLS, NAMED, AdderCell, Design, DesignError, Placement, UnknownNameError, design, find_design
from circuits.commands import main as cli
from circuits.designs.headings import told_apart
from circuits.multipliers import PORTS

ROOT = Path(__file__).parents[3]
MINE = AdderCell("mine", "01110010", "00011011", transistors=9, source='notes, p. 3 "quoted" \\ ünï')
OTHER = AdderCell("other.cell-2", "10110001", "01001101", delay_ps=1.25, energy_fj=0.5, area_um2=2.0)
CELL_POOL = (CELLS["exact"], CELLS["ama1"], CELLS["ama5"], MINE, OTHER)


@pytest.mark.parametrize("name", NAMED)
def test_named_designs_survive_toml(name: str) -> None:
    multiplier = design(name)
    back = Design.from_toml(multiplier.to_toml())
    assert back == multiplier
    assert (back.name, back.digest, back.cost_digest) == (name, multiplier.digest, multiplier.cost_digest)


def placements(w: int, v: int) -> st.SearchStrategy[object]:
    cells = st.sampled_from(CELL_POOL)

    def row(count: int) -> st.SearchStrategy[list[AdderCell]]:
        return st.lists(cells, min_size=count, max_size=count)

    return st.one_of(
        cells,
        row(w + v).map(lambda entries: {"columns": entries}),
        row(w + 1).map(lambda entries: {"rows": entries}),
        st.lists(row(v), min_size=w + 1, max_size=w + 1).map(lambda entries: {"grid": entries}),
    )


@st.composite
def designs(draw: st.DrawFn) -> Design:
    w, v = draw(st.integers(2, 5)), draw(st.integers(2, 5))
    return Design(
        topology=draw(st.sampled_from(["ripple_array", "carry_save_array"])),
        format=None,
        width=(w, v),
        placement=draw(placements(w, v)),
        ports=draw(st.sampled_from(PORTS)),
        half_adders=draw(st.sampled_from(["cell", "exact"])),
        final_adder=draw(st.sampled_from(["cell", "exact"])),
        tile=draw(st.sampled_from([None, *range(1, min(w, v) + 1)])),
        truncate_columns=draw(st.integers(0, w + v - 1)),
        name=draw(st.sampled_from([None, "a design", 'quo"ted \\ ü'])),
    )


@settings(derandomize=True, deadline=None, max_examples=150)
@given(designs())
def test_random_designs_survive_toml(multiplier: Design) -> None:
    back = Design.from_toml(multiplier.to_toml())
    assert back == multiplier
    assert hash(back) == hash(multiplier)
    assert back.name == multiplier.name
    assert (back.digest, back.cost_digest) == (multiplier.digest, multiplier.cost_digest)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(designs())
def test_every_placement_lowers_to_its_grid(multiplier: Design) -> None:
    """DESIGN: the more special forms lower to the grid, so a grid of the same cells is the same circuit."""
    w, v = multiplier.shape
    grid = [[multiplier.placement.at(i, j, multiplier.tile) for j in range(v)] for i in range(w + 1)]
    same = replace(multiplier, placement=Placement.of({"grid": grid}))
    assert same.digest == multiplier.digest
    assert same.cost_digest == multiplier.cost_digest


def test_tiles_of_a_placement_are_blocks_of_its_grid() -> None:
    """tiles[i][j]: X tile i, Y tile j; a tile of one kind is that block of the grid."""
    tiles = [["ama5", "exact"], ["ama1", "ama4"]]
    multiplier = Design(format=None, width=(4, 6), tile=3, placement={"tiles": tiles})
    x, y = np.meshgrid(np.arange(16), np.arange(64), indexing="ij")
    expected = np.zeros_like(x)
    for i in range(2):
        for j in range(2):
            slices = (x >> 3 * i) & (7 if i == 0 else 1), (y >> 3 * j) & 7
            if i == 0:
                tile_product = (
                    Design(format=None, width=3, placement=tiles[i][j]).multiply_integers(*slices).astype(np.int64)
                )
            else:
                tile_product = slices[0] * slices[1]  # a tile of one row holds no adder
            expected += tile_product << (3 * i + 3 * j)
    np.testing.assert_array_equal(multiplier.multiply_integers(x, y), expected)
    assert Design.from_toml(multiplier.to_toml()) == multiplier


def test_digest_ignores_names_and_unused_entries() -> None:
    multiplier = design("axfpm")
    renamed = AdderCell("wires", "00110011", "00001111", transistors=8)
    assert Design(placement=renamed, name="mine").digest == multiplier.digest
    assert replace(multiplier, final_adder="cell").digest == multiplier.digest  # a ripple array has none
    grid = [["ama5"] * 24 for _ in range(25)]
    grid[0] = ["exact"] * 24  # row 0 holds no adder
    grid[24] = ["ama1"] * 24  # nor has a ripple array a final row
    unused = Design(placement={"grid": grid})
    assert unused != multiplier
    assert (unused.digest, unused.cost_digest) == (multiplier.digest, multiplier.cost_digest)


def test_digest_depends_on_every_other_field() -> None:
    base = Design(topology="carry_save_array", placement=MINE)
    variants = [
        base,
        *(replace(base, ports=ports) for ports in PORTS if ports != "psc"),
        replace(base, half_adders="exact"),
        replace(base, final_adder="cell"),
        replace(base, tile=4),
        replace(base, tile=8),
        replace(base, truncate_columns=1),
        replace(base, rounding="nearest_even"),
        replace(base, normalization="released"),
        replace(base, subnormals="ieee"),
        replace(base, topology="ripple_array"),
        replace(base, format=None),
        Design(topology="carry_save_array", placement=MINE, format="bfloat16"),
        replace(base, placement=Placement.of("exact")),
    ]
    assert len({multiplier.digest for multiplier in variants}) == len(variants)


def test_cost_digest_distinguishes_cells_that_behave_alike() -> None:
    """DESIGN: InXA3 and AMA2 behave alike and cost differently."""
    one, other = Design(placement="inxa3"), Design(placement="ama2")
    assert one.digest == other.digest
    assert one.cost_digest != other.cost_digest
    slow = replace(MINE, delay_ps=3.0)
    assert Design(placement=MINE).cost_digest != Design(placement=slow).cost_digest
    # A user's cell that behaves like a library cell is estimated; the library cell is characterised.
    twin = AdderCell("wires", "00110011", "00001111", transistors=8)
    assert Design(placement=twin).cost_digest != design("axfpm").cost_digest
    assert Design(placement=replace(twin, name="other")).cost_digest == Design(placement=twin).cost_digest


# Golden: stores are keyed by these. A change invalidates every stored score and belongs in the changelog.
DIGESTS = {
    "exact": "08caf09a6ca75c608197852ad68c5233b5f8311d8d86b8d55db73cbec127eebc",
    "axfpm_tiled": "7c2297bc8ffad4457acede62b50f4d4c9b38d97a4437e1688026b9b187b8f789",
}


def test_digests_are_stable_across_processes_and_versions() -> None:
    for name, digest in DIGESTS.items():
        assert design(name).digest == digest
    code = "from circuits import design; print(design('axfpm_tiled').digest, design('axfpm_tiled').cost_digest)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.split() == [DIGESTS["axfpm_tiled"], design("axfpm_tiled").cost_digest]


def test_equality_is_by_content() -> None:
    assert design("axfpm") == design("ama5_array")
    assert hash(design("axfpm")) == hash(design("ama5_array"))
    assert Design(placement=CELLS["ama5"]) == Design(placement=Placement.of("ama5")) == design("axfpm")
    assert Design(placement=MINE) != design("axfpm")
    assert len({design("axfpm"), design("ama5_array"), design("exact")}) == 2


def test_defaults_follow_the_format() -> None:
    assert Design().shape == (24, 24)
    assert Design(format="bfloat16").shape == (8, 8)
    assert Design(format="e5m7").shape == (8, 8)
    assert (Design().subnormals, Design(format="float16").subnormals) == ("flush", "ieee")
    assert Design(format=None, width=7).shape == (7, 7)
    assert design("exact").rounding == "nearest_even"
    assert {multiplier.rounding for name, multiplier in NAMED.items() if name != "exact"} == {"truncate"}


def test_labels_carry_notes_of_named_designs_or_a_digest() -> None:
    assert design("heap").label == "heap (reconstructed)"
    assert replace(design("heap"), ports="psc").label == "heap"
    assert design("axfpm").label == "axfpm"
    unnamed = Design(placement=MINE)
    assert unnamed.label == unnamed.digest[:10]


def test_describe_names_topology_ports_tile_cells_and_rounding() -> None:
    described = design("axfpm_tiled").describe()
    assert described["topology"] == "ripple_array"
    assert described["ports (A,B,Cin)"] == "partial product, sum, carry"
    assert described["tile"] == "4 x 4, added exactly"
    assert described["rounding"] == "truncate"
    assert described["cells"] == "ama5 sum 00110011 carry 00001111"
    columns = Design(placement={"columns": ["ama5"] * 8 + ["exact"] * 40})
    assert columns.describe()["placement"] == "columns 0-7 ama5, 8-47 exact"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"topology": "ripple"},
            "unknown topology 'ripple'; nearest: ripple_array.",
        ),
        ({"ports": "abc"}, "unknown ports 'abc'; available: cps, csp, pcs, psc, scp, spc."),
        (
            {"half_adders": "none"},
            "unknown half_adders 'none'; available: cell, exact.",
        ),
        ({"rounding": "up"}, "unknown rounding 'up'; available: nearest_even, truncate."),
        ({"placement": "ama9"}, "unknown cell 'ama9'; nearest: ama5, ama4, ama3."),
        (
            {"width": 16},
            "width must be 24 for format float32 (hidden one included), but got 16; leave width out or change the "
            "format.",
        ),
        (
            {"format": None},
            "an integer design (format=None) must have a width, but got None; give width=8, say.",
        ),
        ({"format": None, "width": 1}, "2 <= width <= 64 must hold, but got 1; choose an integer in that range."),
        ({"format": None, "width": 65}, "2 <= width <= 64 must hold, but got 65; choose an integer in that range."),
        ({"format": None, "width": (8, 1)}, "2 <= width <= 64 must hold, but got 1; choose an integer in that range."),
        ({"format": None, "width": "8"}, "width must be an integer or a pair (w, v), but got '8'; correct it."),
        ({"tile": 0}, "1 <= tile <= 24 must hold, but got 0; choose an integer in that range."),
        ({"tile": 25}, "1 <= tile <= 24 must hold, but got 25; choose an integer in that range."),
        ({"tile": True}, "1 <= tile <= 24 must hold, but got True; choose an integer in that range."),
        (
            {"truncate_columns": 48},
            "0 <= truncate_columns <= 47 must hold, but got 48; choose an integer in that range.",
        ),
        (
            {"name": "a\nb"},
            "a design name must be 1 to 100 printable characters, but got 'a\\nb'; rename it.",
        ),
        (
            {"placement": {"columns": ["exact"] * 47}},
            "placement columns must have 48 cells for a 24 x 24 array, but got 47; correct the list.",
        ),
        (
            {"placement": {"rows": ["exact"] * 24}},
            "placement rows must have 25 cells for a 24 x 24 array, but got 24; correct the list.",
        ),
        (
            {"placement": {"grid": [["exact"] * 24] * 24}},
            "placement grid must have 25 x 24 cells for a 24 x 24 array, but got 24 x 24; correct the list.",
        ),
        (
            {"placement": {"tiles": [["exact"]]}},
            "placement by tiles needs a tile size, but got tile=None; set tile or place by grid.",
        ),
        (
            {"placement": {"tiles": [["exact"]]}, "tile": 12},
            "placement tiles must have 2 x 2 cells for a 24 x 24 array, but got 1 x 1; correct the list.",
        ),
        (
            {"placement": {"columns": [["exact"]]}},
            "a placement entry must be a cell or its name, but got ['exact']; correct it.",
        ),
        (
            {"placement": {"column": ["exact"]}},
            "placement must be a cell, its name or one of {columns, rows, tiles, grid} with a list of cells, but got "
            "{'column': ['exact']}; correct it.",
        ),
        (
            {"placement": {"columns": "exact"}},
            "placement columns must be a list of cells, but got 'exact'; correct it.",
        ),
        (
            {"placement": {"columns": [MINE, replace(MINE, transistors=1), *["exact"] * 46]}},
            "cells of one design must have distinct names, but two cells are named 'mine'; rename one.",
        ),
        (
            {"signed": True},
            "a signed design must be an integer design, because mantissas are unsigned, but got format='float32'; set "
            "format=None and a width, or signed=False.",
        ),
    ],
)
def test_fields_that_name_no_multiplier_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DesignError) as caught:
        Design(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize("fmt", ["float33", "e9m3", "e8m24", "e1m3", "e\u00b2m3", "em", 5, ""])
def test_unknown_formats_are_refused(fmt: object) -> None:
    with pytest.raises(DesignError):
        Design(format=fmt)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[design", "the TOML text must be TOML, but: "),
        ("", "the TOML text must hold [design] and, for cells of its own, [cells.NAME]"),
        ("[desing]\n", "the TOML text must hold [design] and, for cells of its own, [cells.NAME]"),
        (
            '[design]\ntopolgy = "x"\n',
            "[design] in the TOML text: unknown field 'topolgy'; nearest: topology.",
        ),
        (
            '[design]\nplacement = "mine"\n',
            "[design] in the TOML text: unknown cell 'mine'; ",
        ),
        (
            '[design]\nplacement = "exact"\n[cells.exact]\nsum = "A"\ncarry = "B"\n',
            "[design] in the TOML text: [cells.exact] in the TOML text must not reuse the reserved name of a library",
        ),
        ("[design]\nwidth = [24, 24, 24]\n", "[design] in the TOML text: width must be an integer or a pair (w, v),"),
        ("[design]\nformat = 5\n", "[design] in the TOML text: unknown format '5'; available: "),
        ("[design]\ntopology = [1]\n", "[design] in the TOML text: unknown topology '[1]'; "),
        ("[design]\nplacement = 7\n", "[design] in the TOML text: placement must be a cell, its name or one of"),
    ],
)
def test_errors_in_toml_name_the_table(text: str, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        Design.from_toml(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_design_written_by_hand_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[design]\nplacement = "mine"\nports = "scp"\n[cells.mine]\nsum = "A ^ B"\ncarry = "C"\n', "utf-8")
    multiplier = find_design(str(path))
    assert multiplier == Design(placement=AdderCell.from_expressions("mine", "A ^ B", "C"), ports="scp")


def test_command_lines_name_designs_by_name_cell_or_file(tmp_path: Path) -> None:
    assert find_design("axfpm") is design("axfpm")
    assert find_design("axa1_array") == Design(placement="axa1")
    assert find_design("axa1_array").name == "axa1_array"
    assert find_design("mine_array", {"mine": MINE}).placement.at(1, 1, None) is MINE
    path = tmp_path / "a.toml"
    path.write_text('[design]\nplacement = "mine"\n', encoding="utf-8")
    assert find_design(str(path), {"mine": MINE}) == Design(placement=MINE)
    with pytest.raises(UnknownNameError) as caught:
        find_design("axfpn")
    assert str(caught.value).startswith("unknown design 'axfpn'; nearest: axfpm")
    with pytest.raises(UnknownNameError) as caught:
        find_design("mine", {"mine": MINE})
    assert str(caught.value) == (
        "a design must be named, but 'mine' is a cell; mine_array is the ripple array of it, a .toml file any other."
    )
    with pytest.raises(DesignError, match="must be a readable file, but: No such file or directory; check the path"):
        find_design(str(tmp_path / "none.toml"))


def test_an_embedded_cell_must_not_shadow_the_library() -> None:
    multiplier = Design(placement=AdderCell("ama5", "01101001", "00010111"))
    with pytest.raises(DesignError) as caught:
        multiplier.to_toml()
    assert str(caught.value) == (
        "an embedded cell must not reuse the reserved name of a library cell, but got 'ama5'; rename it."
    )


def test_products_of_unsuitable_operands_are_refused() -> None:
    with pytest.raises(DesignError) as caught:
        Design(format=None, width=8).multiply(1.0, 2.0)
    assert str(caught.value) == "multiply needs a float format, but got format=None; use multiply_integers."
    with pytest.raises(DesignError) as caught:
        design("axfpm").multiply_integers([2**24], [1])
    assert str(caught.value) == "0 <= x < 2^24 must hold, but got 16777216; mask the operand."
    with pytest.raises(DesignError) as caught:
        design("axfpm").multiply_integers([1], [-1])
    assert str(caught.value) == "0 <= y < 2^24 must hold, but got -1; mask the operand."


def test_a_pickled_design_gets_the_hash_of_the_process_that_reads_it() -> None:
    multiplier = Design(placement={"columns": ["ama1"] * 48})
    hash(multiplier)
    code = (
        "import pickle, sys; from circuits import Design;"
        "multiplier = pickle.loads(sys.stdin.buffer.read());"
        "print(hash(multiplier) == hash(Design(placement={'columns': ['ama1'] * 48})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(multiplier), capture_output=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == [b"True"]


def own_circuit() -> Design:
    """A design given as a netlist, whose cells have positions; one of them is not in the library."""
    odd = AdderCell("odd", "01101001", "00110011", transistors=12)
    source = Design(format=None, width=3, topology="carry_save_array", placement={"rows": [odd] * 2 + ["ama1"] * 2})
    return Design(netlist=source.netlist(), name="mine")


@pytest.mark.parametrize(
    "multiplier",
    [
        design("axfpm_tiled"),
        Design(format=None, width=(3, 4), signed=True, placement={"rows": ["ama1"] * 4}),
        own_circuit(),
    ],
    ids=["named", "integers", "own circuit"],
)
def test_a_design_is_plain_data_to_dataclasses(multiplier: Design) -> None:
    """asdict and astuple end, without a RecursionError; copies and pickles are equal to the design."""
    as_dict = dataclasses.asdict(multiplier)
    assert list(as_dict) == [item.name for item in dataclasses.fields(Design)]
    assert (as_dict["topology"], as_dict["ports"], as_dict["name"]) == (
        multiplier.topology,
        multiplier.ports,
        multiplier.name,
    )
    assert dataclasses.astuple(multiplier)[0] == multiplier.topology
    if multiplier.circuit is None:
        assert as_dict["circuit"] is None
    else:
        assert as_dict["circuit"]["inputs"] == dict(multiplier.circuit.inputs)
        assert len(as_dict["circuit"]["instances"]) == len(multiplier.circuit.instances)
    again = replace(multiplier, name="again")
    assert again == multiplier
    assert again.name == "again"
    assert (again.digest, again.cost_digest) == (multiplier.digest, multiplier.cost_digest)
    assert copy.deepcopy(multiplier) == copy.copy(multiplier) == pickle.loads(pickle.dumps(multiplier)) == multiplier
    assert copy.deepcopy(multiplier).digest == multiplier.digest


def test_the_circuit_is_a_field_and_netlist_a_method() -> None:
    circuit = own_circuit().netlist()
    by_field, by_name = Design(circuit=circuit), Design(netlist=circuit)
    assert by_field == by_name
    assert by_field.circuit is by_field.netlist() is by_field.imported
    assert Design(netlist=None) == Design(circuit=None) == Design()
    assert Design().circuit is None
    assert "netlist" not in repr(Design())
    assert inspect.ismethod(Design().netlist)
    assert inspect.signature(Design).parameters["circuit"].default is None
    other = Design(format=None, width=3).netlist()
    assert replace(by_field, netlist=other) == replace(by_field, circuit=other) == Design(circuit=other)
    for name in ("circuit", "netlist"):
        with pytest.raises(DesignError, match="netlist must be a Netlist or None, but got 5; see netlist_from_verilog"):
            Design(**{name: 5})
    with pytest.raises(DesignError, match="unknown field 'circuit'"):
        Design.from_toml('[design]\ncircuit = "x"\n')


def test_the_format_is_float32_unless_a_circuit_of_its_own_or_the_caller_says_otherwise() -> None:
    circuit = Design(format="e5m4").netlist()
    assert Design().format == "float32"
    assert Design(circuit=circuit).format is None
    assert Design(circuit=circuit, format="e5m4").format == "e5m4"
    assert Design(format=None, width=5).format is None
    with pytest.raises(DesignError, match="width must be that of the imported circuit, 5 x 5, but got 24 x 24"):
        Design(circuit=circuit, format="float32")
    assert "float32, or None" in str(inspect.signature(Design).parameters["format"])


def test_a_netlist_is_read_only() -> None:
    netlist = Design(format=None, width=3).netlist()
    for change in (
        lambda: netlist.inputs.update(x=(2,)),
        lambda: netlist.outputs.pop("product"),
        lambda: netlist.inputs.__setitem__("x", (2,)),
        lambda: netlist.inputs.clear(),
    ):
        with pytest.raises(TypeError, match="the buses of a netlist are read-only; build another netlist"):
            change()
    assert copy.deepcopy(netlist) == netlist
    with pytest.raises(dataclasses.FrozenInstanceError):
        netlist.name = "other"  # type: ignore[misc]


def test_labels_of_different_designs_with_one_name_differ() -> None:
    """Different designs of one name get the digest into their labels, or the cost digest where they behave alike."""
    one, two = (Design(format=None, width=4, placement=cell, name="mine") for cell in ("ama1", "ama5"))
    dear, cheap = (
        Design(format=None, width=4, placement=AdderCell("x", "01101001", "00110011", transistors=count), name="x")
        for count in (8, 80)
    )
    assert dear.digest == cheap.digest
    given = [one, design("exact"), two, one, dear, cheap, design("heap"), design("heap")]
    named = told_apart(given)
    assert [multiplier.digest for multiplier in named] == [multiplier.digest for multiplier in given]
    assert [multiplier.cost_digest for multiplier in named] == [multiplier.cost_digest for multiplier in given]
    assert [multiplier.label for multiplier in named] == [
        f"mine [{one.digest[:10]}]",
        "exact",
        f"mine [{two.digest[:10]}]",
        f"mine [{one.digest[:10]}]",
        f"x [{dear.cost_digest[:10]}]",
        f"x [{cheap.cost_digest[:10]}]",
        "heap (reconstructed)",
        "heap (reconstructed)",
    ]
    long = [replace(multiplier, name="n" * 100) for multiplier in (one, two)]
    assert len({multiplier.label for multiplier in told_apart(long)}) == 2


def test_commands_print_different_headings_for_designs_of_one_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for cell in ("ama1", "ama5"):
        file = tmp_path / f"{cell}.toml"
        file.write_text(Design(format=None, width=4, placement=cell, name="mine").to_toml())
        files.append(str(file))
    headings = [f"mine [{Design.load(file).digest[:10]}]" for file in files]
    for arguments in (
        ["show", *files, "--cost-samples", "8"],
        ["show", *files, "--cost-samples", "8", "--format", "csv"],
        ["show", *files, "--cost-samples", "8", "--format", "json"],
        ["metrics", *files],
        ["metrics", *files, "--format", "csv"],
        ["metrics", *files, "--format", "json"],
        ["metrics", *files, "--surface", "2", "--format", "csv"],
    ):
        assert cli(arguments) == 0
        printed = capsys.readouterr().out
        assert all(heading in printed for heading in headings), arguments

"""Drawings of arrays, trees and schematics: what stands where, what is refused, and the files."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from circuits import Design, DesignError, design, netlist_from_verilog, to_verilog
from circuits.commands import main
from circuits.drawing.array_drawing import draw_array
from circuits.drawing.array_places import places
from circuits.drawing.cell_styles import GATES_ONLY
from circuits.drawing.design_drawing import drawing_of, save_drawing, view_of
from circuits.drawing.dot_diagram import dot_drawing
from circuits.drawing.drawing_record import Box, Dots, Drawing, Lines
from circuits.drawing.level_drawing import MOST_GATES, level_drawing, levels_of
from circuits.netlists.gates import HALF_ADDER
from circuits.netlists.netlist import NetlistBuilder

MIXED = Design(
    topology="carry_save_array",
    format=None,
    width=(4, 3),
    placement={"columns": ["ama1"] * 3 + ["ama4"] * 2 + ["exact"] * 2},
    half_adders="exact",
    final_adder="cell",
    name="mixed $x$",
)

AMA4 = Design(topology="carry_save_array", placement="ama4", ports="scp", name="saved")


def legend(entry: Design) -> list[str]:
    return [text.get_text() for text in draw_array(entry).legends[0].get_texts()]


def test_places_are_rows_and_product_columns() -> None:
    spots = places(MIXED.netlist())
    assert spots[0, 0] == (GATES_ONLY,)
    assert spots[1, 2] == (HALF_ADDER.name,)
    assert spots[2, 2] == ("ama1",)
    assert spots[3, 4] == ("ama4",)
    assert set(spots) == {(i, i + j) for i in range(5) for j in range(3)}


def test_every_cell_is_drawn_once_with_the_highest_column_on_the_left() -> None:
    figure = draw_array(MIXED)
    axes = figure.axes[0]
    squares = [patch for patch in axes.patches if patch.get_width() == 1]  # type: ignore[attr-defined]
    assert len(squares) == 15
    left, right = axes.get_xlim()
    top, bottom = axes.get_ylim()[::-1]
    assert (left, right, top, bottom) == (6.5, -0.5, -0.5, 4.5)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3", "final"]
    colours = {patch.get_facecolor() for patch in squares}
    assert len(colours) == len(legend(MIXED)) == 5


def test_the_legend_has_counts_and_the_title_has_the_definition() -> None:
    assert legend(AMA4) == ["ama4: 552", "exact: 24", f"{GATES_ONLY}: 24"]
    texts = [text.get_text().replace("\u00a0", " ") for text in draw_array(AMA4).texts]
    assert texts[0] == "saved"
    assert texts[1].startswith(
        "topology: carry_save_array; width: 24 x 24; format: float32; placement: ama4 everywhere;"
    )
    assert draw_array(design("heap")).texts[0].get_text().replace("\u00a0", " ") == "heap (reconstructed)"
    assert legend(design("axfpm_tiled"))[-1] == "not drawn: 262 exact adders of tile sums"


@pytest.mark.parametrize("topology", ["ripple_array", "carry_save_array", "wallace", "dadda", "booth"])
def test_every_adder_with_a_place_is_counted(topology: str) -> None:
    entry = Design(topology=topology, format=None, width=6, placement={"columns": ["ama1"] * 6 + ["exact"] * 6})
    drawn = dict(text.split(": ") for text in legend(entry))
    adders = {name: str(n) for name, n in entry.netlist().count().items() if name in ("ama1", "exact", "half_adder")}
    assert {name: count for name, count in drawn.items() if name != GATES_ONLY} == adders


def test_files_are_deterministic_png_and_svg(tmp_path: Path) -> None:
    for suffix in (".png", ".svg"):
        paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
        for path in paths:
            save_drawing(MIXED, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (tmp_path / "0.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(tmp_path / "0.svg").getroot().tag.endswith("svg")


def test_unknown_suffixes_and_views_that_a_design_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DesignError) as caught:
        save_drawing(MIXED, tmp_path / "a.gif")
    assert str(caught.value) == (
        f"a drawing's file must end in .png or .svg, but got '{tmp_path / 'a.gif'}'; rename it."
    )
    entry = Design(netlist=netlist_from_verilog(to_verilog(MIXED), where="mixed.v"), name="mine")
    with pytest.raises(DesignError) as caught:
        save_drawing(entry, tmp_path / "a.png", "places")
    assert str(caught.value) == (
        "a drawing of an array needs cells with rows and columns, but mine is an imported circuit without; draw it by "
        "levels."
    )
    with pytest.raises(DesignError, match="needs a tree that compresses columns, but mixed"):
        save_drawing(MIXED, tmp_path / "a.png", "stages")
    assert not [*tmp_path.iterdir()]
    save_drawing(entry, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 1000


TREES = [
    Design(topology=topology, format=None, width=width, signed=signed, half_adders=half_adders, placement=placement)
    for topology, width, signed, half_adders, placement in (
        ("dadda", 8, False, "exact", {"columns": ["ama1"] * 8 + ["exact"] * 8}),
        ("wallace", (5, 7), True, "cell", "ama4"),
        ("booth", 8, True, "cell", {"columns": ["ama3"] * 7 + ["exact"] * 9}),
        ("booth", 7, False, "exact", "exact"),
        ("compressor_tree", 8, False, "cell", "exact"),
        ("truncated", 6, False, "cell", "exact"),
        ("approximate_booth", 8, True, "cell", "exact"),
    )
]


@pytest.mark.parametrize("entry", TREES, ids=lambda entry: entry.topology)
def test_a_dot_diagram_has_the_bits_and_cells_of_every_stage(entry: Design) -> None:
    drawing = dot_drawing(entry)
    assert view_of(entry) == "stages"
    frames = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    dots = [shape for shape in drawing.shapes if isinstance(shape, Dots)]
    # Every adder cell of the netlist is drawn once, under its name; compressors are drawn whole.
    adders = {
        name: n
        for name, n in entry.netlist().count().items()
        if name in ("ama1", "ama3", "ama4", "exact", "half_adder")
    }
    counts = {name: count for name, _, count in drawing.legend}
    if entry.topology != "compressor_tree":
        assert counts == adders
    assert len(frames) == sum(counts.values())
    # A frame holds as many dots as it is high, and all of them lie in one column.
    centres = {(dot.x, dot.y + k) for dot in dots for k in range(dot.count)}
    for frame in (frame for frame in frames if frame.rounded):
        inside = [
            (x, y) for x, y in centres if frame.x < x < frame.x + frame.width and frame.y < y < frame.y + frame.height
        ]
        assert len(inside) == round(frame.height + 0.2)
    # Everything lies within the drawing.
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in centres)


def test_the_bits_of_a_dadda_tree_fall_by_its_heights_and_no_frame_shares_a_bit() -> None:
    drawing = dot_drawing(Design(topology="dadda", format=None, width=8))
    titles = [shape.text for shape in drawing.shapes if hasattr(shape, "text") and not shape.text.isdecimal()]
    # Dadda 1965: 8, 6, 4, 3, 2.
    assert titles == [
        "stage 1: 8 bits high",
        "stage 2: 6 bits high",
        "stage 3: 4 bits high",
        "stage 4: 3 bits high",
        "final adder: a ripple of exact cells",
    ]
    frames = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    for k, one in enumerate(frames):
        for other in frames[k + 1 :]:
            apart = one.x != other.x or one.y + one.height <= other.y or other.y + other.height <= one.y
            assert apart


def test_a_compressor_and_another_final_adder_are_named() -> None:
    drawing = dot_drawing(Design(topology="compressor_tree", format=None, width=8, final_adder="loa(lower=4)"))
    assert {name for name, _, _ in drawing.legend} == {"4:2 compressor, exact", "exact"}
    assert any(getattr(shape, "text", "") == "loa(lower=4), over all columns" for shape in drawing.shapes)


def test_a_schematic_has_every_gate_at_its_level_and_wires_that_lead_right() -> None:
    entry = Design(netlist=netlist_from_verilog(to_verilog(MIXED), where="mixed.v"), name="mine")
    netlist = entry.netlist()
    drawing = drawing_of(entry)
    assert drawing.kind == "schematic"
    assert {name: count for name, _, count in drawing.legend} == netlist.count()
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    assert len(boxes) == len(netlist.instances)
    assert len({(box.x, box.y) for box in boxes}) == len(boxes)
    assert len({box.x for box in boxes}) == max(levels_of(netlist))
    # An independent count of the levels: the longest path, by relaxation until nothing changes.
    levels = dict.fromkeys(range(netlist.nets), 0)
    for _ in netlist.instances:
        for instance in netlist.instances:
            for net in instance.outputs:
                levels[net] = 1 + max(levels[source] for source in instance.inputs)
    assert levels_of(netlist) == [levels[instance.outputs[0]] for instance in netlist.instances]
    for lines in (shape for shape in drawing.shapes if isinstance(shape, Lines)):
        assert all(lines.points[k] < lines.points[k + 2] for k in range(0, len(lines.points), 4))
        assert all(0 <= y <= drawing.height for y in lines.points[1::2])


def test_families_of_gates_are_drawn_by_levels() -> None:
    assert view_of(Design(topology="mitchell", format=None, width=6)) == "levels"
    assert view_of(design("heap")) == "places"


def test_a_schematic_that_nobody_could_read_is_refused() -> None:
    builder = NetlistBuilder("chain")
    x, y = builder.input("x", 2), builder.input("y", 2)
    net = x[0]
    for _ in range(MOST_GATES + 1):
        net = builder.add(HALF_ADDER, net, y[0])[0]
    builder.output("product", [net, x[1], y[1], net])
    with pytest.raises(DesignError, match=r"at most 6,000 cells and gates to be read, but chain has 6,001; export it"):
        level_drawing(Design(netlist=builder.build(), name="chain"))


@pytest.mark.parametrize("entry", [*TREES[:1], *TREES[4:5], MIXED], ids=lambda entry: entry.topology)
def test_drawings_as_data_keep_every_shape(entry: Design) -> None:
    drawing: Drawing = drawing_of(entry, names=("ama1", "ama4"))
    data = json.loads(drawing.to_json())
    assert [shape[0] for shape in data["shapes"]] == [type(shape).__name__[0].lower() for shape in drawing.shapes]
    assert [name for name, *_ in data["legend"]] == [name for name, _, _ in drawing.legend]
    # The colours are those of the names given, in every drawing.
    colours = {name: colour for name, colour, _, _ in data["legend"]}
    assert colours.get("ama1", "#0173b2") == "#0173b2"
    assert colours.get("ama4", "#de8f05") == "#de8f05"


def test_draw_command_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "heap.svg"
    assert main(["draw", "heap", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: heap (reconstructed)\n"
    assert path.stat().st_size > 10_000
    assert main(["draw", "heap", "-o", str(tmp_path / "heap.pdf")]) == 2
    assert capsys.readouterr().err.startswith("error: a drawing's file must end in .png or .svg, but got ")
    assert [*tmp_path.iterdir()] == [path]


def test_other_commands_do_not_load_matplotlib() -> None:
    code = "import sys; from circuits.commands import main; main(['cells']); print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_errors_of_drawings_name_the_file_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names that file, not the temporary one beside it."""
    (tmp_path / "folder.png").mkdir()
    for file, reason in ((tmp_path / "none" / "a.png", "No such file"), (tmp_path / "folder.png", "is a folder")):
        assert main(["draw", "axfpm", "-o", str(file)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert reason in error
        assert str(file) in error
        assert ".part" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]

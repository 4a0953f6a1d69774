"""Drawings: what stands where, and the files."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from circuits import Design, DesignError, design, netlist_from_verilog, to_verilog
from circuits.commands import main
from circuits.drawing.array_drawing import GATES_ONLY, draw_array, places, save_drawing
from circuits.netlists.gates import HALF_ADDER

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


def test_legend_has_counts_and_the_title_the_definition() -> None:
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


def test_imported_circuits_and_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DesignError) as caught:
        save_drawing(MIXED, tmp_path / "a.gif")
    assert str(caught.value) == (
        f"a drawing's file must end in .png or .svg, but got '{tmp_path / 'a.gif'}'; rename it."
    )
    entry = Design(netlist=netlist_from_verilog(to_verilog(MIXED), where="mixed.v"), name="mine")
    with pytest.raises(DesignError) as caught:
        save_drawing(entry, tmp_path / "a.png")
    assert str(caught.value) == (
        "a drawing needs cells with rows and columns, but mine is an imported circuit without; export it and draw it "
        "with yosys (show)."
    )
    assert not [*tmp_path.iterdir()]


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
    """Not the temporary file beside it."""
    (tmp_path / "folder.png").mkdir()
    for file, reason in ((tmp_path / "none" / "a.png", "No such file"), (tmp_path / "folder.png", "is a folder")):
        assert main(["draw", "axfpm", "-o", str(file)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert reason in error
        assert str(file) in error
        assert ".part" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]

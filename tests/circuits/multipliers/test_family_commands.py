"""Families on the command line: designs spelled out, and the lists of topologies and compressors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuits import COMPRESSORS, FAMILIES, TOPOLOGIES, Design, DesignError, find_design
from circuits.adders import ADDERS
from circuits.commands import main


def test_a_design_can_be_spelled_by_topology_and_fields() -> None:
    spelled = find_design("drum:width:8:k:4")
    assert spelled == Design(topology="drum", width=8, format=None, options={"k": 4})
    assert spelled.label == "drum:width:8:k:4"
    assert find_design("approximate_booth:width:8x6:signed:true:encoder:2:p:5") == Design(
        topology="approximate_booth", width=(8, 6), format=None, signed=True, options={"encoder": "2", "p": 5}
    )
    assert find_design("dadda:width:8:placement:ama1:final_adder:loa(lower=5)") == Design(
        topology="dadda", width=8, format=None, placement="ama1", final_adder="loa(lower=5)"
    )
    assert find_design("mbm:format:bfloat16") == Design(topology="mbm", format="bfloat16")
    assert find_design("compressor_tree:width:8:compressor:lin").options["compressor"].at(3) == COMPRESSORS["lin"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "drum:width",
            "a design must be spelled TOPOLOGY:NAME:VALUE:..., as drum:width:8:k:4, but got 'drum:width'; correct it.",
        ),
        ("drum:width:8:q:4", "unknown field or option of 'drum' 'q'; "),
        ("drum:width:8:width:9", "each field must be given once, but 'drum:width:8:width:9' gives 'width' twice; "),
        ("drum:width:8:k:x", "3 <= k <= 8 must hold for operands of 8 x 8 bits, but got 'x'; "),
    ],
)
def test_misspelled_designs_are_refused_in_one_line(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DesignError) as caught:
        find_design(text)
    assert str(caught.value).startswith(message)
    assert main(["show", text]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_show_prints_the_options_of_a_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "drum:width:6:k:4", "kulkarni:width:6", "--cost-samples", "16"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["options", "k", "=", "4", "none"] in lines


def test_gates_without_places_are_drawn_by_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "drum:width:6", "-o", str(tmp_path / "drum.svg")]) == 0
    assert main(["draw", "drum:width:6", "-o", str(tmp_path / "drum.svg"), "--view", "places"]) == 2
    assert "but drum:width:6 is gates without; draw it by levels" in capsys.readouterr().err
    assert main(["draw", "broken_array:width:6", "-o", str(tmp_path / "array.svg")]) == 0


def test_topologies_are_listed_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topologies", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["topologies"]
    assert {row["name"] for row in rows} == {*TOPOLOGIES, *FAMILIES, *ADDERS}
    options = {(row["kind"], row["name"], row["option"]) for row in rows if row["option"]}
    assert options == {
        *(("family", name, option) for name, entry in FAMILIES.items() for option in entry.options),
        *(("adder", name, option) for name, entry in ADDERS.items() for option in entry.options),
    }
    assert all(row["source"] for row in rows if row["kind"] != "array or tree")
    assert main(["topologies", "--width", "16"]) == 0
    assert "3 to 16, default 6" in capsys.readouterr().out
    assert main(["topologies", "--format", "csv"]) == 0


def test_compressors_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'[compressors.mine]\nsum = "{"01" * 8}"\ncarry = "{"0" * 16}"\n')
    assert main(["compressors", "--cells", str(own), "--format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["compressors"]}
    assert [*rows] == [*COMPRESSORS, "mine"]
    assert (rows["momeni1"]["wrong"], rows["momeni1"]["rows"]) == (12, 32)
    assert main(["compressors"]) == 0
    assert "12 of 32" in capsys.readouterr().out
    assert main(["compressors", "--format", "csv"]) == 0
    own.write_text('[compressors.mine]\nsum = "01"\ncarry = "0"\n')
    assert main(["compressors", "--cells", str(own)]) == 2


def test_cells_files_may_hold_compressors_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'[compressors.mine]\nsum = "{"01" * 8}"\ncarry = "{"0" * 16}"\n')
    assert main(["cells", "--cells", str(own), "--format", "csv"]) == 0
    assert "mine" not in capsys.readouterr().out

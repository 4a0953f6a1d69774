"""Characterisation: schematics, the walk through all transitions, user subcircuits; ngspice where models are given."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from circuits_commands import refuse

from circuits import CELLS, DesignError, load_cells
from circuits.commands import main
from circuits.cost import conditions
from circuits.cost.cells45 import CORNERS
from circuits.cost.characterize.characterization import LOADS, SLEWS, check_tables
from circuits.cost.characterize.spice_measurements import walk
from circuits.cost.characterize.subcircuit import read_subcircuit
from circuits.cost.characterize.transistors import All, Any, Network, Schematic, components, devices, schematic
from circuits.netlists.gates import GATES

MODELS = os.environ.get("TRANSISTOR_MODELS")  # a folder of NMOS_VTG.nom.inc etc.
needs_models = pytest.mark.skipif(
    not MODELS or shutil.which("ngspice") is None, reason="needs ngspice and TRANSISTOR_MODELS=DIR"
)

BUFFERS = """* two buffers
.SUBCKT Mine a b cin sum carry vdd vss
M1 n1 b vss vss NMOS_VTG w=180n l=50n
M2 n1 b vdd vdd PMOS_VTG w=270n l=50n
M3 sum n1 vss vss NMOS_VTG w = 180n l=50n
M4 sum n1 vdd vdd PMOS_VTG w=270n l=50n
M5 n2 a vss vss NMOS_VTG w=180n l=50n ; a comment
M6 n2 a vdd vdd PMOS_VTG w=270n
+ l=50n
M7 carry n2 vss vss NMOS_VTG w=180n l=50n
M8 carry n2 vdd vdd PMOS_VTG w=0.27u l=50n
C1 carry vss 0.1f
.ENDS
"""


def conducts(network: Network, on: dict[str, bool]) -> bool:
    if isinstance(network, str):
        return on[network]
    parts = [conducts(part, on) for part in network.parts]
    return all(parts) if isinstance(network, All) else any(parts)


def switch_level(cell_schematic: Schematic, row: int) -> dict[str, int]:
    """Net -> value in a row of the truth table; asserts that each stage is pulled up or down, never both or neither."""
    inputs = len(cell_schematic.inputs)
    values = {port: row >> (inputs - 1 - k) & 1 for k, port in enumerate(cell_schematic.inputs)}
    for entry in cell_schematic.stages:
        down = conducts(entry.down, {net: values[net] == 1 for net in _nets(entry.down)})
        up = conducts(entry.up, {net: values[net] == 0 for net in _nets(entry.up)})
        assert up != down, (cell_schematic.name, row, entry)
        values[entry.output] = int(up)
    return {**values, **dict(cell_schematic.constants)}


def _nets(network: Network) -> set[str]:
    return {network} if isinstance(network, str) else set().union(*(_nets(part) for part in network.parts))


@pytest.mark.parametrize("part", components(), ids=lambda part: part.name)
def test_every_schematic_has_its_truth_table(part: object) -> None:
    """At switch level, without a short or an open output in any state."""
    cell_schematic = schematic(part)  # type: ignore[arg-type]
    inputs = len(cell_schematic.inputs)
    for row in range(1 << inputs):
        values = switch_level(cell_schematic, row)
        for port, table in zip(part.outputs, part.tables, strict=True):  # type: ignore[attr-defined]
            assert values[port] == table >> (row << (3 - inputs)) & 1


def test_schematics_have_the_published_numbers_of_transistors() -> None:
    """FACTS 1: AMA1..5 have 20, 14, 11, 15, 8; the mirror adder 24, 28 with output inverters. Gates as declared."""
    counts = {name: schematic(CELLS[name]).transistors for name in ("exact", *(f"ama{k}" for k in range(1, 6)))}
    assert counts == {"exact": 28, "ama1": 20, "ama2": 14, "ama3": 11, "ama4": 15, "ama5": 8}
    for gate in GATES.values():
        assert schematic(gate).transistors == gate.transistors


def test_transistors_are_as_many_times_wider_as_the_stack_is_high() -> None:
    assert sorted(devices(Any((All(("a", "b")), "c")))) == [("a", 2), ("b", 2), ("c", 1)]
    text = schematic(GATES["nand2"]).subcircuit()
    assert text.count("w=360n") == 2
    assert text.count("w=270n") == 2


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_the_walk_makes_every_transition_once(inputs: int) -> None:
    steps = list(pairwise(walk(inputs)))
    assert len(set(steps)) == len(steps) == inputs << inputs
    assert all((a ^ b).bit_count() == 1 for a, b in steps)
    assert steps[0][0] == steps[-1][1] == 0


def test_a_wrong_schematic_is_refused() -> None:
    with pytest.raises(DesignError, match="of 'and2' must give its truth table, but output y is 0 in row 110"):
        check_tables(GATES["and2"], (0,))


def test_the_characterised_table_states_its_conditions() -> None:
    found = conditions()
    assert found["slews_ps"] == pytest.approx([slew * 1e12 for slew in SLEWS])
    assert found["loads_fF"] == pytest.approx([load * 1e15 for load in LOADS])
    assert len(found["models"]) == 2 * len(CORNERS)
    assert all(len(checksum) == 64 for checksum in found["models"].values())
    assert found["tool"].startswith("ngspice-")


# ---- user subcircuits


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.sp"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_subcircuit_is_read_with_ports_widths_and_area(tmp_path: Path) -> None:
    found = read_subcircuit(written(tmp_path, BUFFERS))
    assert (found.name, found.transistors) == ("mine", 8)
    assert found.widths[1] == pytest.approx((270,) * 4)
    assert found.area == pytest.approx(0.266 * 5)
    assert found.text.splitlines()[0] == ".subckt user_cell a b cin sum carry vdd vss"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("C1 carry vss 0.1f", ".control\nshell date\n.endc"), "mine.sp line 12 must be M "),
        (("C1 carry vss 0.1f", ".include /etc/passwd"), "mine.sp line 12 must be M "),
        (("C1 carry vss 0.1f", "B1 carry 0 v=time"), "mine.sp line 12 must be M "),
        (("w=0.27u l=50n", "w=0.27u"), "line 11 must give w= and l= of its transistor, but does not"),
        (("w=0.27u", "w={x}"), "line 11 must be M "),
        ((" carry vdd vss\n", " vdd vss\n"), "must have a port carry, but has a, b, cin, sum, vdd, vss"),
        ((" vdd vss\n", " vdd vss clk\n"), "must be a, b, cin, sum, carry, vdd and vss, but are "),
        ((".ENDS\n", ""), "must hold .subckt ... .ends, but has none"),
        ((".ENDS\n", ".ENDS\n.SUBCKT two a b\n.ENDS\n"), "line 14 must start the only subcircuit"),
        ((BUFFERS, "R1 a b 1k\n"), "line 1 must stand inside .subckt ... .ends"),
        ((BUFFERS, ".subckt mine a b cin sum carry vdd vss\n.ends\n"), "must have 1 to 500 devices, but has 0"),
    ],
)
def test_unusable_subcircuits_are_refused_with_file_and_line(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = written(tmp_path, BUFFERS.replace(*change))
    with pytest.raises(DesignError) as caught:
        read_subcircuit(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- the command line


def test_a_missing_simulator_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    text = refuse(capsys, "characterize", "--models", str(tmp_path))
    assert text == "error: ngspice must be installed to characterise cells, but is not found; install it."


def test_missing_models_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/true")
    text = refuse(capsys, "characterize", "--models", str(tmp_path), "-o", str(tmp_path / "out.json"))
    assert text.startswith(f"error: the model folder must hold NMOS_VTG.nom.inc, but {tmp_path} does not; ")
    assert not (tmp_path / "out.json").exists()


@needs_models
def test_a_subcircuit_becomes_a_cell(tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    assert MODELS is not None
    assert main(["characterize", "--models", MODELS, "--cell", str(written(tmp_path, BUFFERS)), "-o", str(out)]) == 0
    (cell,) = load_cells(out).values()
    assert cell.behaviour == CELLS["ama5"].behaviour
    assert (cell.name, cell.transistors) == ("mine", 8)
    assert cell.delay_ps == pytest.approx(29, abs=3)
    assert cell.energy_fj == pytest.approx(1.0, abs=0.2)

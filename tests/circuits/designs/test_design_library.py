"""The library of evolved multipliers: names, files and what they state; the commands `library` and `pareto`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from circuits import NAMED, Design, UnknownNameError, cost_report, design, error_metrics, find_design, to_verilog
from circuits.commands import main
from circuits.designs.design_library import LIBRARY, facts

BOUNDS = {"mae": "mae_percent", "wce": "wce_percent", "mred": "mred"}


def bound_of(name: str) -> tuple[str, float]:
    """(metric, bound) that a name promises; a relative error as a fraction."""
    metric = next(metric for metric in BOUNDS if f"_{metric}" in name)
    bound = float(name.partition(f"_{metric}")[2])
    return BOUNDS[metric], bound / 100 if metric == "mred" else bound


def test_the_library_has_enough_circuits_in_little_space() -> None:
    assert len(LIBRARY) >= 90
    assert sum(path.stat().st_size for path in LIBRARY.folder.iterdir()) < 4_000_000
    assert all(path.suffix == ".toml" for path in LIBRARY.folder.iterdir())
    assert not set(LIBRARY) & set(NAMED)
    for group in ("u8_mae", "u8_wce", "u8_mred"):
        assert sum(name.startswith(group) for name in LIBRARY) >= 18
    assert any(name.startswith("s8_") for name in LIBRARY)


def test_files_state_where_they_come_from_and_keep_what_their_names_promise() -> None:
    for name in LIBRARY:
        stated = facts(name)
        assert stated["command"].startswith("python -m dse.evolve library")
        assert stated["verdict"] == "verified on all operand pairs"
        metric, bound = bound_of(name)
        assert float(stated[metric]) <= bound * (1 + 1e-6)


@pytest.mark.parametrize("name", ["u8_mae0.037", "u8_wce2.15", "u8_mred4.2", "s8_mae0.2"])
def test_stated_numbers_are_those_of_the_circuit(name: str) -> None:
    circuit, stated = design(name), facts(name)
    assert circuit.name == name
    assert circuit.signed == name.startswith("s")
    errors, drawn = error_metrics(circuit), cost_report(circuit).drawn
    metric, bound = bound_of(name)
    percent = 100 / 2**16
    measured = {
        "mae_percent": errors.med.value * percent,
        "wce_percent": errors.worst_case * percent,
        "mred": errors.mred.value,
    }
    assert measured[metric] <= bound
    for key, value in {**measured, "energy": drawn.energy, "delay": drawn.delay, "area": drawn.area}.items():
        assert float(stated[key]) == pytest.approx(value, rel=1e-5)


def test_library_designs_are_found_by_name_and_mistyped_ones_get_suggestions() -> None:
    assert find_design("u8_mae0.037") == design("u8_mae0.037") == Design.load(LIBRARY.folder / "u8_mae0.037.toml")
    with pytest.raises(UnknownNameError, match=r"unknown design 'u8_mae0\.0371'; nearest: .*u8_mae0\.037"):
        design("u8_mae0.0371")
    # Names of the library do not crowd the message about any other design.
    with pytest.raises(UnknownNameError, match="unknown design 'nosuch'") as caught:
        design("nosuch")
    assert "u8_" not in str(caught.value)


def test_the_command_lists_what_a_prefix_selects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["library", "u8_mae", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("name,mae_percent,wce_percent,")
    assert len(lines) == 1 + sum(name.startswith("u8_mae") for name in LIBRARY)
    assert main(["library"]) == 0
    assert f"{len(LIBRARY)} circuits" in capsys.readouterr().out


def test_pareto_measures_files_and_names_as_one_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exact = Design(topology="dadda", width=4, format=None, name="exact4")
    rough = Design(width=4, format=None, placement="ama1", name="rough")  # x w differs from w x
    bad = Design(topology="booth", width=4, format=None, placement="ama2", name="bad")
    paths = {
        name: tmp_path / f"{name}{suffix}" for name, suffix in (("exact4", ".toml"), ("rough", ".v"), ("bad", ".v"))
    }
    paths["exact4"].write_text(exact.to_toml())
    paths["rough"].write_text(to_verilog(rough))
    paths["bad"].write_text(to_verilog(bad))
    missing, out = tmp_path / "none.v", tmp_path / "front"
    command = ["pareto", *map(str, paths.values()), str(missing), "--columns", "mae_percent,area", "--out", str(out)]
    assert main(command) == 0
    assert f"left out: {missing} must be a Verilog or BLIF file" in " ".join(capsys.readouterr().out.split())
    with (out / "front.csv").open() as stream:
        rows = {row["circuit"]: row for row in csv.DictReader(stream)}
    points = {}
    for circuit in (exact, rough, bad):
        error = error_metrics(circuit).med.value / 2**8 * 100
        points[str(circuit.name)] = (error, cost_report(circuit).drawn.area)
        assert float(rows[str(circuit.name)]["mae_percent"]) == pytest.approx(error)
        assert float(rows[str(circuit.name)]["area"]) == pytest.approx(points[str(circuit.name)][1], rel=0.3)
    measured = {name: (float(row["mae_percent"]), float(row["area"])) for name, row in rows.items()}
    for name, point in measured.items():
        beaten = any(o != point and o[0] <= point[0] and o[1] <= point[1] for o in measured.values())
        assert rows[name]["front"] == str(not beaten)
    assert {"True", "False"} == {row["front"] for row in rows.values()}
    assert (out / "pareto_mae_percent_area.png").exists()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("nmed", "two or more different columns must be given"),
        ("nmed,energi", "unknown column 'energi'; nearest: energy"),
    ],
)
def test_pareto_refuses_columns_that_make_no_front(
    columns: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pareto", "exact", "--columns", columns]) == 2
    assert message in capsys.readouterr().err

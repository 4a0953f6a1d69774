"""Studies of cost: the model against ngspice within 15 %, and tables 7 and 9 beside what was published."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import pytest

from circuits import design
from studies.commands import main
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.own import cost_validation, unseen_arrays
from studies.paper import table7, table8, table9
from studies.rows import cost_rows

QUICK = StudyOptions(level="quick")


@lru_cache(maxsize=1)
def validation() -> StudyResult:
    """The study's result, which several tests read."""
    return cost_validation.run(QUICK)


@pytest.mark.slow
def test_the_model_agrees_with_ngspice() -> None:
    """Energy and worst delay of six whole arrays within 15 %, the bound that the project set itself at the start."""
    result = validation()
    unseen = unseen_arrays.arrays()
    checked = [row for row in result.rows if "arc-delay" in row.quantity and row.subject not in unseen]
    assert len(checked) == 16
    for row in checked:
        assert abs(float(row.remark.split()[0])) <= 15, row
    assert cost_validation.LIMIT == 0.15
    start = "arc-delay energy and worst delay are within 15 % of ngspice-39 in all six 4 x 4 arrays"
    assert result.reason.startswith(start)
    later = [row for row in result.rows if "arc-delay" in row.quantity and row.subject in unseen]
    assert len(later) == 2 * len(unseen) == 24
    for row in later:
        assert abs(float(row.remark.split()[0])) <= 15, row
        assert "not used in building the model" in row.remark
    assert result.figures["png"].startswith(b"\x89PNG")
    assert b"<svg" in result.figures["svg"]


def test_true_paths_are_nearer_than_paths_of_the_graph() -> None:
    """4 x 4: the longest true path is proved, within 15 % of ngspice, and bounds the arc-delay simulation."""
    found = {(row.subject, row.quantity): row for row in validation().rows}
    for cell in cost_validation.CELLS:
        true, graph, simulated = (
            found[f"4x4 {cell}", quantity].measured
            for quantity in ("longest true path", "longest path of the graph", "worst delay, arc-delay model")
        )
        assert simulated <= 1.003 * true
        assert true <= 1.001 * graph
        assert abs(float(found[f"4x4 {cell}", "longest true path"].remark.split()[0])) <= 15


def test_rows_of_held_out_arrays_say_that_they_are() -> None:
    rows = [row for row in validation().rows if row.subject.startswith("8x8")]
    assert {row.subject for row in rows} == {"8x8 exact", "8x8 ama3"}
    for row in rows:
        assert ("not used in building the model" in row.remark) != ("path" in row.quantity)
    entry = json.loads(cost_validation.REFERENCE.read_text(encoding="utf-8"))["held_out"]
    for cell in cost_validation.HELD_OUT:
        x, y = cost_validation.held_out_stimulus()
        assert (entry[cell]["x"], entry[cell]["y"]) == (x.tolist(), y.tolist())
        assert len(entry[cell]["energy_fJ"]) == len(entry[cell]["delay_ps"]) == cost_validation.RANDOM


def test_the_model_fails_on_a_glitch_that_hardly_crosses_and_says_so() -> None:
    result = validation()
    found = {(row.subject, row.quantity): row.measured for row in result.rows}
    quantity = "delay from (30, 12) to (31, 22)"
    assert found["5x5 ripple, exact", f"{quantity}, glitching model"] == pytest.approx(449, abs=1)  # FACTS 8
    assert found["5x5 ripple, exact", f"{quantity}, ngspice-39"] == pytest.approx(278, abs=1)
    assert "5 of them drawn at random, energy is -11.1 to +3.4 % off and worst delay is" in result.reason
    assert "A single transition may settle -118 to +171 ps off" in result.reason


def test_unseen_arrays_are_a_draw_and_their_operands_the_stated_ones() -> None:
    entries = json.loads(cost_validation.REFERENCE.read_text(encoding="utf-8"))["unseen"]
    arrays = unseen_arrays.arrays()
    assert list(entries) == list(arrays)
    assert len({array.cost_digest for array in arrays.values()}) == len(arrays) == 7 + 5
    for name, array in arrays.items():
        x, y = unseen_arrays.operands_of(name, array)
        assert (entries[name]["x"], entries[name]["y"]) == (x.tolist(), y.tolist())
        assert len(entries[name]["energy_fJ"]) == len(entries[name]["delay_ps"]) == len(x) - 1
    # At least 5 of the 12 do not commute.
    assert (
        sum(
            any(array.multiply_integers(x, y) != array.multiply_integers(y, x) for x in range(16) for y in range(x))
            for array in arrays.values()
        )
        >= 5
    )


def test_the_stimulus_is_the_stated_one() -> None:
    """Random transitions from the seed, then the slowest pair of the model as it is."""
    arrays = json.loads(cost_validation.REFERENCE.read_text(encoding="utf-8"))["arrays"]
    for cell in ("exact", "ama5"):
        x, y = cost_validation.stimulus(cell)
        assert arrays[cell]["x"] == x.tolist()
        assert arrays[cell]["y"] == y.tolist()
        assert len(arrays[cell]["energy_fJ"]) == len(x) - 1


@pytest.mark.slow
def test_tables_explain_every_difference_above_a_tenth() -> None:
    for study in (table7, table9):
        result = study.run(QUICK)
        published = [row for row in result.rows if row.published is not None]
        assert len(published) == 8
        for row in published:
            assert row.published is not None
            assert bool(row.remark) == (abs(row.measured - row.published) > 0.1), row
            assert 0 < row.measured < 1
        found = {(row.subject, row.quantity): row.measured for row in result.rows}
        assert np.isfinite(list(found.values())).all()
        assert cost_rows.settings(QUICK)["samples"] == 257


@pytest.mark.slow
def test_drivers_and_wires_have_rows_of_their_own_and_no_number_is_fitted(capsys: pytest.CaptureFixture[str]) -> None:
    def rows(wire: float) -> dict[str, Row]:
        options = StudyOptions(level="quick", wire=wire)
        found = cost_rows.rows({"axfpm": (0.395, 0.235)}, {"axfpm": "axfpm"}, table9.REASONS, options, whole=False)
        return {row.quantity: row for row in found if row.subject == "axfpm"}

    bare, wired = rows(0.0), rows(1.0)
    added = "energy / exact, as drawn, glitches included, with the operands' drivers"
    assert bare[added].measured == wired[added].measured == pytest.approx(0.087, abs=0.001)  # FACTS 8
    new = [quantity for quantity in wired if quantity not in bare]
    assert len(new) == 3
    assert all("1 fF of wire a sink" in quantity for quantity in new)
    for quantity in (added, *new):
        assert wired[quantity].published is None
        assert wired[quantity].remark == "left out by the model: how far it matters, no fit"
    assert {quantity: row for quantity, row in wired.items() if quantity in bare} == bare
    assert main(["run", "table2", "--wire-fF", "1"]) == 2
    assert capsys.readouterr().err == "error: --wire-fF is for table7 and table9, but got table2; leave it out.\n"


def test_the_figure_is_left_out_of_the_record() -> None:
    record = json.loads(validation().to_json())
    assert "figures" not in record
    assert record["settings"]["spice"]["tool"] == "ngspice-39"


def test_verdicts_follow_from_the_ratios() -> None:
    def rows(*pairs: tuple[str, str, float, float]) -> list[Row]:
        return [
            Row(design(name).label, f"{measure} / exact, as drawn", value, number)
            for name, measure, value, number in pairs
        ]

    assert cost_rows.ratios_verdict(rows(("axfpm", "energy", 0.4, 0.395)))[0] == "reproduced"
    assert cost_rows.ratios_verdict(rows(("axfpm", "energy", 0.2, 0.395)))[0] == "reproduced in direction"
    verdict, counts = cost_rows.ratios_verdict(rows(("axfpm", "energy", 0.4, 0.395), ("heap", "energy", 1.2, 0.49)))
    assert (verdict, counts[:70]) == (
        "not reproduced",
        "of 2 ratios with a published number, 1 save, 1 are within 0.1 of it, 0",
    )
    both = rows(("axfpm", "energy", 0.2, 0.395), ("heap", "energy", 0.3, 0.49))
    assert cost_rows.order(both, "energy", "heap", "axfpm") == "axfpm takes less energy"
    assert cost_rows.order([*both[:1], *rows(("heap", "energy", 0.1, 0.49))], "energy", "heap", "axfpm").startswith(
        "heap"
    )


@pytest.mark.parametrize(
    ("loss", "nmed", "verdict"),
    [(0.3, 0.082, "reproduced"), (1.0, 0.082, "reproduced in direction"), (1.0, 0.2, "not reproduced"),
     (9.0, 0.082, "not reproduced")],
)  # fmt: skip
def test_the_verdict_follows_from_errors_and_accuracy(loss: float, nmed: float, verdict: str) -> None:
    rows = [
        Row("exact", "accuracy", 99.0, 97.93, unit="%"),
        Row("exact", "NMED", 1e-9, 0.0),
        Row("axfpm", "accuracy", 60.0, 97.67, unit="%"),  # of another network than the published: not compared
        Row("axfpm", "accuracy less exact", -loss, -0.26, unit="points"),
        Row("axfpm", "NMED", nmed, 0.08),
    ]
    assert table8.conclude(rows)[0] == verdict

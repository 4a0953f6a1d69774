"""Study heap_vs_axfpm: every published number beside ours, one page, sections that join by one line."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from circuits import design, error_metrics
from circuits.figures import render
from studies import heap_vs_axfpm
from studies.heap_vs_axfpm import SUBJECTS, _figure, _reason
from studies.study import Row, StudyOptions

QUICK = StudyOptions(level="quick")


def section(name: str, options: StudyOptions) -> list[Row]:
    return [Row(design(name).label, "a quantity of one's own", len(name), 3.0, (1.0, 20.0), "%")]


def test_errors_stand_beside_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(heap_vs_axfpm.SAMPLES, "quick", 100_000)
    for name, nmed, larger in (("heap", 0.03, 34), ("axfpm", 0.08, 96), ("axfpm_tiled", 0.08, 96)):
        rows = {row.quantity: row for row in heap_vs_axfpm.error(name, QUICK)}
        assert (rows["NMED"].published, rows["larger than exact"].published) == (nmed, larger)
        expected = error_metrics(design(name), samples=100_000)
        assert rows["NMED"].measured == expected.nmed.value
        assert rows["larger than exact"].measured == 100 * expected.larger.value
        assert rows["mean e"].interval == (expected.bias.low, expected.bias.high)


def test_the_page_has_noise_of_each_design_and_a_panel_for_each_quantity() -> None:
    found = [[section(name, QUICK) * 2 for name in SUBJECTS], [section(name, QUICK) for name in SUBJECTS]]
    figure = _figure(found)
    noise, numbers = figure.subfigs
    titles = [axes.get_title() for axes in noise.axes if axes.get_title()]
    assert titles == [design(name).label for name in SUBJECTS]
    panels = [axes for axes in numbers.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["a quantity of one's own [%]"] * 3
    assert [text.get_text() for text in panels[0].get_yticklabels()] == ["axfpm_tiled", "axfpm", "heap"]
    dots = [line.get_xdata() for line in panels[0].lines if line.get_marker() == "o"]
    assert [list(values) for values in dots] == [[len(name)] for name in reversed(SUBJECTS)]  # type: ignore[arg-type]


def test_a_further_section_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "SECTIONS", (section,))
    monkeypatch.setattr(heap_vs_axfpm, "_reason", lambda rows: "tested")
    monkeypatch.setattr(heap_vs_axfpm, "_figure", lambda found: Figure())
    result = heap_vs_axfpm.run(QUICK)
    assert [(row.subject, row.measured) for row in result.rows] == [
        (design(name).label, len(name)) for name in SUBJECTS
    ]


@pytest.mark.parametrize(("axfpm", "holds"), [(0.2, True), (0.4, False)])
def test_the_verdict_follows_from_the_rows(axfpm: float, holds: bool) -> None:
    quantities = ("NMED", "energy / exact, glitches included", "delay / exact", "accuracy", "transfer, pgd")
    rows = [
        Row(design(name).label, quantity, value)
        for name, value in (("heap", 0.3), ("axfpm", axfpm))
        for quantity in (*quantities, "transfer, fgsm_smallest")
    ]
    reason = _reason(rows)
    assert f"heap errs less: {'does not hold' if holds else 'holds'}" in reason
    assert f"axfpm costs less energy and delay: {'holds' if holds else 'does not hold'}" in reason
    assert f"fewer attacks transfer to axfpm: {'holds' if holds else 'does not hold'}" in reason


def test_the_page_is_written_twice_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "BINS", 4)
    monkeypatch.setattr(heap_vs_axfpm, "SHOWN_PAIRS", 512)
    found = [[section(name, QUICK) for name in SUBJECTS]]
    one, other = (render(lambda: _figure(found), salt="page") for _ in range(2))
    assert one == other
    assert one["png"].startswith(b"\x89PNG")
    assert ET.fromstring(one["svg"].decode()).tag.endswith("svg")

"""README's first result, a float32 design that beats the paper's two: its numbers are recomputed.

test_docs.py runs the search that found it, in docs/how_to/beat_heap_and_axfpm.md, and compares the digests.
"""

from __future__ import annotations

import re

import pytest
from markdown import ROOT

from circuits import Design, cost_report, design, error_metrics, find_design
from cnn_eval import difference, measure_accuracy

FOLDER = ROOT / "docs" / "examples" / "headline"
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs" / "how_to" / "beat_heap_and_axfpm.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def five_columns() -> Design:
    return find_design(str(FOLDER / "five_columns.toml"))


def table_of_readme() -> dict[str, dict[str, float]]:
    """Name in the first table of the section -> energy, delay, NMED and accuracy as printed."""
    rows = {}
    for line in README.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"[\d,]+", cells[1]):
            numbers = [float(cell.replace(",", "").removesuffix(" %")) for cell in cells[1:5]]
            rows[cells[0].removesuffix(" (reconstructed)")] = dict(
                zip(("energy", "delay", "nmed", "accuracy"), numbers, strict=True)
            )
    return rows


def test_readme_compares_it_with_exact_and_with_the_two_designs_of_the_paper() -> None:
    assert list(table_of_readme()) == ["exact", "heap", "axfpm", "five_columns"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exact", "heap", "axfpm", "five_columns"])
def test_energy_and_delay_are_what_the_cost_model_gives(name: str, five_columns: Design) -> None:
    printed = table_of_readme()[name]
    report = cost_report(five_columns if name == "five_columns" else design(name), glitches="arc_delay")
    assert report.drawn.energy == pytest.approx(printed["energy"], rel=0.01)
    assert report.drawn.delay == pytest.approx(printed["delay"], abs=0.5)
    if name == "axfpm":
        assert (report.simplified.cells, round(report.simplified.energy), round(report.simplified.delay)) == (
            47,
            40,
            22,
        )


@pytest.mark.slow
def test_it_beats_both_in_energy_delay_and_error(five_columns: Design) -> None:
    own = cost_report(five_columns, samples=256, glitches="arc_delay").drawn
    own_error = error_metrics(five_columns, samples=100_000).nmed
    for name in ("heap", "axfpm"):
        other = cost_report(design(name), samples=256, glitches="arc_delay").drawn
        assert own.energy < other.energy / 10
        assert own.delay < other.delay / 2
        assert own_error.high is not None
        assert own_error.high < error_metrics(design(name), samples=100_000).nmed.low
    assert own_error.value == pytest.approx(table_of_readme()["five_columns"]["nmed"], rel=0.01)


@pytest.mark.slow
def test_it_keeps_the_accuracy_on_few_images(five_columns: Design) -> None:
    """300 images; README's 10,000 are those of the full set."""
    exact = measure_accuracy(design("exact"), samples=300)
    _, (low, high) = difference(measure_accuracy(five_columns, samples=300), exact)
    assert low <= 0 <= high
    assert exact.accuracy >= 0.98


def test_readme_and_how_to_print_the_space_and_the_design_that_are_kept() -> None:
    for name in ("five_columns", "truncated_trees"):
        kept = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        (printed,) = re.findall(rf"```toml\n# {name}\.toml\n(.*?)```", HOW_TO, flags=re.DOTALL)
        assert printed == "".join(line + "\n" for line in kept.splitlines() if not line.startswith("#"))
    (command,) = (line.strip() for line in README.splitlines() if "truncated_trees" in line)
    comment = (FOLDER / "five_columns.toml").read_text(encoding="utf-8").replace("#", "").replace("\\\n", "")
    assert " ".join(command.split()) in " ".join(comment.split())

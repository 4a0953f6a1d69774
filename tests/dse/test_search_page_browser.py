"""The page of a search in a real browser: brushing, filters, an opened design, its TOML, keyboard, both appearances."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from browsers import opened_page
from synthetic_search import synthetic_search

from circuits import Design
from dse import SearchResult
from dse.present.html_report import report

pytestmark = pytest.mark.slow

DRAWN = "#parallel .main-svg"
NAMES = "#designs tbody button"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SearchResult]:
    """(address of the page, the result that it shows)."""
    result = synthetic_search(60)
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(report(result))
    return f"file://{file}", result


def names(page: Any) -> list[str]:
    return [str(text) for text in page.locator(NAMES).all_inner_texts()]


def drag(page: Any, plot: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags over the plotting area; `begin` and `end` are shares of its width and height."""
    page.locator(plot).scroll_into_view_if_needed()
    box = page.locator(f"{plot} .nsewdrag").first.bounding_box()
    x, y = ([box["x"] + box["width"] * p[0], box["y"] + box["height"] * p[1]] for p in (begin, end))
    page.mouse.move(*x)
    page.mouse.down()
    page.mouse.move((x[0] + y[0]) / 2, (x[1] + y[1]) / 2, steps=4)
    page.mouse.move(*y, steps=4)
    page.mouse.up()
    page.wait_for_timeout(400)


def test_brushing_in_the_scatter_selects_in_the_table_and_in_parallel_coordinates(
    searched: tuple[str, SearchResult],
) -> None:
    address, result = searched
    with opened_page(address, wait=DRAWN) as page:
        page.select_option("#scatter-drag", "select")
        page.wait_for_timeout(300)
        before = page.inner_text("#designs .bar [role=status]")
        assert before == f"{result.scored + len(result.ruled_out) - _both(result) + len(result.references)} rows"
        # The left half: the designs of the least energy.
        drag(page, "#scatter", (0.01, 0.01), (0.5, 0.99))
        low, high = page.evaluate("document.getElementById('scatter').layout.selections.map(s => [s.x0, s.x1])[0]")
        page.select_option("#scatter-drag", "zoom")
        listed = names(page)
        energies = {row.name: row.scores["energy"] for row in result.references}
        energies |= {row.name: row.scores["energy"] for row in (*result.rows, *(e.row for e in result.beaten))}
        assert listed
        assert all(low <= energies[name] <= high for name in listed)
        assert f"{len(listed)} brushed" in page.inner_text("#kinds")
        # Parallel coordinates draw what was not picked in the background.
        faint = page.evaluate("document.getElementById('parallel').data.map(t => [t.opacity, t.x.length])")
        assert min(opacity for opacity, _ in faint) < 0.2
        page.click("#clear-brush")
        page.wait_for_timeout(300)
        assert page.inner_text("#designs .bar [role=status]") == before


def _both(result: SearchResult) -> int:
    """Designs that are among the rows and ruled out as well."""
    rows = {row.design.cost_digest for row in result.rows}
    return sum(entry.row.design.cost_digest in rows for entry in result.ruled_out)


def test_brushing_an_axis_of_the_parallel_coordinates_selects_in_the_table(searched: tuple[str, SearchResult]) -> None:
    address, result = searched
    with opened_page(address, wait=DRAWN) as page:
        plot = "document.getElementById('parallel')"
        # A box over the first axis (energy), at the better end: from below 0 to 0.4 of the axis.
        left, top, bottom = page.evaluate(
            f"(() => {{ const l = {plot}._fullLayout, w = l.xaxis._length, h = l.yaxis._length;"
            " return [l.xaxis.d2p(0) / w, l.yaxis.d2p(0.4) / h, l.yaxis.d2p(-0.02) / h]; })()"
        )
        drag(page, "#parallel", (left - 0.02, top), (left + 0.03, bottom))
        listed = names(page)
        every = [row.scores["energy"] for row in (*result.rows, *(entry.row for entry in result.beaten))]
        limit = min(every) + 0.4 * (max(every) - min(every))
        energies = {row.name: row.scores["energy"] for row in (*result.rows, *result.references)}
        energies |= {entry.row.name: entry.row.scores["energy"] for entry in result.beaten}
        assert 3 <= len(listed) < len(every)
        assert all(energies[name] <= limit + 0.03 * (max(every) - min(every)) for name in listed)


def test_filters_and_sorting_decide_the_csv_file(searched: tuple[str, SearchResult], tmp_path: Path) -> None:
    address, _ = searched
    with opened_page(address, wait=DRAWN) as page:
        page.fill('#designs input[aria-label^="Filter energy"]', "<3500")
        page.wait_for_timeout(400)
        page.click('#designs th[data-key="delay"] button')
        page.click('#designs th[data-key="delay"] button')
        assert page.get_attribute('#designs th[data-key="delay"]', "aria-sort") == "descending"
        with page.expect_download() as download:
            page.click("text=Save as CSV >> nth=0")
        download.value.save_as(tmp_path / "designs.csv")
        text = (tmp_path / "designs.csv").read_text()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert rows
        assert all(float(row["energy [fJ]"]) < 3500 for row in rows)
        delays = [float(row["delay [ps]"]) for row in rows]
        assert delays == sorted(delays, reverse=True)
        assert [row["design"] for row in rows] == names(page)
        assert {Design.from_toml(row["TOML"]).digest for row in rows} == {row["digest"] for row in rows}
        # References can be switched off, in plots and table.
        page.uncheck("#kind-reference")
        page.wait_for_timeout(300)
        assert "bfloat16" not in names(page)
        drawn = page.evaluate(
            "document.getElementById('scatter').data.filter(t => t.name === 'references')[0].x.length"
        )
        assert drawn == 0
        # A hidden column is gone from the table.
        page.click("#designs summary")
        page.uncheck('#designs .menu input[data-key="delay"]')
        assert page.locator('#designs th[data-key="delay"]').count() == 0


def test_a_point_of_the_front_below_a_reference_opens_and_copies_its_toml(searched: tuple[str, SearchResult]) -> None:
    address, result = searched
    (on_top,) = [row for row in result.references if row.name.startswith("heap")]
    (below,) = [row for row in result.front if row.scores["energy"] == on_top.scores["energy"]]
    with opened_page(address, wait=DRAWN) as page:
        # The front is drawn last.
        order = page.evaluate("document.getElementById('scatter').data.map(t => t.name)")
        assert order[-1] == "front"
        point = page.evaluate(
            "(() => { const g = document.getElementById('scatter'), l = g._fullLayout, b = g.getBoundingClientRect();"
            f" return [b.left + l.xaxis._offset + l.xaxis.d2p({below.scores['energy']}),"
            f" b.top + l.yaxis._offset + l.yaxis.d2p({below.scores['delay']})]; }})()"
        )
        page.mouse.move(point[0] + 1, point[1])
        page.wait_for_timeout(300)
        hover = page.text_content("#scatter .hoverlayer")
        assert below.name in hover
        assert on_top.name in hover
        page.mouse.click(*point)
        page.wait_for_selector("#design[open] .drawing svg rect")
        assert page.inner_text("#design-name") == below.name
        page.click("#copy-toml")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert Design.from_toml(copied).digest == below.design.digest
        assert page.inner_text("#design-toml") == copied
        page.keyboard.press("Escape")
        assert page.locator("#design[open]").count() == 0
        # Names cover no point.
        covered = page.evaluate(
            """(() => {
              const all = kind => [...document.querySelectorAll('#scatter ' + kind)];
              const places = kind => all(kind).map(e => e.getBoundingClientRect());
              const boxes = places('.annotation .bg'), points = places('.points path');
              const inside = (p, b) => (p.left + p.right) / 2 > b.left && (p.left + p.right) / 2 < b.right
                && (p.top + p.bottom) / 2 > b.top && (p.top + p.bottom) / 2 < b.bottom;
              return [boxes.length, boxes.filter(b => points.some(p => inside(p, b))).length];
            })()"""
        )
        assert covered[0] >= 1
        assert covered[1] == 0


def test_names_are_text_and_the_keyboard_reaches_a_design(searched: tuple[str, SearchResult]) -> None:
    address, _ = searched
    with opened_page(address, wait=DRAWN) as page:
        assert page.locator("main b").count() == 0
        page.focus(NAMES)
        page.keyboard.press("ArrowDown")
        second = page.evaluate("document.activeElement.textContent")
        assert second == names(page)[1]
        page.keyboard.press("Enter")
        page.wait_for_selector("#design[open]")
        assert page.inner_text("#design-name") == second
        page.click("text=Next")
        assert page.inner_text("#design-name") == names(page)[2]


@pytest.mark.parametrize("width", [1400, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_and_the_appearance_can_be_switched(
    searched: tuple[str, SearchResult], width: int, scheme: str
) -> None:
    address, _ = searched
    with opened_page(address, width=width, scheme=scheme, wait=DRAWN) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Every element but those in a frame that scrolls by itself ends within the page.
        beyond = page.evaluate(
            """[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
               && !e.closest('.scroll, svg, pre, .modebar, .hoverlayer')).map(e => e.tagName + '.' + e.className)"""
        )
        assert beyond == []
        for objective in ("energy", "delay"):
            head = page.locator(f'#designs th[data-key="{objective}"]').bounding_box()
            assert head["x"] + head["width"] <= width
        assert page.get_attribute("html", "data-appearance") == scheme
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#appearance")
        other = {"light": "dark", "dark": "light"}[scheme]
        assert page.get_attribute("html", "data-appearance") == other
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper

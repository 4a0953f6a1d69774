"""The top of RESULTS.md: ten lines that follow from stored results, and the claims under each network as a picture."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from circuits.drawing.figure_files import png_texts, render
from studies import STUDIES
from studies.commands import main
from studies.frame.claims import CLAIMS
from studies.frame.result_folders import COMMITTED
from studies.frame.study import Row, StudyResult
from studies.page.first_lines import LINES, NOT_YET, FirstLine, first_lines, networks, question
from studies.page.networks_picture import PICTURE, is_picture_of, picture
from studies.rows.networks_figure import network_rates, networks_figure


def several(rows: list[Row], networks: int = 5) -> StudyResult:
    settings = {"networks": {f"net{k}": "0" for k in range(networks)}}
    return StudyResult(rows, "measured", "", settings, name="several_networks", level="quick")


def line(results: dict[str, StudyResult], number: int) -> str:
    return first_lines(results, {name: result.level for name, result in results.items()})[number - 1]


def test_there_are_ten_lines_and_each_names_studies_and_claims_that_exist() -> None:
    assert len(LINES) == 10
    for each in LINES:
        assert set(each.studies) <= set(STUDIES)
        for study in each.studies:
            assert each.claims_of(study), (each.text, study)


def test_without_results_nothing_is_said_to_be_measured() -> None:
    lines = first_lines({}, {})
    assert [text.split(".")[0] for text in lines] == [str(k) for k in range(1, 11)]
    for text, each in zip(lines, LINES, strict=True):
        assert text.endswith(f"**: {NOT_YET} ({' or '.join(each.studies)}).")


def test_the_question_is_answered_with_the_power_of_the_search() -> None:
    assert question({}, {}).endswith("than the exact one?** Not measured yet (robust_search).")
    answer = StudyResult([], "measured", "of 9 designs, none wins. Power: x.", {}, name="robust_search", level="full")
    assert question({"robust_search": answer}, {"robust_search": "full"}).endswith(
        "one?** Of 9 designs, none wins. Power: x. ([robust_search](#robust_search), full)"
    )


def test_a_line_says_what_holds_for_which_circuit_on_how_many_networks() -> None:
    rows = [
        Row("heap", "FGSM, smallest, over 5 networks", 20.0, 16, (10.0, 30.0), "%"),
        Row("axfpm", "FGSM, smallest, over 5 networks", 60.0, 12, (55.0, 65.0), "%"),
        Row("axfpm_released", "FGSM, smallest, over 5 networks", 40.0, 12, (20.0, 60.0), "%", "depends on the network"),
    ]
    assert line({"several_networks": several(rows)}, 2) == (
        "2. **The smallest adversarial examples for the exact LeNet-5 seldom transfer**: holds for `heap` (20 %); does "
        "not hold for `axfpm` (60 %); depends on the network for `axfpm_released` (40 %); not measured yet for "
        "`axfpm_released, all layers`; on 5 networks ([several_networks](#several_networks), quick)."
    )


def test_a_study_of_one_network_speaks_only_where_several_have_no_result() -> None:
    one = StudyResult(
        [Row("axfpm", "FGSM, smallest", 95.0, 12, (93.0, 97.0), "%")],
        "not reproduced",
        "",
        {"weights_sha256": "0"},
        name="table2",
        level="default",
    )
    text = line({"table2": one}, 2)
    assert "does not hold for `axfpm` (95 %)" in text
    assert text.endswith("; on one network ([table2](#table2), default).")
    without = several([Row("heap", "FGSM, linf <= 0.2, over 5 networks", 97.0, None, (95.0, 99.0), "%")])
    assert line({"table2": one, "several_networks": without}, 2) == text
    assert "on 5 networks" in line({"table2": one, "several_networks": without}, 3)
    assert networks(replace(one, settings={"samples": 3})) == 0


def test_a_circuit_of_several_claims_may_stand_under_several_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (FirstLine("Saves", ("table9",), ("energy", "delay")),)
    monkeypatch.setattr("studies.page.first_lines.LINES", lines)
    rows = [Row("axfpm", "energy / exact, as drawn", 0.395, 0.395), Row("axfpm", "delay / exact, as drawn", 1.2, 0.235)]
    text = line({"table9": StudyResult(rows, "measured", "", {}, name="table9", level="full")}, 1)
    assert (
        "holds for 1 of 2 claims on `axfpm` (0.395); does not hold for 1 of 2 claims on `axfpm` (1.2); not measured yet"
        in text
    )
    assert "on the circuit itself" in text


def test_the_page_begins_with_the_lines() -> None:
    page = (COMMITTED.parent / "RESULTS.md").read_text(encoding="utf-8")
    asked, *top = [text for text in page.splitlines() if text][1:12]
    assert asked.startswith("**Is there any design whose network resists an adaptive attacker better")
    assert [re.match(r"(\d+)\. \*\*", text).group(1) for text in top] == [str(k) for k in range(1, 11)]  # type: ignore[union-attr]
    assert f"![The claims under each network]({PICTURE})" in page


def results_with_a_rate(measured: float = 40.0) -> dict[str, StudyResult]:
    rows = [
        Row("axfpm", "FGSM, smallest, over 2 networks", measured, 12, (20.0, 60.0), "%"),
        Row("axfpm", "FGSM, smallest, on net0", 35.0, None, (25.0, 45.0), "%"),
        Row("axfpm", "FGSM, smallest, on net1", 45.0, None, (35.0, 55.0), "%"),
        Row("axfpm", "FGSM, x 1.5, over 2 networks", 99.0, None, (97.0, 100.0), "%"),
        Row("axfpm", "accuracy less exact, over 2 networks", -0.5, -0.26, (-1.0, 0.0), "points"),
    ]
    return {"several_networks": several(rows, 2)}


def test_the_picture_has_the_published_point_and_every_network() -> None:
    rates = network_rates(results_with_a_rate()["several_networks"].rows)
    assert [(rate.name, dict(rate.each)) for rate in rates] == [
        ("axfpm: FGSM, smallest", {"net0": 35.0, "net1": 45.0}),
        ("axfpm: accuracy less exact", {}),
    ]
    transfer, accuracy = networks_figure(rates).axes
    assert (transfer.get_xlabel(), accuracy.get_xlabel()) == ("smallest, %", "accuracy less exact, points")
    drawn = {str(one.get_label()): list(one.get_xdata()) for one in transfer.lines}  # type: ignore[arg-type]
    assert drawn["published"] == [12]
    assert (drawn["net0"], drawn["net1"], drawn["mean"]) == ([35.0], [45.0], [40.0])
    assert drawn["95 % over networks, images"] == [20.0, 60.0]


def test_the_picture_knows_the_numbers_that_it_was_drawn_from(tmp_path: Path) -> None:
    results, file = results_with_a_rate(), tmp_path / PICTURE
    assert not is_picture_of(file, results)
    file.write_bytes(picture(results))
    assert len(file.read_bytes()) < 150_000
    assert is_picture_of(file, results)
    assert not is_picture_of(file, results_with_a_rate(41.0))
    assert not is_picture_of(file, {})  # no rates: there should be no picture
    file.write_bytes(b"no picture")
    assert not is_picture_of(file, results)


def test_texts_of_a_png(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(render(Figure, salt="a", kinds=("png",), texts={"Rows": "abc", "Note": "ä = b"})["png"])
    assert png_texts(file) == {"Rows": "abc", "Note": "ä = b"}
    file.write_bytes(file.read_bytes()[:60])  # cut short
    png_texts(file)


@pytest.mark.slow
def test_check_refuses_a_picture_of_other_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("studies.frame.study_runs.STUDIES", {"several_networks": STUDIES["several_networks"]})
    store = tmp_path / "studies" / "results"
    results_with_a_rate()["several_networks"].save(store / "quick")
    assert main(["report", "--store", str(store)]) == 0
    assert main(["check", "--store", str(store)]) == 0
    results_with_a_rate(41.0)["several_networks"].save(store / "quick")
    (store.parent / "RESULTS.md").write_text("", encoding="utf-8")
    capsys.readouterr()
    assert main(["check", "--store", str(store)]) == 1
    told = capsys.readouterr().out
    for name in ("RESULTS.md", PICTURE):
        assert f"{store.parent / name} must be what `report` makes of the committed results, but is not" in told


def test_every_claim_over_networks_is_paired_and_names_a_study() -> None:
    over = [claim for claim in CLAIMS if claim.text.endswith(", over several networks")]
    assert {claim.study for claim in over} == {
        "several_networks",
        "several_alexnets",
        "networks_black_box",
        "networks_white_box",
        "networks_audit",
    }
    assert all(claim.paired and claim.words for claim in over)

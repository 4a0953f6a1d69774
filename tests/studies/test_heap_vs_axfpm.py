"""Study heap_vs_axfpm: every published number beside ours, one page, sections that join by one line."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from torch import nn

from circuits import design, error_metrics
from circuits.drawing.figure_files import render
from cnn_eval import CONTROL, AuditSettings, approximate, load_model, power_of_two_control, predict
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.shared.primitives import fooled
from cnn_eval.audit.verdict_rules import VERDICTS
from cnn_eval.data.loading import load
from cnn_eval.examples.stored_examples import load_examples
from studies.frame.study import Row, StudyOptions
from studies.own import heap_vs_axfpm, margins
from studies.own.heap_vs_axfpm import CONTROLS, SUBJECTS, _figure, conclude

QUICK = StudyOptions(level="quick")


def section(name: str, options: StudyOptions) -> list[Row]:
    return [Row(design(name).label, "a quantity of one's own", len(name), 3.0, (1.0, 20.0), "%")]


def attacked(name: str, options: StudyOptions) -> list[Row]:
    """As an audit's rows."""
    label = name if name in CONTROLS else design(name).label
    return [Row(label, "robust accuracy", 40.0, None, (10.0, 80.0), "%", "not more robust")]


def test_errors_stand_beside_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(heap_vs_axfpm.SAMPLES, "quick", 100_000)
    for name, nmed, larger in (("heap", 0.03, 34), ("axfpm", 0.08, 96), ("axfpm_released", 0.08, 96)):
        rows = {row.quantity: row for row in heap_vs_axfpm.error(name, QUICK)}
        assert (rows["NMED"].published, rows["larger than exact"].published) == (nmed, larger)
        expected = error_metrics(design(name), samples=100_000)
        assert rows["NMED"].measured == expected.nmed.value
        assert rows["larger than exact"].measured == 100 * expected.larger.value
        assert rows["mean e"].interval == (expected.bias.low, expected.bias.high)


def test_the_page_has_noise_of_each_design_and_a_panel_for_each_quantity() -> None:
    several = [
        [*section(name, QUICK), replace(section(name, QUICK)[0], quantity="another"), *attacked(name, QUICK)]
        for name in SUBJECTS
    ]
    figure = _figure([several, [attacked(name, QUICK) for name in (*SUBJECTS, CONTROL)]])
    noise, numbers = figure.subfigs
    titles = [axes.get_title() for axes in noise.axes if axes.get_title()]
    assert titles == [design(name).label for name in SUBJECTS]
    panels = [axes for axes in numbers.axes if axes.axison]
    own, another, robust, last = panels
    assert [axes.get_title(loc="left") for axes in panels] == [
        "a quantity of one's own [%]",
        "another [%]",
        "robust accuracy [%]",
        "robust accuracy [%]",
    ]
    names = ["axfpm_released", "axfpm", "heap (reconstructed)"]
    assert [text.get_text() for text in own.get_yticklabels()] == names
    assert [text.get_text() for text in another.get_yticklabels()] == [""] * 3
    dots = [line.get_xdata() for line in own.lines if line.get_marker() == "o"]
    assert [list(values) for values in dots] == [[len(name)] for name in reversed(SUBJECTS)]  # type: ignore[arg-type]
    # other subjects: a line of their own, with their names; verdicts beside the dots
    assert [text.get_text() for text in last.get_yticklabels()] == [CONTROL, *names]
    assert last.get_subplotspec().colspan.start == 0
    assert last.get_subplotspec().rowspan.start == 1
    assert [text.get_text() for text in robust.texts] == ["not more robust"] * 3


def test_a_further_section_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "SECTIONS", (section,))
    monkeypatch.setattr(heap_vs_axfpm, "conclude", lambda rows: ("measured", "tested"))
    monkeypatch.setattr(heap_vs_axfpm, "_figure", lambda found: Figure())
    result = heap_vs_axfpm.run(QUICK)
    assert [(row.subject, row.measured) for row in result.rows] == [
        (design(name).label, len(name)) for name in SUBJECTS
    ]


@pytest.mark.parametrize(("axfpm", "holds"), [(0.2, True), (0.4, False)])
def test_the_reason_follows_from_the_rows(axfpm: float, holds: bool) -> None:
    quantities = ("NMED", "energy / exact, glitches included", "delay / exact", "accuracy", "transfer, pgd")
    rows = [
        Row(design(name).label, quantity, value)
        for name, value in (("heap", 0.3), ("axfpm", axfpm))
        for quantity in (*quantities, "transfer, fgsm_smallest")
    ]
    said, reason = conclude(rows)
    assert said == "not reproduced"
    assert f"heap errs less: {'does not hold' if holds else 'holds'}" in reason
    assert f"axfpm costs less energy and delay: {'holds' if holds else 'does not hold'}" in reason
    assert f"fewer attacks transfer to axfpm: {'holds' if holds else 'does not hold'}" in reason
    released = [replace(row, subject="axfpm_released", measured=0.1) for row in rows[:6]]
    told = conclude([*rows, *released])[1]
    assert "axfpm_released costs less energy and delay: holds" in told
    assert "heap errs less than axfpm_released: does not hold" in told
    rows = [replace(row, measured=1 - row.measured) if row.quantity == "NMED" else row for row in rows]
    robust = Row(design("heap").label, "robust accuracy, linf 0.1", 0.3, remark="brittle transfer only")
    said, reason = conclude([*rows, robust])
    assert said == ("reproduced in direction" if holds else "not reproduced")
    assert "Under adaptive attack: heap (reconstructed) brittle transfer only." in reason


def test_attacked_sections_have_the_control_beside_the_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "SECTIONS", (section, attacked))
    monkeypatch.setattr(heap_vs_axfpm, "ATTACKED", (attacked,))
    monkeypatch.setattr(heap_vs_axfpm, "conclude", lambda rows: ("measured", "tested"))
    monkeypatch.setattr(heap_vs_axfpm, "_figure", lambda found: Figure())
    subjects = [row.subject for row in heap_vs_axfpm.run(QUICK).rows]
    assert subjects == [design(name).label for name in SUBJECTS for _ in range(2)] + [*CONTROLS]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> nn.Module:
    """The exact network; a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return load_model("lenet5")


def test_transfer_to_the_control_is_counted_as_for_designs(exact: nn.Module) -> None:
    rows = {row.quantity: row for row in heap_vs_axfpm.transfers(CONTROL, QUICK)}
    stored = load_examples("fgsm_smallest")
    control = power_of_two_control(exact)
    right = (predict(control, stored.clean) == stored.labels) & (predict(exact, stored.clean) == stored.labels)
    right &= fooled(exact, stored.adversarial, stored.labels)
    success = right & fooled(control, stored.adversarial, stored.labels)
    assert rows["transfer, fgsm_smallest"].remark == f"{int(success.sum())} of {int(right.sum())}"
    # the control is what flat axfpm computes
    axfpm = {row.quantity: row.remark for row in heap_vs_axfpm.transfers("axfpm", QUICK)}
    assert {key: row.remark for key, row in rows.items()} == axfpm


def test_margins_are_those_of_the_attack_and_a_little_more(monkeypatch: pytest.MonkeyPatch, exact: nn.Module) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "MARGINS", {"fgsm": (1.0, 1.2)})
    monkeypatch.setattr(margins, "IMAGES", {"quick": 12})
    name = "axfpm_released"  # not commutative
    first, further = heap_vs_axfpm.margins(name, QUICK)[-2:]
    assert (first.quantity, first.published) == ("transfer, fgsm, factor 1", 12)  # DA table 2
    assert (further.quantity, further.published) == ("transfer, fgsm, factor 1.2", None)
    images, labels = load().images[:12], load().labels[:12]
    smallest = FGSM().run(exact, images, labels, mode="minimum")
    victim = approximate(exact, design(name))
    counted = (predict(exact, images) == labels) & (predict(victim, images) == labels)
    for row, adversarial in ((first, smallest), (further, (images + 1.2 * (smallest - images)).clamp(0, 1))):
        eligible = counted & fooled(exact, adversarial, labels)
        success = eligible & fooled(victim, adversarial, labels)
        assert row.measured == pytest.approx(100 * int(success.sum()) / int(eligible.sum()))


def test_audited_robustness_is_that_of_the_worst_case(monkeypatch: pytest.MonkeyPatch, exact: nn.Module) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "AUDIT_IMAGES", {"quick": 6})
    short = AuditSettings(
        steps=3, apgd_steps=3, queries=20, minimum_steps=5, deepfool_steps=3, noise_draws=1, decision_images=0
    )
    monkeypatch.setattr(heap_vs_axfpm, "AUDIT", {"quick": short})
    heap_vs_axfpm._reference.cache_clear()
    try:
        found = {name: heap_vs_axfpm.audited(name, QUICK) for name in ("axfpm_released", CONTROL)}
        images, labels = (getattr(heap_vs_axfpm._reference(QUICK), key) for key in ("images", "labels"))
    finally:
        heap_vs_axfpm._reference.cache_clear()
    assert len(labels) == 6
    victims = {"axfpm_released": approximate(exact, design("axfpm_released")), CONTROL: power_of_two_control(exact)}
    for name, victim in victims.items():
        rows = {row.quantity: row for row in found[name]}
        robust = rows["robust accuracy, linf 0.1"]
        assert robust.subject == name
        assert robust.remark in VERDICTS
        # no better than under one attack alone, even one crafted on the exact network
        crafted = FGSM().run(exact, images, labels, mode="budget", epsilon=0.1)
        alone = (predict(victim, images) == labels) & ~fooled(victim, crafted, labels)
        assert robust.measured <= 100 * int(alone.sum()) / 6 + 1e-9
        assert rows["robust accuracy, exact network"].measured < 100


@pytest.mark.slow
def test_the_page_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap_vs_axfpm, "BINS", 4)
    monkeypatch.setattr(heap_vs_axfpm, "SHOWN_PAIRS", 512)
    found = [[section(name, QUICK) for name in SUBJECTS]]
    one, other = (render(lambda: _figure(found), salt="page") for _ in range(2))
    assert one == other
    assert one["png"].startswith(b"\x89PNG")
    assert ET.fromstring(one["svg"].decode()).tag.endswith("svg")

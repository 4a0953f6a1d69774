"""The pages that `attack`, `margins` and `audit` write, and the adversarial examples that they keep."""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import opened_page
from PIL import Image
from robust_networks import network
from safetensors import safe_open
from safetensors.torch import load_file

from cnn_eval import CONTROL, AuditSettings, run_audit
from cnn_eval.audit.attack_log import AttackLog
from cnn_eval.commands import main
from cnn_eval.commands.robustness.audit_page import Audited, audit_page, keep_audits
from cnn_eval.commands.robustness.example_pictures import class_words, picture
from cnn_eval.commands.robustness.robustness_page import (
    Curves,
    PageTable,
    RobustnessPage,
    Series,
    Verdict,
    percent,
    write_page,
)
from cnn_eval.data.loading import load
from cnn_eval.measure.margin_curves import CURVES

NASTY = "</script><b>bold</b>"
QUICK = AuditSettings(steps=10, apgd_steps=10, queries=100, minimum_steps=40, noise_draws=2, decision_images=0)


def data_of(path: Path) -> Any:
    """The data that a page's browser code reads; asserts that the page loads nothing and holds no name as markup."""
    text = path.read_text()
    (found,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', text)
    assert not {"<", ">", "&"} & set(found)
    assert "default-src &#39;none&#39;" in text
    assert not re.search(r'\bsrc="|\bhref="(?!#)', text)
    data = json.loads(found)
    assert html.escape(data["title"]) in text
    return data


def pixels(address: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def table(data: Any, name: str) -> list[list[Any]]:
    (found,) = [entry["rows"] for entry in data["tables"] if entry["name"] == name]
    return found


def test_the_page_of_an_attack_agrees_with_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, kept = tmp_path / "page.html", tmp_path / "kept.safetensors"
    arguments = ["attack", "axfpm", "--attacks", "fgsm", "--samples", "12", "--compute", "lowered"]
    arguments += ["--cache", str(tmp_path / "cache"), "--report", str(page), "--save", str(kept), "--format", "json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    data = data_of(page)
    assert data["question"]["command"].startswith("python -m cnn_eval attack axfpm --attacks fgsm")
    assert "fgsm: norm linf" in data["question"]["attacks"]
    for shown, row in zip(table(data, "rates"), document["results"], strict=True):
        assert shown[:2] == [row["design"], row["attack"]]
        assert shown[2][1] == pytest.approx(100 * row["rate"])
        assert shown[3][1] == pytest.approx(100 * row["interval"][0])
        assert shown[4][0] == f"{row['fooled']} / {row['eligible']}"
    (pair,) = document["paired"]
    assert [cell[1] for cell in table(data, "pairs")[0][3:6]] == [pair["samples"], pair["only_one"], pair["only_other"]]
    (verdict,) = data["verdicts"]
    assert verdict["subject"] == "axfpm"
    assert f"p = {pair['p']:.2g}" in verdict["reasons"][0]
    # The curve ends at the rate: every image that is fooled is a step.
    (chart,) = data["curves"]
    by_name = {series["name"]: series for series in chart["series"]}
    for row in document["results"]:
        series = by_name[row["design"]]
        assert series["y"][-1] == pytest.approx(100 * row["rate"])
        assert series["x"] == sorted(series["x"])
    # The examples kept are those of the pictures.
    tensors = load_file(kept)
    images = load("mnist")
    assert torch.equal(tensors["images"], images.images[:12])
    assert torch.equal(tensors["labels"], images.labels[:12])
    assert set(tensors) == {"images", "labels", "adversarial/fgsm", "fooled/fgsm/axfpm", f"fooled/fgsm/{CONTROL}"}
    assert int(tensors["fooled/fgsm/axfpm"].sum()) == document["results"][0]["fooled"]
    with safe_open(kept, "pt") as opened:
        record = json.loads(opened.metadata()["record"])
    assert record["scenario"] == "transfer"
    index = int(tensors["fooled/fgsm/axfpm"].nonzero()[0, 0])
    shown = data["pictures"][0]
    assert f"image {index};" in shown["caption"]
    assert "budget: the smallest that fools" in shown["caption"]
    wanted = np.rint(255 * tensors["adversarial/fgsm"][index, 0].numpy())
    np.testing.assert_array_equal(pixels(shown["adversarial"]), wanted)
    true = f"class {int(tensors['labels'][index])}"
    assert re.fullmatch(rf"{true}, taken for class \d", shown["classes"])
    assert not shown["classes"].endswith(true)


def test_the_page_of_margins_has_a_curve_and_examples_for_each_attack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, kept = tmp_path / "page.html", tmp_path / "kept.safetensors"
    arguments = ["margins", "axfpm_tiled", "--samples", "12", "--attacks", "fgsm", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--report", str(page), "--save", str(kept), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    data = data_of(page)
    (chart,) = data["curves"]
    values = CURVES["fgsm"].values
    own, control, *published = chart["series"]
    rates = [row["rate"] for row in document["results"] if row["design"] == "axfpm_tiled"]
    assert own["y"] == pytest.approx([100 * rate for rate in rates])
    assert own["low"] == pytest.approx(
        [100 * row["interval"][0] for row in document["results"] if row["design"] == "axfpm_tiled"]
    )
    assert control["dashed"]
    assert {series["name"] for series in published} == {"Ax-FPM, published", "HEAP, published"}
    (verdict,) = data["verdicts"]
    assert verdict["subject"] == "axfpm_tiled"
    assert len(table(data, "margins")) == 2 * len(values)
    tensors = load_file(kept)
    assert {name for name in tensors if name.startswith("adversarial")} == {
        f"adversarial/fgsm/{value:g}" for value in values
    }
    assert len(data["pictures"]) == 2


def namespace(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(
        report=tmp_path / "audit.html",
        save=tmp_path / "audit.safetensors",
        command="audit",
        argv=["mine"],
        model="lenet5",
        layers="conv",
        data="embedded",
        dataset=None,
        norm="linf",
        backward="ste",
        seed=0,
    )


@pytest.mark.slow
def test_the_page_of_an_audit_has_the_verdict_with_its_reasons(tmp_path: Path) -> None:
    normal = network("normal")
    images = load("mnist")
    logs: list[AttackLog] = []
    report = run_audit(
        normal, normal, images.images[:16], images.labels[:16], settings=QUICK, name=NASTY, keep=logs.append
    )
    (log,) = logs
    arguments = namespace(tmp_path)
    audit_page(arguments, [Audited(report, log)], (float(report.settings["epsilon"]), "as given"))
    data = data_of(arguments.report)
    (verdict,) = data["verdicts"]
    assert verdict["sentence"] == report.sentence
    assert len(verdict["reasons"]) == sum(check.passed is False for check in report.checks)
    assert len(table(data, "attacks")) == len(report.attacks)
    assert len(table(data, "checks")) == len(report.checks)
    assert len(table(data, "transfers")) == len(report.transfers)
    assert data["curves"][0]["kind"] == "bars"
    fooled = sum(bool(mask.any()) for mask in log.fooled.values())
    assert bool(data["pictures"]) == bool(fooled)
    keep_audits(arguments, [Audited(report, log)], log.images, log.labels)
    tensors = load_file(arguments.save)
    key = next(name for name in log.examples if not name.startswith("from exact"))
    assert torch.equal(tensors[f"adversarial/{NASTY}/{key}"], log.examples[key])
    assert torch.equal(tensors[f"fooled/{NASTY}/{key}"], log.fooled[key])


def test_a_difference_is_amplified_around_grey_by_the_scale_that_is_told() -> None:
    clean = torch.full((1, 2, 2), 0.5)
    adversarial = clean + torch.tensor([[[0.1, -0.05], [0.0, 0.02]]])
    shown = picture(clean, adversarial, classes="a", caption="b")
    assert shown.scale == pytest.approx(5)
    # 1/2 + 5 d: 1.0, 0.25, 0.5, 0.6 of 255, rounded.
    np.testing.assert_array_equal(pixels(shown.difference), [[255, 64], [128, 153]])
    coloured = picture(torch.zeros(3, 2, 2), torch.zeros(3, 2, 2), classes="a", caption="b")
    assert pixels(coloured.clean).shape == (2, 2, 3)
    assert (pixels(coloured.difference) == 128).all()


def test_classes_are_words() -> None:
    assert class_words(("cat", "dog"), 1) == "dog"
    assert class_words(tuple("0123456789"), 3) == "class 3"
    assert class_words(None, 7) == "class 7"


@pytest.mark.parametrize("command", [["attack", "heap", "--attacks", "fgsm"], ["margins", "heap"], ["audit", "heap"]])
@pytest.mark.parametrize(("option", "suffix"), [("--report", ".html"), ("--save", ".safetensors")])
def test_a_file_of_another_kind_is_refused_before_any_work(
    command: list[str], option: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, option, "out.txt"]) == 2
    assert capsys.readouterr().err == f"error: {option} must end in {suffix}, but is out.txt; rename it.\n"


@pytest.fixture(scope="module")
def shown_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of every kind of part, with names that are markup."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    noise = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    rows = [[NASTY, f"attack {k}", *percent(0.05 * k, (0.04 * k, 0.06 * k)), "word " * 30] for k in range(16)]
    chart = Curves(NASTY, "budget", "fooled [%]", [Series(NASTY, [0.0, 1.0], [10.0, None], [5.0, None], [20.0, None])])
    write_page(
        path,
        RobustnessPage(
            title=f"Attacks on {NASTY}",
            question={"asked": NASTY, "command": "python -m cnn_eval " + "x" * 200},
            verdicts=[Verdict(NASTY, "is fooled.", [NASTY], False)],
            tables=[PageTable("rates", "Rates", ["design", "attack", "fooled\n%", "95 %", "why"], rows)],
            curves=[chart],
            pictures=[picture(noise, noise * 0.9, classes=NASTY, caption=NASTY)] * 3,
            notes=[NASTY],
        ),
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_a_browser_shows_all_parts_and_cuts_nothing(shown_page: Path, width: int, scheme: str) -> None:
    with opened_page(f"file://{shown_page}", width=width, scheme=scheme, wait=".chart .main-svg") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("main b").count() == 0
        assert page.locator("tbody tr").count() == 16
        shown = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
        assert shown == [28] * 9
        assert page.get_attribute("html", "data-appearance") == scheme

"""The command `python -m dse.compare`: the numbers of the functions behind it, in three formats."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from circuits import Design, cost_report, design, error_metrics
from dse import COLUMNS, SCORERS, ScoreSettings, compare, compare_designs
from dse.present.score_table import score_text
from dse.score.scored_design import ScoredDesign
from dse.score.scorers.scorer import interval_text

SETTINGS = ScoreSettings()


@pytest.mark.slow
def test_json_has_the_numbers_of_the_functions_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    from cnn_eval import measure_transfer
    from cnn_eval.measure.network_accuracy import evaluate

    assert compare.main(["heap", "exact", "--images", "100", "--workers", "2", "--format", "json"]) == 0
    heap, exact = json.loads(capsys.readouterr().out)
    assert [heap["design"], exact["design"]] == ["heap (reconstructed)", "exact"]
    subject = design("heap")
    metrics = error_metrics(subject, samples=SETTINGS.samples)
    cost = cost_report(subject, samples=SETTINGS.cost_samples)
    assert heap["digest"] == subject.digest
    assert heap["definition"]["ports (A,B,Cin)"] == subject.describe()["ports (A,B,Cin)"]
    assert "45 nm, 1 V, 25 C, nom, ngspice-39" in heap["cost_note"]
    assert heap["units"]["energy"] == "fJ"
    assert heap["estimated"] == []
    scores = heap["scores"]
    assert scores["nmed"] == metrics.nmed.value
    assert (scores["mred_low"], scores["mred_high"]) == (metrics.mred.low, metrics.mred.high)
    assert scores["energy"] == cost.drawn.energy
    assert scores["delay_to_own_topology"] == cost.ratio("delay", baseline="exact cells, same topology")
    found, best = (evaluate(entry, samples=100) for entry in (subject, design("exact")))
    assert scores["accuracy"] == 100 * found.accuracy
    assert scores["accuracy_loss"] == pytest.approx(100 * (best.accuracy - found.accuracy))
    transferred = measure_transfer(subject)["fgsm_smallest"]
    assert scores["transfer_fgsm_smallest"] == pytest.approx(100 * transferred.rate)
    assert exact["scores"]["accuracy_loss"] == 0
    assert exact["scores"]["transfer_pgd"] == 100


@pytest.mark.slow
def test_the_table_defines_the_designs_above_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["heap", "axfpm", "exact", "--images", "20", "--workers", "1"]) == 0
    text = capsys.readouterr().out
    lines = [line.split("  ")[0].strip() for line in text.splitlines()]
    order = [
        "topology",
        "placement",
        "tile",
        "rounding",
        "ERROR",
        "NMED (P_max = 1)",
        "COST",
        "energy, fJ",
        "delay, ps",
    ]
    order += ["ACCURACY", "accuracy, %", "TRANSFER", "pgd", "fgsm_smallest"]
    places = [lines.index(name) for name in order]
    assert places == sorted(places)
    for part in ("(reconstructed)", "ama5 everywhere", "nearest_even", "45 nm, 1 V", "lenet5, 20 mnist test images"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_csv_has_one_row_for_each_design(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cells = tmp_path / "cells.toml"
    cells.write_text('[cells.like]\nsum = "B"\ncarry = "A"\n', encoding="utf-8")
    arguments = ["axfpm", "axfpm", "like_array", "--cells", str(cells), "--images", "10", "--workers", "1"]
    assert compare.main([*arguments, "--format", "csv"]) == 0
    one, other, like = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert one == other
    assert (like["design"], like["estimated"]) == ("like_array", "like")
    for column in ("digest", "nmed [1]", "accuracy [%]"):
        assert like[column] == one[column]
    assert one["design"] == "axfpm"
    # FACTS 2: NMED = 1/12 for operands uniform in [0, 1].
    assert float(one["nmed [1]"]) == pytest.approx(1 / 12, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["haep"], "error: unknown design 'haep'; nearest: heap.\n"),
        (
            ["none.toml"],
            "error: none.toml must be a readable file, but: No such file or directory; check the path.\n",
        ),
        (
            ["heap", "--images", "0"],
            "error: argument --images: it must be an integer of at least 1, but got '0'; "
            "see python -m dse.compare --help\n",
        ),
        (
            [],
            "error: the following arguments are required: DESIGN; see python -m dse.compare --help\n",
        ),
        (["conv1=heap,conv2=haep"], "error: unknown design 'haep'; nearest: heap.\n"),
        (
            ["heap", "conv1=heap,conv1=axfpm"],
            "error: designs by layer must be LAYER=DESIGN,LAYER=DESIGN, each layer once, but got "
            "'conv1=heap,conv1=axfpm'; correct it.\n",
        ),
        (
            ["fc1=heap"],
            "error: designs by layer must name layers that are compared (conv1, conv2), but got 'fc1'; correct it, or "
            "choose others by --layers.\n",
        ),
    ],
)
def test_mistakes_of_compare_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        status: object = compare.main(arguments)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert capsys.readouterr() == ("", message)


def test_close_errors_and_small_costs_print_three_digits() -> None:
    scores = {"nmed": 0.000242, "mred": 1.2e-7, "energy": 35.24, "delay": 12345.6, "transistors": 7872.0}
    other = scores | {"nmed": 0.000244, "energy": 35.44}
    shown = [[score_text(ScoredDesign(design("exact"), row), COLUMNS[name]) for name in row] for row in (scores, other)]
    assert shown[0] == ["0.000242", "1.20e-07", "35.2", "12,346", "7,872"]
    assert shown[1] == ["0.000244", "1.20e-07", "35.4", "12,346", "7,872"]
    assert score_text(ScoredDesign(design("exact"), {"accuracy": 98.2}), COLUMNS["accuracy"]) == "98.20"


def test_scores_of_few_pairs_have_no_interval() -> None:
    settings = ScoreSettings(images=10, samples=100)
    few = SCORERS["error"].measure(design("heap"), settings)
    assert few["nmed"] > 0
    assert all(math.isnan(few[name]) for name in ("nmed_low", "nmed_high", "mred_low", "mred_high"))
    text = interval_text("nmed", "significant")
    assert text(few) == f"{few['nmed']:.4f}"
    assert text({"nmed": 0.5, "nmed_low": 0.25, "nmed_high": 0.75}) == "0.500 [0.250, 0.750]"


@pytest.mark.slow
def test_integer_designs_are_compared_in_a_quantised_network() -> None:
    from cnn_eval import approximate, load_images, load_model, measure_accuracy, quantize

    exact = Design(format=None, width=4, signed=True, topology="dadda", name="exact4s")
    rough = Design(format=None, width=4, truncate_columns=2, name="rough4")
    settings = ScoreSettings(images=40, attack_images=2, attack_steps=2, attack_restarts=1)
    rows = compare_designs([exact, rough, "axfpm"], settings=settings)
    assert rows[0].scores["accuracy_loss"] == 0
    assert rows[0].scores["mred"] == 0
    assert all(row.scores["images"] == 40 and row.scores["adaptive_gradients"] == 2 for row in rows)
    train, (images, labels) = load_images("mnist", "train", samples=500)[0], load_images("mnist", samples=40)
    network = approximate(quantize(load_model("lenet5"), train, scheme="uint8", bits=4), rough)
    correct = measure_accuracy(network, images=images, labels=labels).accuracy
    assert rows[1].scores["accuracy"] == pytest.approx(100 * correct)


@pytest.mark.slow
def test_a_design_for_each_layer_stands_beside_one_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    from cnn_eval import approximate, load_images, load_model, measure_accuracy

    arguments = ["heap", "conv1=heap,conv2=heap", "conv2=axfpm", "--images", "60", "--attack-images", "0"]
    assert compare.main([*arguments, "--workers", "1", "--format", "json"]) == 0
    one, both, second = json.loads(capsys.readouterr().out)
    # A multiplier in each of the layers, whichever way it is written.
    assert one["scores"] == pytest.approx(both["scores"])
    assert one["scores"]["area"] == pytest.approx(2 * cost_report(design("heap"), samples=2048).drawn.area)
    assert second["design"] == "conv2=axfpm"
    assert both["design"] == both["digest"][:10]  # "conv1=heap (reconstructed),conv2=..." would be too long a heading
    # The layer that is not named multiplies exactly; its products weigh as many as there are.
    energy = {name: cost_report(design(name), samples=2048).drawn.energy for name in ("exact", "axfpm")}
    products = {"conv1": 86_400, "conv2": 153_600}
    of_image = products["conv1"] * energy["exact"] + products["conv2"] * energy["axfpm"]
    assert second["scores"]["image_energy"] == pytest.approx(1e-6 * of_image)
    assert second["scores"]["energy"] == pytest.approx(of_image / sum(products.values()))
    images, labels = load_images("mnist", samples=60)
    network = approximate(load_model("lenet5"), {"conv1": design("exact"), "conv2": design("axfpm")})
    correct = measure_accuracy(network, images=images, labels=labels).accuracy
    assert second["scores"]["accuracy"] == pytest.approx(100 * correct)


@pytest.mark.slow
def test_the_table_lists_the_designs_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["axfpm", "conv2=axfpm", "--images", "10", "--attack-images", "0", "--workers", "1"]
    assert compare.main(arguments) == 0
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines()]
    assert ["conv1", "(86,400", "products)", "axfpm", "exact"] in rows
    assert ["conv2", "(153,600", "products)", "axfpm", "axfpm"] in rows
    assert "ripple_array, ports psc, half adders cell, ama5 everywhere" in text
    assert "Network: lenet5 on mnist, conv layers (2, 240,000 products an image)." in text


@pytest.mark.slow
def test_integer_designs_by_layer_leave_the_others_exact_integers() -> None:
    settings = ScoreSettings(images=30, attack_images=0)
    rough = "dadda:width:4:truncate_columns:3"
    rows = compare_designs([rough, f"conv1={rough}", f"conv1={rough},conv2={rough}"], settings=settings)
    assert rows[1].design.designs["conv2"].label == "exact uint4"
    assert rows[0].scores == pytest.approx(rows[2].scores)
    assert 0 < rows[1].scores["nmed"] < rows[0].scores["nmed"]

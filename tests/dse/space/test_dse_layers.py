"""A design for each layer: its data, its scores from those of the layers, and a search over it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from circuits import AdderCell, Design, DesignError, cost_report, design
from cnn_eval import load_model
from cnn_eval.measure.network_accuracy import evaluate
from dse import COLUMNS, SCORERS, ScoreSettings, results, search
from dse.present.score_table import structure
from dse.score.scored_design import ScoredDesign
from dse.score.scorer_choice import columns_for
from dse.score.scorers.layer_scores import combined, in_each_layer
from dse.space.per_layer import LayerDesigns, designs_of, read_candidate

CIRCUIT_COLUMNS = tuple(COLUMNS.values())
LOPSIDED = AdderCell.from_expressions("lopsided", "A", "A & ~B | Cin", transistors=6)
MIXED = LayerDesigns(
    (
        ("conv1", 86_400, Design(placement={"columns": [LOPSIDED] * 20 + ["exact"] * 28})),
        ("conv2", 153_600, Design(topology="carry_save_array", placement="ama4", ports="scp")),
    )
)
FEW = ScoreSettings(images=40, samples=5000, cost_samples=50, examples=("fgsm_smallest",))


def test_lenet5_has_the_products_an_image_that_these_tests_use() -> None:
    counts = {}

    def count(name: str, layer: torch.nn.Conv2d, output: torch.Tensor) -> None:
        counts[name] = output[0].numel() * layer.weight[0].numel()

    model = load_model("lenet5")
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda layer, _, output, name=name: count(name, layer, output))
    model(torch.zeros(1, 1, 28, 28))
    assert counts == {name: products for name, products, _ in MIXED.layers}


def test_toml_brings_everything_back() -> None:
    assert read_candidate(MIXED.to_toml()) == MIXED
    assert read_candidate(MIXED.to_toml()).cost_digest == MIXED.cost_digest
    assert read_candidate(design("heap").to_toml()) == design("heap")
    circuit = Design(netlist=Design(format=None, width=3, placement="ama3").netlist())
    imported = LayerDesigns((("fc 1.x", 5, circuit),))
    assert read_candidate(imported.to_toml()) == imported


def test_digests_depend_on_layers_products_and_designs() -> None:
    (one, many, first), (two, more, second) = MIXED.layers
    dearer = AdderCell("lopsided", LOPSIDED.sum, LOPSIDED.carry, transistors=30)
    first_dearer = Design(placement={"columns": [dearer] * 20 + ["exact"] * 28})
    others = [
        ((one, many, second), (two, more, first)),
        ((one, many + 1, first), (two, more, second)),
        ((two, more, second), (one, many, first)),
        ((one, many, first),),
    ]
    digests = [LayerDesigns(layers).digest for layers in (MIXED.layers, *others)]
    assert len(set(digests)) == len(digests)
    costly = LayerDesigns(((one, many, first_dearer), (two, more, second)))
    assert costly.digest == MIXED.digest
    assert costly.cost_digest != MIXED.cost_digest
    assert MIXED.label == MIXED.digest[:10]
    assert designs_of(MIXED) == {"conv1": first, "conv2": second}
    assert designs_of(second) == {"": second}


def test_circuit_scores_weigh_products_and_take_the_slowest_delay() -> None:
    parts = [
        (1, {"nmed": 0.1, "delay": 5.0, "delay_to_exact": 0.5, "area": 7.0, "area_to_exact": 0.2, "energy": 10.0}),
        (3, {"nmed": 0.5, "delay": 4.0, "delay_to_exact": 0.4, "area": 3.0, "area_to_exact": 0.4, "energy": 30.0}),
    ]
    assert combined(parts, CIRCUIT_COLUMNS) == pytest.approx(
        {"nmed": 0.4, "delay": 5.0, "delay_to_exact": 0.5, "area": 10.0, "area_to_exact": 0.3, "energy": 25.0}
    )


def test_scores_of_layers_are_those_of_the_mixed_network() -> None:
    by_layer = [SCORERS["error"].measure(entry, FEW)["nmed"] for entry in MIXED.designs.values()]
    assert SCORERS["error"].measure(MIXED, FEW)["nmed"] == pytest.approx(
        (86_400 * by_layer[0] + 153_600 * by_layer[1]) / 240_000
    )
    cost = SCORERS["cost"].measure(MIXED, FEW)
    single = [SCORERS["cost"].measure(entry, FEW) for entry in MIXED.designs.values()]
    assert cost["area"] == pytest.approx(single[0]["area"] + single[1]["area"])
    assert cost["delay"] == max(entry["delay"] for entry in single)
    accuracy = SCORERS["accuracy"].measure(MIXED, FEW)["accuracy"]
    assert accuracy == 100 * evaluate(MIXED.designs, samples=40).accuracy
    row = ScoredDesign(MIXED, {})
    assert row.estimated == ("lopsided",)
    assert structure(MIXED).startswith("conv1: ripple_array, ports psc, half adders cell, columns 0-19 lopsided, 20-47")
    assert "; conv2: carry_save_array, ports scp" in structure(MIXED)


@pytest.mark.slow
def test_a_search_over_layers_is_resumed_from_its_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "layered.toml"
    space.write_text(
        '[space]\ntopologies = ["ripple_array"]\nports = ["psc"]\ncells = ["exact", "ama5"]\nhalf_adders = ["cell"]\n'
        'final_adders = ["exact"]\nlayers = { conv1 = 86400, conv2 = 153600 }\n'
    )
    out = tmp_path / "run"
    options = [
        "--space",
        str(space),
        "--objectives",
        "energy,nmed,area",
        "--images",
        "10",
        "--workers",
        "1",
        "--out",
        str(out),
    ]
    assert search.main(options) == 0
    printed = capsys.readouterr().out
    assert "1 bands of 48 columns, for each of layers conv1, conv2 = 4 genomes" in printed
    with (out / "front.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    cells = {tuple(e.placement.describe() for e in designs_of(read_candidate(row["design"])).values()) for row in rows}
    assert cells == {
        (f"{one} everywhere", f"{other} everywhere") for one in ("exact", "ama5") for other in ("exact", "ama5")
    }
    page = re.search(r'id="page-data">(.*?)</script>', (out / "report.html").read_text())
    assert page is not None
    entries = json.loads(page[1])["designs"]
    fronts = [[layer for layer, _ in entry["parts"]] for entry in entries if entry["kind"] == "front"]
    assert fronts == [["conv1", "conv2"]] * 4
    # References have their multiplier in each layer, too, and every heading says so.
    ama5 = {"layers": "ama5 everywhere", "references": "axfpm"}
    capsys.readouterr()
    assert results.main(["export", "last", "--store", str(out), "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["scopes"] == {"area": "sum of 2 layers", "transistors": "sum of 2 layers"}
    (uniform,) = [
        entry["scores"]
        for entry in data["designs"]
        if all(entry["definition"][f"{layer}: placement"] == ama5["layers"] for layer in ("conv1", "conv2"))
    ]
    (reference,) = [entry["scores"] for entry in data["references"] if entry["design"] == ama5["references"]]
    cost = {
        name: score for name, score in uniform.items() if name.startswith(("area", "transistors", "delay", "energy"))
    }
    assert len(cost) == 16
    assert {name: reference[name] for name in cost} == pytest.approx(cost)
    assert reference["transistors"] == 2 * cost_report(design("axfpm")).drawn.transistors
    assert rows[0].keys() >= {"area, sum of 2 layers [um^2]", "transistors, sum of 2 layers [count]", "energy [fJ]"}
    assert "sum of 2" in printed
    assert "area and transistors are sums over them" in printed
    (area,) = [column for column in json.loads(page[1])["columns"] if column["name"] == "area"]
    assert area["label"] == "area as drawn, sum of 2 layers"
    assert area["header"] == "area, sum of 2 layers [um^2]"
    assert "sum of 2 layers" in area["heading"]
    assert "area as drawn, sum of 2 layers [um^2]" in (out / "pareto_energy_area.svg").read_text()
    assert search.main(options) == 0
    assert "Everything was in the store" in capsys.readouterr().out


def test_a_reference_in_every_layer_costs_what_that_design_in_every_layer_does() -> None:
    scores = {"area": 7.1, "area_to_exact": 0.2, "transistors_simplified": 3.0, "delay": 5.0, "energy": 10.0}
    combination = combined([(1, scores), (3, scores), (7, scores)], CIRCUIT_COLUMNS)
    assert in_each_layer(scores, 3, CIRCUIT_COLUMNS) == pytest.approx(combination)
    assert combination["area"] == pytest.approx(21.3)
    assert in_each_layer(scores, 0, CIRCUIT_COLUMNS) == scores
    single, layered = columns_for(0)["area"].header, columns_for(3)["area"].header
    assert (single, layered) == ("area [um^2]", "area, sum of 3 layers [um^2]")
    assert columns_for(3)["energy"] == COLUMNS["energy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[layers.a]\nproducts = 3\n", "x must hold [layers.NAME] tables with products and design; correct it."),
        ("[layers.a]\nproducts = \n", "x must be TOML, but: "),
        (
            "[layers.a]\nproducts = 0\ndesign = '''[design]\n'''\n",
            "products of layer 'a' must be a positive integer, but got 0.",
        ),
        ("[layers.a]\nproducts = 1\ndesign = '[desing]'\n", "layer a of x must hold [design] "),
    ],
)
def test_bad_toml_is_refused(text: str, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        read_candidate(text, where="x")
    assert str(caught.value).startswith(message)


def test_layers_must_be_distinct() -> None:
    with pytest.raises(DesignError, match="layers must be one or more distinct names, but got conv1, conv1"):
        LayerDesigns((MIXED.layers[0], MIXED.layers[0]))
    with pytest.raises(DesignError, match="but got none"):
        LayerDesigns(())

"""Sensitivity of layers: numbers of networks built layer by layer, products counted by hand, mistakes in one line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from integer_layers import ama1_design
from torch import nn
from torch.nn import functional

from circuits import Design, DesignError, design
from cnn_eval import approximate, load_images, load_model, measure_sensitivity, quantize
from cnn_eval.commands import main
from cnn_eval.measure.sensitivities import products_per_image
from cnn_eval.models.inference import logits

UNSIGNED = Design(format=None, width=8, truncate_columns=9, name="unsigned8")


@pytest.mark.parametrize("multiplier", [ama1_design(8, 8, signed=False), UNSIGNED], ids=lambda each: each.label)
def test_the_change_of_every_layer_is_that_of_a_network_with_it_alone(multiplier: Design) -> None:
    x, labels = load_images("mnist", samples=40)
    network = quantize(load_model("lenet5"), load_images("mnist", "train", samples=60)[0], scheme="uint8")
    result = measure_sensitivity(network, multiplier, x, labels)
    assert {row.layer for row in result.layers} == {"conv1", "conv2", "fc1", "fc2", "fc3"}
    exact = logits(network, x)
    assert result.exact.correct.tolist() == (exact.argmax(1) == labels).tolist()
    for row in (*result.layers, result.together):
        names = [row.layer] if row is not result.together else [each.layer for each in result.layers]
        values = logits(approximate(network, dict.fromkeys(names, multiplier)), x)
        assert row.accuracy.correct.tolist() == (values.argmax(1) == labels).tolist()
        assert row.accuracy_change == pytest.approx(row.accuracy.accuracy - result.exact.accuracy)
        loss = functional.cross_entropy(values, labels) - functional.cross_entropy(exact, labels)
        assert row.loss_change == pytest.approx(float(loss), abs=1e-6)
        assert row.interval[0] <= row.accuracy_change <= row.interval[1]
    order = [(row.accuracy_change, -row.loss_change) for row in result.layers]
    assert order == sorted(order)
    assert result.layers[0].accuracy_change < 0  # both multipliers are bad enough to be noticed


def test_products_are_counted_by_hand() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grouped = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
            self.again = nn.Conv2d(8, 8, (1, 3), dilation=(1, 2), bias=False)
            self.unused = nn.Linear(3, 3)
            self.last = nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.again(self.again(self.grouped(x)))
            return self.last(x.mean((2, 3)))

    # 24 x 40 -> 12 x 20; two columns and then two more are lost on either side.
    expected = {"grouped": 12 * 20 * 8 * (2 * 9), "again": 12 * 8 * (8 * 3) * (16 + 12), "last": 40}
    model = Twice()
    assert products_per_image(model, torch.rand(3, 4, 24, 40)) == expected
    assert model.training
    network = approximate(model, design("axfpm"), layers="all", compute="lowered")
    assert products_per_image(network, torch.rand(3, 4, 24, 40)) == expected


def test_the_command_prints_the_layers_as_table_and_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "unsigned8.toml"
    file.write_text(UNSIGNED.to_toml())
    common = ["sensitivity", "lenet5", str(file), "--quantize", "auto", "--calibration-images", "60", "--samples", "30"]
    assert main([*common, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["codes"] == "uint8 8x8"
    x, labels = load_images("mnist", samples=30)
    network = quantize(load_model("lenet5"), load_images("mnist", "train", samples=60)[0], scheme="uint8")
    result = measure_sensitivity(network, UNSIGNED, x, labels)
    rows = document["results"]
    assert [row["layer"] for row in rows] == [*(row.layer for row in result.layers), "all of these"]
    assert [row["products"] for row in rows] == [*(row.products for row in result.layers), result.together.products]
    assert {row["kind"] for row in rows} == {"Conv2d", "Linear", ""}
    assert document["exact"]["correct"] == int(result.exact.correct.sum())
    assert main([*common, "--layers", "conv", "--format", "csv"]) == 0
    listed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["layer"] for row in listed} == {"conv1", "conv2", "all of these"}
    assert main(common) == 0
    printed = capsys.readouterr().out
    assert "lenet5 (uint8 8x8), one layer at a time through unsigned8, bit-accurate products, 30 test images" in printed
    assert "153,600" in printed


def test_a_float_network_has_products_and_refuses_integer_designs() -> None:
    x, labels = load_images("mnist", samples=20)
    result = measure_sensitivity(load_model("lenet5"), design("axfpm"), x, labels, layers="conv", compute="lowered")
    assert {row.layer: row.products for row in result.layers} == {"conv1": 86_400, "conv2": 153_600}
    with pytest.raises(DesignError, match=r"^layer conv1 is not quantised and needs a design with a float format"):
        measure_sensitivity(load_model("lenet5"), UNSIGNED, x, labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet", "axfpm"], "unknown model 'lenet'; nearest: lenet5, "),
        (
            ["lenet5", "conv1=axfpm"],
            "sensitivity needs one design for each layer in turn, but got designs by layer; na",
        ),
        (["lenet5", "u8_mae0.43"], "layer conv1 is not quantised and needs a design with a float format"),
        (["lenet5", "axfpm", "--samples", "99999"], "1 <= samples <= "),
        (
            ["lenet5", "axfpm", "--quantize", "auto"],
            "a quantised network needs integer designs, format=None, but axfpm",
        ),
    ],
)
def test_mistakes_of_sensitivity_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sensitivity", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1

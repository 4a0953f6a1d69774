"""Every family and every compressor through `cnn_eval accuracy`: int8 networks, and float32 ones (24 x 24 bits)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torch import nn

from circuits import COMPRESSORS, FAMILIES, Design, design_from_table, find_design, netlist_from_verilog, to_verilog
from cnn_eval import approximate, load_images, load_model, predict, quantize
from cnn_eval.commands import main

SAMPLES = 8
INTEGERS = [
    *(f"{family}:width:8:signed:true" for family in FAMILIES if family != "compressor_tree"),
    *(f"compressor_tree:width:8:signed:true:compressor:{compressor}" for compressor in COMPRESSORS),
]
FLOATS = [
    *(f"{family}:format:float32" for family in FAMILIES if family != "static_segment"),
    "static_segment:format:float32:m:14",
    "compressor_tree:format:float32:compressor:yang1",
]


def correct_by_the_command(text: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """How many of SAMPLES images are classified correctly through a design, as the command prints it."""
    command = ["accuracy", text, "--model", "lenet5", "--samples", str(SAMPLES), "--layers", "all", *options]
    assert main([*command, "--format", "json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["design"] == text
    assert result["images"] == SAMPLES
    return int(result["correct"])


def correct(model: nn.Module, design: Design) -> int:
    """The same count from a network built here."""
    images, labels = load_images("mnist", samples=SAMPLES)
    network = approximate(model, design, layers="all")
    return int((predict(network, images) == labels).sum())


@pytest.mark.parametrize("text", INTEGERS)
def test_an_int8_network_equals_one_with_the_table_of_the_gates_products(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table holds products of the interpreted backend."""
    codes = np.arange(256, dtype=np.int64)
    codes = np.where(codes < 128, codes, codes - 256)
    design = find_design(text)
    table = design.multiply_integers(codes[:, None], codes[None, :], backend="interpreted").astype(np.int64)
    quantized = quantize(load_model("lenet5"), load_images("mnist", "train", samples=20)[0], scheme="int8")
    expected = correct(quantized, design_from_table(table, signed=True))
    assert correct_by_the_command(text, ["--quantize", "auto", "--calibration-images", "20"], capsys) == expected


@pytest.mark.parametrize("text", FLOATS)
def test_a_float32_network_equals_that_of_the_design_read_back_from_verilog(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It also keeps most of its accuracy."""
    design = find_design(text)
    imported = Design(circuit=netlist_from_verilog(to_verilog(design), where=text), format="float32")
    expected = correct(load_model("lenet5"), imported)
    assert expected >= SAMPLES - 1
    assert correct_by_the_command(text, [], capsys) == expected

"""Commands with integer designs: --quantize, --recover, --accumulator, quantised weights, mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from circuits import Design
from cnn_eval import (
    Accumulator,
    approximate,
    load_images,
    load_model,
    load_quantized,
    predict,
    quantize,
    recover,
    save_quantized,
)
from cnn_eval.commands import main
from cnn_eval.examples.network_fingerprint import model_digest
from cnn_eval.quantized.quantized_layers import layers_of_integers

SIGNED = Design(format=None, width=8, signed=True, truncate_columns=7, name="signed8")
UNSIGNED = Design(format=None, width=8, truncate_columns=7, name="unsigned8")
FEW = ("--samples", "40", "--calibration-images", "60")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for design in (SIGNED, UNSIGNED, Design(format=None, width=(8, 4), name="narrow")):
        (tmp_path / f"{design.name}.toml").write_text(design.to_toml())
    return tmp_path


def results(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main([*map(str, arguments), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_accuracy_is_compared_with_the_exact_quantised_and_the_float_network(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [folder / "signed8.toml", folder / "unsigned8.toml", "conv2=" + str(folder / "signed8.toml")]
    document = results(capsys, "accuracy", *files, "--quantize", "auto", *FEW)
    assert document["quantize"] == "auto"
    assert set(document["exact"]) == {"int8 8x8", "uint8 8x8", "float"}
    x, labels = load_images("mnist", samples=40)
    train = load_images("mnist", "train", samples=60)[0]
    model = load_model("lenet5")
    for row, subject in zip(document["results"], (SIGNED, UNSIGNED, {"conv2": SIGNED}), strict=True):
        scheme = "uint8" if subject is UNSIGNED else "int8"
        network = quantize(model, train, scheme=scheme)
        right = [int((predict(each, x) == labels).sum()) for each in (approximate(network, subject), network, model)]
        assert row["correct"] == right[0]
        assert row["codes"] == f"{scheme} 8x8"
        assert document["exact"][f"{scheme} 8x8"]["correct"] == right[1]
        assert row["difference_to_exact"] == pytest.approx((right[0] - right[1]) / 40)
        assert row["difference_to_float"] == pytest.approx((right[0] - right[2]) / 40)
        assert row["difference_to_float_interval"][0] <= row["difference_to_float"]


def test_the_table_says_what_is_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = folder / "narrow.toml"
    arguments = ("accuracy", narrow, "--quantize", "uint8", "--recover", 30, *FEW, "--calibration", "minmax")
    assert main([*map(str, arguments), "--first-last", "exact"]) == 0
    printed = capsys.readouterr()
    assert "exact uint8 8x4: " in printed.out
    assert "recovered from 30 images" in printed.out
    assert "less float" in printed.out
    assert printed.err.startswith("note: layers that stay float: conv1 (Conv2d, first or last layer), ")


def test_a_note_names_the_scheme_that_suits_truncated_products(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Design(format=None, width=8, truncate_columns=11, name="bad")
    (tmp_path / "bad.toml").write_text(bad.to_toml())
    note = "note: auto takes uint8 for unsigned designs; those that drop small products often lose less with --quantize"
    for scheme, noted in (("auto", True), ("uint8", False)):
        assert main(["accuracy", str(tmp_path / "bad.toml"), "--quantize", scheme, *FEW]) == 0
        assert (note in capsys.readouterr().err) == noted


def test_recover_corrects_a_float_design(capsys: pytest.CaptureFixture[str]) -> None:
    document = results(capsys, "accuracy", "axfpm", "--samples", 60, "--recover", 50, "--compute", "lowered")
    x, labels = load_images("mnist", samples=60)
    from circuits import design

    network = approximate(load_model("lenet5"), design("axfpm"), compute="lowered")
    recovered = recover(network, load_images("mnist", "train", samples=50)[0])
    assert document["results"][0]["correct"] == int((predict(recovered, x) == labels).sum())
    assert document["recover"] == 50


def test_weights_of_a_quantised_network_serve_as_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = folder / "lenet5.safetensors"
    save_quantized(quantize(load_model("lenet5"), load_images("mnist", samples=60)[0], scheme="uint8"), weights)
    files = ("accuracy", folder / "unsigned8.toml", "--weights", weights, "--samples", 30)
    document = results(capsys, *files)
    assert set(document["exact"]) == {"uint8 8x8", "float"}
    assert main([*map(str, files), "--quantize", "auto"]) == 2
    assert "is quantised already and must be used without --quantize; leave that out." in capsys.readouterr().err


@pytest.mark.slow
def test_transfer_margins_and_attack_take_integer_designs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = folder / "unsigned8.toml"
    document = results(
        capsys, "transfer", design, "--quantize", "uint8", "--calibration-images", 60, "--examples", "pgd",
        "--samples", 20, "--recover", 20,
    )  # fmt: skip
    assert document["results"][0]["eligible"] > 10
    common = ("--quantize", "auto", "--calibration-images", 60, "--cache", folder / "cache", "--samples", 4)
    document = results(capsys, "margins", design, "--attacks", "fgsm", *common)
    assert {row["design"] for row in document["results"]} == {"unsigned8", "control"}
    document = results(
        capsys, "attack", design, "--attacks", "fgsm", "--scenario", "white-box", "--backward", "table1d", *common
    )
    assert [row["design"] for row in document["results"]] == ["exact (torch)", "unsigned8", "control"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["signed8.toml"], "layer conv1 is not quantised and needs a design with a float format, but signed8 has"),
        (["signed8.toml", "--quantize", "uint8"], "a network quantised to uint8 of 8 x 8 bits needs unsigned designs"),
        (["unsigned8.toml", "--quantize", "int8"], "a network quantised to int8 of 8 x 8 bits needs signed designs of"),
        (["narrow.toml", "--quantize", "auto", "--bits", "8"], "a network quantised to uint8 of 8 x 8 bits needs "),
        (["heap", "--quantize", "auto"], "a quantised network needs integer designs, format=None, but heap"),
        (["signed8.toml", "--bits", "8"], "--bits is for a network that is quantised, but --quantize is missing; give"),
        (["heap", "--calibration-images", "8"], "--calibration-images is for a network that is quantised, but --quant"),
        (["heap", "--accumulator", "16"], "an accumulator of few bits needs a network that is quantised, but this one"),
        (["signed8.toml", "--quantize", "auto", "--calibration-images", "99999"], "1 <= samples <= "),
        (["heap", "--recover", "99999"], "1 <= samples <= "),
        (
            ["signed8.toml", "--quantize", "auto", "--compute", "lowered"],
            "layer conv1, compute='lowered' needs a float",
        ),
    ],
)
@pytest.mark.parametrize("command", ["accuracy", "transfer"])
def test_mistakes_with_integer_designs_are_one_line(
    command: str, arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder / text) if text.endswith(".toml") else text for text in arguments]
    assert main([command, *given]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1


@pytest.mark.slow
def test_an_accumulator_limits_the_sums_of_the_designs_layers_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design = folder / "unsigned8.toml"
    how = ("accuracy", design, "--quantize", "sign_magnitude", "--accumulator", "17:wrap", *FEW)
    x, labels = load_images("mnist", samples=40)
    train = load_images("mnist", "train", samples=60)[0]
    quantized = quantize(load_model("lenet5"), train, scheme="sign_magnitude")
    network = approximate(quantized, UNSIGNED)
    for layer in (network.conv1, network.conv2):
        layer.accumulate_in(Accumulator(17, "wrap"))
    recovered = recover(network, train[:30])
    for more, expected in (((), network), (("--recover", 30), recovered)):
        document = results(capsys, *how, *more)
        right = int((predict(expected, x) == labels).sum())
        assert document["results"][0]["correct"] == right
        assert document["accumulator"] == "17:wrap"
        # The exact network's sums are exact.
        assert document["exact"]["sign_magnitude 8x8"]["correct"] == int((predict(quantized, x) == labels).sum())
    network.conv1.accumulate_in(Accumulator(17, "wrap"))
    network.conv2.accumulate_in(Accumulator(17, "wrap"))
    predict(network, x)
    counts = [layer.overflows for layer in (network.conv1, network.conv2)]
    share = sum(count.overflowed for count in counts) / sum(count.sums for count in counts)
    assert 0 < share < 1
    assert results(capsys, *how)["results"][0]["overflowed_sums"] == pytest.approx(share)
    assert main([*map(str, how)]) == 0
    printed = capsys.readouterr().out
    assert "accumulators of the design's layers: 17 bits, wrap; the exact network's sums are exact" in printed
    assert f"{100 * share:.3g}" in printed


@pytest.mark.slow
def test_sensitivity_and_finetune_take_an_accumulator(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = folder / "unsigned8.toml"
    common = ("--quantize", "sign_magnitude", "--calibration-images", 60, "--samples", 40)
    narrow = results(capsys, "sensitivity", "lenet5", design, *common, "--accumulator", "12:wrap")
    wide = results(capsys, "sensitivity", "lenet5", design, *common, "--accumulator", "40:wrap")
    exact = results(capsys, "sensitivity", "lenet5", design, *common)
    assert wide["results"] == exact["results"]
    assert max(row["accuracy_change"] for row in narrow["results"]) < min(
        row["accuracy_change"] for row in exact["results"]
    )
    out = folder / "retrained.safetensors"
    results(
        capsys, "finetune", design, *common, "--layers", "all", "--accumulator", 24, "--train-images", 64, "--out", out
    )
    loaded = load_quantized(load_model("lenet5"), out)
    assert {layer.accumulator for layer in layers_of_integers(loaded).values()} == {Accumulator(24, "wrap")}


def test_overflows_are_no_part_of_a_networks_fingerprint() -> None:
    quantized = quantize(load_model("lenet5"), load_images("mnist", samples=20)[0], scheme="uint8")
    narrow, other = approximate(quantized, UNSIGNED), approximate(quantized, UNSIGNED)
    narrow.conv1.accumulate_in(Accumulator(20))
    before = model_digest(narrow)
    narrow.conv1.overflows.add(3, 5)
    assert model_digest(narrow) == before != model_digest(other)


@pytest.mark.parametrize("text", ["16:clip", "1:wrap", "64", "x", "16:", "-4", "16:wrap:wrap"])
def test_accumulators_are_written_as_bits_and_overflow(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["accuracy", str(folder / "signed8.toml"), "--quantize", "auto", f"--accumulator={text}"])
    printed = capsys.readouterr().err
    assert "must be BITS:wrap or BITS:saturate with 2 to 63 bits, such as 16:saturate, but got" in printed
    assert printed.count("\n") == 1


def test_examples_are_crafted_on_one_exact_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(folder / "signed8.toml"), str(folder / "unsigned8.toml")]
    assert main(["attack", *files, "--attacks", "fgsm", "--quantize", "auto"]) == 2
    assert capsys.readouterr().err == (
        "error: designs must share one exact network, on which examples are crafted, but need int8 of 8 x 8 bits, "
        "uint8 of 8 x 8 bits; run them apart.\n"
    )


@pytest.mark.parametrize("bits", ["1", "17", "8,4,2", "x"])
def test_bits_are_two_to_sixteen(bits: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["accuracy", str(folder / "signed8.toml"), "--quantize", "auto", "--bits", bits])
    assert "must be 2 to 16, or two such numbers A,W, but got" in capsys.readouterr().err


def test_a_users_images_serve_for_calibration_themselves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    x, labels = load_images("mnist", samples=30)
    save_file({"images": x, "labels": labels.to(torch.int64)}, folder / "own.safetensors")
    arguments = [
        "accuracy",
        str(folder / "signed8.toml"),
        "--quantize",
        "auto",
        "--data",
        str(folder / "own.safetensors"),
    ]
    assert main(arguments) == 0  # 30 images are fewer than the default
    assert "themselves, without their labels" in capsys.readouterr().err
    assert main([*arguments, "--calibration-images", "31"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: 1 <= samples <= 30 must hold for the calibration images, but got 31; choose fewer."
    )
    save_file({"images": torch.zeros_like(x), "labels": labels}, folder / "own.safetensors")
    assert main([*arguments, "--calibration-images", "30"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: calibration images must differ from pixel to pixel, but every pixel is 0; give real images."
    )

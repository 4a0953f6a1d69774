"""Searches in a user's own network: what identifies it in a store, its scores, and a search from end to end."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_network import write_images

from circuits import Design, DesignError, cost_report, design
from cnn_eval import Accumulator, DataError, approximate, load_model, predict, quantize, recorded_operands
from cnn_eval.measure.subject_networks import QuantizeSettings
from cnn_eval.quantized.quantized_layers import layers_of_integers
from dse import (
    SCORERS,
    NetworkSettings,
    ScoreSettings,
    SearchOptions,
    Space,
    compare,
    load_run,
    results,
    search,
    settings_for_network,
)
from dse.score.networks.network_fitting import with_layers
from dse.score.scorer_choice import all_scorers, available_scorers
from dse.space.per_layer import LayerDesigns, designs_of, read_candidate

ROOT = Path(__file__).parents[3]
MODEL = "small_network:small"
PRODUCTS = (("0", 4 * 36 * 9), ("2", 8 * 4 * 36), ("5", 32 * 4))
# Does not commute: the first operand drives the rows of an array of ama1 cells.
LOPSIDED = Design(format=None, width=8, placement={"columns": ["ama1"] * 7 + ["exact"] * 9})
HARSH = Design(format=None, width=8, placement={"columns": ["ama5"] * 10 + ["exact"] * 6})
FEW = ("--calibration-images", "40", "--quantize")
NETWORK_SCORERS = ("accuracy", "transfer", "margin", "adaptive", "layer_error")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("own") / "mine.npz")


def settings(data: Path, **more: Any) -> ScoreSettings:
    arguments = {"quantize": QuantizeSettings("uint8", images=40), "layers": "all", **more}
    return settings_for_network(MODEL, data=str(data), **arguments)


@pytest.fixture(scope="module")
def fitted(data: Path) -> ScoreSettings:
    return with_layers(settings(data), "all", integer=True)


def hashes(of: ScoreSettings) -> dict[str, str]:
    return {name: SCORERS[name].settings_hash(of) for name in NETWORK_SCORERS}


# ---- what identifies a network


def test_the_keys_of_the_default_network_are_those_of_earlier_versions() -> None:
    """The keys were recorded by the version before networks could be chosen."""
    expected = json.loads((ROOT / "tests/dse/score/earlier_store/expected.json").read_text())
    assert expected  # runs that are found by their options: `test_earlier_store`
    assert set(ScoreSettings().to_data()) == {
        *("model", "dataset", "images", "examples", "margin", "attack_images", "attack_epsilon", "attack_steps"),
        *("attack_restarts", "samples", "cost_samples", "seed"),
    }
    assert SCORERS["accuracy"].settings_data(ScoreSettings()).keys() == {
        *("model", "weights", "layers", "images", "data", "baseline"),
    }
    default = {scorer.name for scorer in available_scorers(all_scorers(), ScoreSettings())}
    assert default == {"error", "cost", "accuracy", "transfer", "margin", "adaptive"}


def test_two_different_networks_share_no_score(data: Path, tmp_path: Path) -> None:
    state = load_model(MODEL).state_dict()
    torch.save({key: 1.5 * value for key, value in state.items()}, tmp_path / "other.pt")
    others = [
        settings(data),
        settings(data, weights=tmp_path / "other.pt"),
        settings(write_images(tmp_path / "mine.npz", seed=2)),
        settings(data, layers="conv"),
        settings(data, layers=("0", "5")),
        settings(data, quantize=None),
        settings(data, quantize=QuantizeSettings("uint8", images=41)),
        settings(data, quantize=QuantizeSettings("uint8", images=40, calibration="minmax")),
        settings(data, quantize=QuantizeSettings("uint8", images=40, first_last="exact")),
        settings(data, quantize=QuantizeSettings("sign_magnitude", images=40)),
        settings(data, recover=30),
        settings(data, accumulator=Accumulator(12)),
        settings(data, accumulator=Accumulator(12, "saturate")),
        settings_for_network("small_network:wider", data=str(data)),
        ScoreSettings(),
    ]
    for name in NETWORK_SCORERS:
        keys = [hashes(each)[name] for each in others]
        assert len(set(keys)) == len(keys), name


def test_the_same_network_has_the_same_key_wherever_its_files_are(data: Path, tmp_path: Path) -> None:
    torch.save(load_model(MODEL).state_dict(), tmp_path / "same.pt")
    moved = tmp_path / "moved.npz"
    moved.write_bytes(data.read_bytes())
    assert hashes(settings(moved)) == hashes(settings(data))
    assert hashes(settings(data, weights=tmp_path / "same.pt")) == hashes(settings(data))
    # Spelling out a default changes no key.
    spelled = QuantizeSettings("uint8", images=40, calibration="percentile", first_last="quantized")
    assert hashes(settings(data, quantize=spelled)) == hashes(settings(data))
    assert str(data.parent) not in json.dumps(settings(data).to_data())


def test_layers_by_name_are_those_of_a_kind_where_they_are_the_same(data: Path) -> None:
    by_kind = with_layers(settings(data), "conv", integer=True)
    assert by_kind == with_layers(settings(data), ("2", "0"), integer=True)
    assert by_kind.network.products == PRODUCTS[:2]
    assert with_layers(settings(data), ("5", "0"), integer=True).network.layers == ("0", "5")
    kept_float = settings(data, quantize=QuantizeSettings("uint8", images=40, first_last="exact"))
    assert with_layers(kept_float, "all", integer=True).network.products == PRODUCTS[1:2]
    with pytest.raises(DesignError, match=r"^layers must be of small_network:small \(0, 2, 5\), but got 'fc'; correct"):
        with_layers(settings(data), ("0", "fc"), integer=True)


# ---- scores


def test_accuracy_is_that_of_the_quantised_network_through_the_design(data: Path, fitted: ScoreSettings) -> None:
    held = np.load(data)
    images, labels = torch.from_numpy(held["images"]), torch.from_numpy(held["labels"])
    exact = quantize(load_model(MODEL), images[:40], scheme="uint8", bits=8)
    each = LayerDesigns(tuple((name, n, HARSH if name == "2" else LOPSIDED) for name, n in PRODUCTS))
    for candidate, subject in ((LOPSIDED, LOPSIDED), (HARSH, HARSH), (each, each.designs)):
        right = predict(approximate(exact, subject, layers="all"), images) == labels
        scores = SCORERS["accuracy"].measure(candidate, fitted)
        assert scores["accuracy"] == pytest.approx(100 * float(right.float().mean()))
        exact_right = float((predict(exact, images) == labels).float().mean())
        assert scores["signed_loss"] == pytest.approx(100 * (exact_right - float(right.float().mean())))
    names = with_layers(fitted, ("0", "5"), integer=True)
    right = predict(approximate(exact, {"0": HARSH, "5": HARSH}), images) == labels
    assert SCORERS["accuracy"].measure(HARSH, names)["accuracy"] == pytest.approx(100 * float(right.float().mean()))


def test_accumulators_limit_the_sums_of_the_design_alone(data: Path) -> None:
    held = np.load(data)
    images, labels = torch.from_numpy(held["images"]), torch.from_numpy(held["labels"])
    exact = quantize(load_model(MODEL), images[:40], scheme="uint8", bits=8)
    narrow = approximate(exact, LOPSIDED, layers="all")
    for layer in layers_of_integers(narrow).values():
        layer.accumulate_in(Accumulator(14, "saturate"))
    right = float((predict(narrow, images) == labels).float().mean())
    limited = settings(data, accumulator=Accumulator(14, "saturate"))
    scores = SCORERS["accuracy"].measure(LOPSIDED, with_layers(limited, "all", integer=True))
    assert scores["accuracy"] == pytest.approx(100 * right)
    exact_right = float((predict(exact, images) == labels).float().mean())
    assert scores["signed_loss"] == pytest.approx(100 * (exact_right - right))
    assert limited.network.describe().endswith("accumulators of 14 bits (saturate)")


def test_integer_designs_quantise_the_network_without_being_asked(data: Path) -> None:
    """They are calibrated on the images that there are, fewer than the default."""
    held = np.load(data)
    images, labels = torch.from_numpy(held["images"]), torch.from_numpy(held["labels"])
    right = predict(approximate(quantize(load_model(MODEL), images, bits=8, scheme="uint8"), HARSH), images) == labels
    scores = SCORERS["accuracy"].measure(HARSH, settings(data, quantize=None, layers="conv"))
    assert scores["accuracy"] == pytest.approx(100 * float(right.float().mean()))


def test_energy_of_an_image_is_the_sum_over_layers(fitted: ScoreSettings) -> None:
    cheap = replace(fitted, cost_samples=64)
    energy = {each: cost_report(each, samples=64, seed=0).drawn.energy for each in (LOPSIDED, HARSH)}
    each = LayerDesigns(tuple((name, n, HARSH if name == "2" else LOPSIDED) for name, n in PRODUCTS))
    expected = (1296 + 128) * energy[LOPSIDED] + 1152 * energy[HARSH]
    measure = SCORERS["network_energy"].measure
    assert measure(each, cheap)["image_energy"] == pytest.approx(1e-6 * expected)
    assert measure(HARSH, cheap)["image_energy"] == pytest.approx(1e-6 * 2576 * energy[HARSH])


def test_errors_on_the_layers_operands_are_those_of_recorded_codes(data: Path, fitted: ScoreSettings) -> None:
    few = replace(fitted, samples=1000)
    images = torch.from_numpy(np.load(data)["images"])
    exact = Design(format=None, width=8)
    recorded = approximate(
        quantize(load_model(MODEL), images[:40], scheme="uint8", bits=8), exact, layers="all", record=True
    )
    predict(recorded, images)
    nmed = mred = 0.0
    for place, (name, products) in enumerate(PRODUCTS):
        x, w = (codes.astype(np.int64) for codes in recorded_operands(recorded, name, samples=10_000, seed=place))
        e = np.abs(LOPSIDED.multiply_integers(x, w).astype(np.int64) - x * w)
        nmed += products / 2576 * e.mean() / 255**2
        mred += products / 2576 * (e[x * w > 0] / (x * w)[x * w > 0]).mean()
        assert not np.array_equal(LOPSIDED.multiply_integers(x, w), LOPSIDED.multiply_integers(w, x))
    scores = SCORERS["layer_error"].measure(LOPSIDED, few)
    assert scores == pytest.approx({"layer_nmed": nmed, "layer_mred": mred})
    uniform = LayerDesigns(tuple((name, n, LOPSIDED) for name, n in PRODUCTS))
    assert SCORERS["layer_error"].measure(uniform, few) == pytest.approx(scores)
    floats = with_layers(settings(data, quantize=None), "all", integer=False)
    of_floats = SCORERS["layer_error"].measure(design("heap"), replace(floats, samples=1000))
    assert 0.001 < of_floats["layer_nmed"] < 0.1
    assert SCORERS["layer_error"].measure(design("exact"), replace(floats, samples=1000))["layer_mred"] < 1e-6


def test_examples_are_crafted_once_on_the_network(
    data: Path, fitted: ScoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("foolbox", reason="needs the extra `attacks`")
    from dse.score.networks import crafted_examples

    monkeypatch.setattr("dse.score.networks.crafted_examples.default_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr("cnn_eval.examples.network_examples.default_cache", lambda: tmp_path / "cache")
    crafted_examples._examples.cache_clear()
    crafted_examples._scaled.cache_clear()
    scores = SCORERS["transfer"].measure(LOPSIDED, fitted)
    files = sorted((tmp_path / "cache").glob("*.safetensors"))
    assert [path.name.split("_")[0] for path in files] == ["fgsm", "pgd"]
    times = [path.stat().st_mtime_ns for path in files]
    assert 0 < scores["transfer_fgsm_smallest_eligible"] <= 60
    assert scores["transfer_fgsm_smallest_fooled"] <= scores["transfer_fgsm_smallest_eligible"]
    # Another process finds them in the cache.
    crafted_examples._examples.cache_clear()
    crafted_examples._scaled.cache_clear()
    assert SCORERS["transfer"].measure(LOPSIDED, fitted) == scores
    assert [path.stat().st_mtime_ns for path in files] == times
    margin = SCORERS["margin"].measure(LOPSIDED, fitted)
    assert margin["margin_fgsm_smallest"] >= scores["transfer_fgsm_smallest"]
    crafted_examples._examples.cache_clear()
    crafted_examples._scaled.cache_clear()


def test_what_cannot_be_measured_is_left_out_or_refused(data: Path, tmp_path: Path) -> None:
    bright = with_layers(settings(write_images(tmp_path / "bright.npz", scale=3.0)), "all", integer=True)
    names = {scorer.name for scorer in available_scorers(all_scorers(), bright)}
    assert names == {"error", "cost", "network_energy", "accuracy"}
    space = Space(name="s", topologies=(), formats=("uint8",), library=(LOPSIDED, HARSH))
    with pytest.raises(
        DesignError,
        match=r"^adaptive_robustness cannot be measured of this network: attacks need pixels in \[0, 1\], but those of "
        r"bright.npz reach from .* to 3; scale them, and normalise inside the network\.$",
    ):
        SearchOptions(space=space, settings=bright, objectives=["energy", "adaptive_robustness"])
    with pytest.raises(DesignError, match=r"the attack does not know recovered networks; leave out --recover\.$"):
        SearchOptions(
            space=space,
            settings=settings(data, recover=30),
            objectives=["energy"],
            constraints=["adaptive_robustness>=3"],
        )


# ---- the whole


SPACE = """
[space]
formats = ["uint8"]
library = ["exact", "lopsided.toml", "harsh.toml"]
layers = "all"
operands = "layers"
"""


@pytest.fixture
def folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space file and two designs that it names."""
    (tmp_path / "lopsided.toml").write_text(replace(LOPSIDED, name="lopsided").to_toml())
    (tmp_path / "harsh.toml").write_text(replace(HARSH, name="harsh").to_toml())
    (tmp_path / "space.toml").write_text(SPACE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def options(folder: Path, data: Path, *more: str) -> list[str]:
    return [
        *("--space", str(folder / "space.toml"), "--model", MODEL, "--data", str(data), "--quantize", "uint8"),
        *("--calibration-images", "40", "--attack-images", "0", "--out", str(folder / "run"), *more),
    ]


@pytest.mark.slow
def test_a_search_over_the_layers_of_a_users_network_finds_and_stores_its_front(
    folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    references = f"u8_mae0.43,{folder / 'lopsided.toml'}"
    wanted = ["--objectives", "image_energy,accuracy_loss", "--constraint", "layer_nmed<=1", "--workers", "1"]
    wanted += ["--references", references]
    assert search.main(options(folder, data, *wanted)) == 0
    printed = capsys.readouterr().out
    assert "space: 3 designs of a library, for each of layers 0, 2, 5 = 27 genomes" in printed
    assert f"network: {MODEL} on mine.npz, quantised to uint8, all layers (3, 2,576 products an image)" in printed
    table = load_run(folder / "run")
    assert list(table[table.reference].name) == ["u8_mae0.43", "lopsided"]
    assert table.attrs["units"]["image_energy"] == "nJ"
    found = table[~table.reference]
    assert len(found) == 27
    best = found[found.accuracy_loss == 0].image_energy.min()
    assert set(found[found.front].image_energy) >= {found.image_energy.min(), best}
    with (folder / "run" / "front.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    designs = [designs_of(read_candidate(row["design"])) for row in rows]
    assert all(list(each) == ["0", "2", "5"] for each in designs)
    configuration = json.loads((folder / "run" / "run.json").read_text())["configuration"]
    assert str(folder) not in json.dumps(configuration)
    assert search.main(options(folder, data, *wanted)) == 0
    assert "Everything was in the store" in capsys.readouterr().out
    assert results.main(["show", "last", "--store", str(folder / "run")]) == 0
    assert "lopsided" in capsys.readouterr().out
    # The same space in another network shares the scores of circuits and no others.
    few = ["--method", "random", "--budget", "3"]
    assert search.main(options(folder, data, *wanted, *few)) == 0
    assert "Everything was in the store" in capsys.readouterr().out
    assert search.main(options(folder, data, *wanted, *few, "--calibration-images", "39")) == 0
    assert "designs computed" in capsys.readouterr().out
    assert load_run(folder / "run").attrs["run"] != table.attrs["run"]


@pytest.mark.slow
def test_a_killed_search_of_a_users_network_continues(folder: Path, data: Path) -> None:
    """Killed with two workers and continued with one, it ends as a search that was not killed."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"}
    store = folder / "killed" / "store.sqlite"

    def start(out: str, workers: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "dse.search", *options(folder, data), "--objectives", "energy,accuracy_loss"]
        command += ["--out", str(folder / out), "--workers", workers]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    with start("killed", "2") as process:
        while process.poll() is None and not stored_scores(store):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert stored_scores(store)
    for out in ("killed", "whole"):
        with start(out, "1") as process:
            _, complaint = process.communicate()
        assert process.returncode == 0, complaint
    assert (folder / "killed" / "front.csv").read_bytes() == (folder / "whole" / "front.csv").read_bytes()


def stored_scores(store: Path) -> int:
    """Number of scores of networks in a store that a search may be writing."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM scores WHERE scorer = 'accuracy'").fetchone()
        return int(count)


def test_designs_are_compared_in_a_users_network(data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["u8_mae0.43", str(folder / "harsh.toml"), "--model", MODEL, "--data", str(data), "--layers", "all"]
    arguments += ["--quantize", "auto", "--calibration-images", "40", "--recover", "20", "--errors-on", "layers"]
    assert compare.main([*arguments, "--workers", "1", "--format", "json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert other["design"] == "harsh"
    assert {"image_energy", "layer_nmed", "accuracy", "transfer_rate"} <= one["scores"].keys()
    assert "adaptive_robustness" not in one["scores"]
    assert one["scores"]["image_energy"] == pytest.approx(2576e-6 * one["scores"]["energy"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "lenet6"], "error: unknown model 'lenet6'; nearest: lenet5, "),
        (["--model", "nosuch:net"], "error: the model must be package.module:factory of an importable module, "),
        (["--model", MODEL, "--data", "{data}", "--weights", "{folder}/none.pt"], "error: --weights must be a file, "),
        (["--model", MODEL], "error: the model must take images [1, 1, 28, 28], but: "),
        (["--calibration", "minmax"], "error: --calibration is for a network that is quantised, but --quantize is "),
        (["--accumulator", "12"], "error: an accumulator of few bits needs a network that is quantised, "),
        (["--quantize", "int8"], "error: a quantised network needs integer designs, format=None, but "),
        (
            ["--model", MODEL, "--data", "{data}", "--images", "61"],
            "error: 1 <= samples <= 60 must hold for the test images, but got 61; choose fewer.",
        ),
        (
            ["--model", MODEL, "--data", "{data}", "--quantize", "auto", "--calibration-images", "61"],
            "error: 1 <= samples <= 60 must hold for the calibration images, but got 61; choose fewer.",
        ),
        (
            ["--space", "{folder}/names.toml", "--model", MODEL, "--data", "{data}"],
            "error: layers must be of small_network:small (0, 2, 5), but got 'conv1'; correct the names.",
        ),
        (
            ["--space", "library", "--model", MODEL, "--data", "{data}", *FEW, "uint8"],
            "error: a network quantised to uint8 of 8 x 8 bits needs unsigned designs of these widths, but exact int8 ",
        ),
        (
            ["--space", "library", "--model", MODEL, "--data", "{data}", "--references", "heap", *FEW, "int8"],
            "error: a quantised network needs integer designs, format=None, but heap ",
        ),
        (["--references", "haep"], "error: unknown design 'haep'; nearest: heap."),
        (["--errors-on", "mine"], "error: argument --errors-on: "),
    ],
)
def test_mistakes_about_the_searched_network_are_one_line(
    folder: Path, data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (folder / "names.toml").write_text('[space]\nlibrary = ["exact"]\nlayers = ["conv1"]\n')
    filled = [each.format(folder=folder, data=data) for each in arguments]
    try:
        status: object = search.main([*filled, "--out", str(folder / "run")])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    *notes, error, end = printed.err.split("\n")
    assert all(note.startswith("note: ") for note in notes)
    assert (error[: len(message)], end) == (message, "")
    assert not (folder / "run").exists()


def test_a_users_mistake_in_python_says_what_to_do(data: Path) -> None:
    with pytest.raises(DataError, match="must hold a subfolder of pictures for each of two classes"):
        settings_for_network(MODEL, data=str(data.parent))
    with pytest.raises(ValueError, match="images to recover"):
        settings(data, recover=61)
    assert NetworkSettings().to_data() == {}

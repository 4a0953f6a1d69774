"""The study of quantised networks: its multipliers, its rows against networks built here, resumed runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuits import adder, cost_report, error_metrics, mac_cost
from cnn_eval import approximate, load_images, load_model, measure_accuracy, quantize, recover
from studies.commands import main
from studies.frame.finished_rows import FinishedRows
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.own.integers import integer_networks as study


def test_the_multipliers_range_from_very_good_to_very_bad() -> None:
    errors = [100 * error_metrics(design).med.value / 2**16 for design in study.MULTIPLIERS]
    assert len(errors) >= 8
    assert min(errors) < 0.05
    assert max(errors) > 10
    worst = next(design for design in study.MULTIPLIERS if design.label == study.WORST_RETRAINED)
    assert 7 < errors[study.MULTIPLIERS.index(worst)] < 8
    assert all(design.shape == (8, 8) and design.float_format is None for design in study.MULTIPLIERS)
    labels = [design.label for design in study.MULTIPLIERS]
    for size in study._SIZES.values():
        assert all(set(names) <= set(labels) for names in size.retrained.values())
        assert size.epochs <= 3


@pytest.mark.slow
def test_rows_of_the_integer_study_equal_networks_built_here(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplier = next(design for design in study.MULTIPLIERS if design.label == "u8_mae0.43")
    monkeypatch.setattr(study, "MULTIPLIERS", (multiplier,))
    monkeypatch.setattr(study, "_SCHEMES", ["sign_magnitude", "uint8"])
    size = study._Size({"resnet8": ("u8_mae0.43",), "mobilenet": ()}, 20, 30, 1, 20, 10)
    monkeypatch.setattr(study, "_SIZES", {"quick": size})
    monkeypatch.setattr(study, "has_committed_weights", lambda name: name == "resnet8")
    result = study.run(StudyOptions(level="quick"))
    rows = {(row.subject, row.quantity): row for row in result.rows}
    images, labels = load_images("cifar10", samples=20)
    training = load_images("cifar10", "train", samples=20)[0]
    quantized = quantize(load_model("resnet8"), training, scheme="sign_magnitude")
    network = approximate(quantized, multiplier, layers="all")
    subject = "resnet8, u8_mae0.43"
    for quantity, each in (
        ("accuracy, without retraining", network),
        ("accuracy, recovered", recover(network, training[:10])),
    ):
        accuracy = measure_accuracy(each, images=images, labels=labels).accuracy
        assert rows[subject, quantity].measured == pytest.approx(100 * accuracy)
    exact = measure_accuracy(quantized, images=images, labels=labels).accuracy
    assert rows["resnet8, exact sign_magnitude", "accuracy"].measured == pytest.approx(100 * exact)
    assert rows[subject, "less exact, recovered"].measured == pytest.approx(
        rows[subject, "accuracy, recovered"].measured - 100 * exact
    )
    affine = approximate(quantize(load_model("resnet8"), training, scheme="uint8"), multiplier, layers="all")
    accuracy = measure_accuracy(affine, images=images, labels=labels).accuracy
    assert rows[subject, "accuracy, uint8, without retraining"].measured == pytest.approx(100 * accuracy)
    energy = rows[subject, "energy of all products an image"]
    assert energy.measured == pytest.approx(cost_report(multiplier).drawn.energy * 12_501_632 * 1e-9)
    both = mac_cost(multiplier, adder("ripple", 32)).energy * 12_501_632 * 1e-9
    assert rows[subject, "energy of all products and sums an image"].measured == pytest.approx(both)
    assert (subject, "accuracy, retrained") in rows
    assert (subject, "accuracy, uint8, retrained") not in rows
    assert "by retraining." in result.reason
    lost = rows[subject, "accuracy, without retraining"].measured - 100 * accuracy
    assert (
        f"worse than magnitudes through {int(lost > 0)} of 1 unsigned multipliers, by up to {lost:.0f}" in result.reason
    )
    assert "Not measured, because they have no weights yet: mobilenet." in result.reason


def test_default_retrains_on_what_has_been_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = study._SIZES["default"]
    images, source = study._images(StudyOptions(folder=tmp_path), size)
    assert (source, len(images.training), len(images.labels)) == ("embedded", 1000, 1000)


def test_a_killed_run_measures_only_what_is_missing(tmp_path: Path) -> None:
    measured = []

    def measure(name: str) -> list[Row]:
        measured.append(name)
        return [Row(name, "accuracy", 12.5, interval=(10.0, 15.0), unit="%", remark="ab")]

    first = FinishedRows(tmp_path, "integer_networks", "quick")
    rows = first.part("a", lambda: measure("a"))
    first.part("a", lambda: measure("a")).extend(rows)  # a study may add to what it gets
    first.part("c", lambda: measure("c"))
    again = FinishedRows(tmp_path, "integer_networks", "quick")
    assert again.part("a", lambda: measure("a")) == rows == [Row("a", "accuracy", 12.5, None, (10.0, 15.0), "%", "ab")]
    again.part("b", lambda: measure("b"))
    assert measured == ["a", "c", "b"]
    # Rows of another level, of other code, or of a damaged file are not used.
    FinishedRows(tmp_path, "integer_networks", "default").part("a", lambda: measure("default"))
    again.path.write_text(again.path.read_text()[:-20])
    FinishedRows(tmp_path, "integer_networks", "quick").part("a", lambda: measure("quick"))
    assert measured == ["a", "c", "b", "default", "quick"]
    FinishedRows(tmp_path, "integer_networks", "quick", fresh=True)
    assert not list(tmp_path.iterdir())


def test_the_same_command_goes_on_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def run(options: StudyOptions) -> StudyResult:
        rows = options.part("a", lambda: measured.append("a") or [Row("a", "accuracy", 12.5)])
        if len(measured) == 1:
            measured.append("interrupt")
            raise KeyboardInterrupt
        return StudyResult(rows, "measured", "done.")

    monkeypatch.setattr(study, "run", run)
    command = ["run", "integer_networks", "--quick", "--out", str(tmp_path)]
    assert main(command) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["integer_networks.unfinished.json"]
    assert main(command) == 0
    assert measured == ["a", "interrupt"]
    assert "integer_networks.unfinished.json" not in [path.name for path in tmp_path.iterdir()]
    assert main([*command, "--fresh"]) == 0
    assert measured == ["a", "interrupt", "a"]
    assert StudyResult.load(tmp_path / "integer_networks.json").rows == [Row("a", "accuracy", 12.5)]

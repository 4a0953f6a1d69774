"""The study of quantised networks: its multipliers reach from very good to very bad, and its rows are what they say."""

from __future__ import annotations

import pytest

from circuits import cost_report, error_metrics
from cnn_eval import approximate, load_images, load_model, measure_accuracy, quantize, recover
from studies.frame.study import StudyOptions
from studies.own import integer_networks as study


def test_multipliers_from_very_good_to_very_bad() -> None:
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
def test_rows_are_those_of_networks_made_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplier = next(design for design in study.MULTIPLIERS if design.label == "u8_mae0.43")
    monkeypatch.setattr(study, "MULTIPLIERS", (multiplier,))
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
    energy = rows[subject, "energy of all products an image"]
    assert energy.measured == pytest.approx(cost_report(multiplier).drawn.energy * 12_501_632 * 1e-9)
    assert (subject, "accuracy, retrained") in rows
    assert "by retraining." in result.reason
    assert "Not measured, because they have no weights yet: mobilenet." in result.reason

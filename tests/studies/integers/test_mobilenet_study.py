"""The study of MobileNetV2: it needs fetched files, fits on one half of the pictures and measures on the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cnn_eval.models.inference import logits
from studies.frame.study import StudyOptions
from studies.own import mobilenet_agreement as study


def test_without_the_files_it_says_how_to_fetch_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path))
    result = study.run(StudyOptions(level="quick"))
    assert [(row.subject, row.quantity, row.measured) for row in result.rows] == [("pictures", "measured", 0)]
    assert result.reason.startswith("nothing was measured, because files are missing; fetch them with `python -m cnn_")


def test_rows_of_the_mobilenet_study_equal_networks_built_here(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 7)).eval()
    images = torch.rand(6, 3, 8, 8)
    in_float = logits(model, images)
    monkeypatch.setattr(study, "pretrained", lambda: model)
    monkeypatch.setattr(study, "load_imagenet_pictures", lambda: (images, in_float.argmax(1)))
    monkeypatch.setattr(study, "FLOAT_DESIGNS", ("heap", "axfpm"))
    result = study.run(StudyOptions(level="quick"))
    rows = {(row.subject, row.quantity): row for row in result.rows}
    assert rows["float", "pictures whose label is the most likely class"].measured == 6
    from circuits import design
    from cnn_eval import approximate, quantize, recover

    heap = approximate(model, design("heap"), layers="all")
    network = {"without recovery": lambda fitted: heap, "recovered": lambda fitted: recover(heap, fitted)}
    for how, fit in network.items():
        outputs = torch.empty_like(in_float)
        for half, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
            outputs[half] = logits(fit(images[other]), images[half])
        same = (outputs.argmax(1) == in_float.argmax(1)).sum() / 6
        assert rows["heap", f"most likely class as in float, {how}"].measured == pytest.approx(100 * float(same))
        expected = sum(torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(outputs, in_float, strict=True)) / 6
        measured = rows["heap", f"correlation of logits with float's, {how}"].measured
        assert measured == pytest.approx(float(expected), abs=1e-5)
        spread = (outputs - in_float).square().mean(1).sqrt() / in_float.std(1, correction=0)
        difference = rows["heap", f"difference of logits over their spread, {how}"].measured
        assert difference == pytest.approx(float(spread.mean()), rel=1e-5)
    quantized = quantize(model, images[1::2], scheme="int8")
    first = logits(quantized, images[::2])
    second = logits(quantize(model, images[::2], scheme="int8"), images[1::2])
    same = (first.argmax(1) == in_float[::2].argmax(1)).sum() + (second.argmax(1) == in_float[1::2].argmax(1)).sum()
    assert rows["int8 exact", "most likely class as in float, without recovery"].measured == pytest.approx(
        100 * float(same) / 6
    )
    assert "no accuracies" in result.reason

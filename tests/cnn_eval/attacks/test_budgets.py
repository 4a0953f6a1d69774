"""Default budgets of attacks, by data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from cnn_eval import AuditSettings
from cnn_eval.attacks.shared.budgets import BUDGETS, default_budget
from cnn_eval.commands import main
from cnn_eval.data.loading import load


@pytest.mark.parametrize(
    ("norm", "image", "dataset", "epsilon", "reason"),
    [
        ("linf", (1, 28, 28), "mnist", 0.1, "0.3 is the convention for adversarially trained ones"),
        ("linf", (3, 32, 32), "cifar10", 8 / 255, "8/255, the convention for CIFAR-10"),
        ("l2", (3, 32, 32), "cifar10", 0.5, "the convention for CIFAR-10"),
        ("linf", (3, 224, 224), "imagenet", 4 / 255, "4/255, the convention for ImageNet"),
        ("linf", (1, 28, 28), None, 0.1, "own images of 1 x 28 x 28, taken as mnist: for MNIST networks"),
        ("linf", (3, 32, 32), None, 8 / 255, "own images of 3 x 32 x 32, taken as cifar10: 8/255"),
        ("linf", (3, 224, 224), None, 4 / 255, "own images of 3 x 224 x 224, taken as imagenet: 4/255"),
        ("linf", (2, 9, 9), None, 8 / 255, "no convention is known for own images of 2 x 9 x 9; this is 8/255"),
        ("l2", (1, 28, 28), None, 1.5, "own images of 1 x 28 x 28, taken as mnist"),
    ],
)
def test_the_default_budget_is_the_convention_of_the_data(
    norm: str, image: tuple[int, ...], dataset: str | None, epsilon: float, reason: str
) -> None:
    budget = default_budget(norm, image, dataset)
    assert budget is not None
    assert budget.epsilon == epsilon
    assert reason in budget.reason


def test_there_is_no_default_in_l0() -> None:
    assert [default_budget("l0", (1, 28, 28), name) for name in (*BUDGETS, None)] == [None] * 4


def test_settings_of_an_audit_take_the_budget_of_the_images() -> None:
    assert AuditSettings().with_budget((3, 32, 32)).budget == 8 / 255
    assert AuditSettings(norm="l2").with_budget((1, 28, 28)).budget == 1.5
    assert AuditSettings(epsilon=0.3).with_budget((3, 32, 32)).budget == 0.3


def test_attack_takes_the_default_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    common = ["attack", "axfpm", "--attacks", "fgsm", "--mode", "budget", "--compute", "lowered", "--samples", "10"]
    common += ["--cache", str(tmp_path)]
    assert main([*common, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["epsilon"] == document["attacks"][0]["epsilon"] == 0.1
    assert document["epsilon_reason"] == BUDGETS["mnist"]["linf"].reason
    assert main(common) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"budget 0.1 ({BUDGETS['mnist']['linf'].reason})" in printed
    images = load()
    save_file({"images": images.images[:10].contiguous(), "labels": images.labels[:10]}, tmp_path / "own.safetensors")
    assert main([*common, "--data", str(tmp_path / "own.safetensors"), "--epsilon", "0.2"]) == 0
    assert "budget 0.2 (as given)" in " ".join(capsys.readouterr().out.split())

"""Margins: transfer curves on linear networks with a known answer, the command, the plot, the study, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from circuits import design
from cnn_eval import CONTROL, approximate, load_model, measure_margins, power_of_two_control
from cnn_eval.commands import main
from cnn_eval.data.loading import load
from cnn_eval.measure.margin_curves import CURVES, PUBLISHED, MarginPoint
from cnn_eval.measure.margins_plot import margins_plot

SIDE = 8
MARGIN = 2.0
"""Logit margin of every image of the linear problem."""
QUICK_CW = {"cw": {"binary_search_steps": 2, "steps": 120, "initial_const": 10.0}}


class Linear(nn.Module):
    """Logits (0, w x - b), w a checkerboard of +-1."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        cells = torch.arange(SIDE)
        self.register_buffer("weight", 1.0 - 2.0 * ((cells[:, None] + cells) % 2))
        self.bias = bias

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        score = (images[:, 0] * self.weight).sum((1, 2)) - self.bias
        return torch.stack([torch.zeros_like(score), score], 1)


@pytest.fixture(scope="module")
def problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Six images near grey with w x = 0, all of class 1 where the bias is -MARGIN."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.rand(6, 1, SIDE, SIDE // 2, generator=generator)
    images = 0.45 + noise.repeat_interleave(2, dim=3)  # neighbours of opposite weight are alike
    return images, torch.ones(6, dtype=torch.int64)


def rates(points: list[MarginPoint], attack: str) -> dict[float, float | None]:
    return {point.value: point.rate for point in points if point.attack == attack}


def test_a_further_boundary_is_reached_by_the_factor_that_it_is_further_by(
    problem: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """The victim's boundary is parallel and 1.15 times as far: a perturbation stretched by 1.15 just reaches it."""
    points = measure_margins(
        Linear(-MARGIN), {"victim": Linear(-1.15 * MARGIN)}, *problem, attacks=["fgsm", "pgd", "deepfool"]
    )
    expected = {1.0: 0.0, 1.05: 0.0, 1.1: 0.0, 1.2: 1.0, 1.5: 1.0, 2.0: 1.0}
    assert rates(points, "fgsm") == expected
    assert rates(points, "pgd") == expected
    assert rates(points, "deepfool") == {0.02: 0.0, 0.05: 0.0, 0.1: 0.0, 0.2: 1.0, 0.5: 1.0, 1.0: 1.0}
    assert all(point.eligible == 6 for point in points)
    # the smallest L2 perturbation is MARGIN / |w|, |w| = SIDE; FGSM's is the same direction
    for point in points:
        stretch = 1 + point.value if point.attack == "deepfool" else point.value
        assert point.median_l2 == pytest.approx(stretch * MARGIN / SIDE, rel=0.04)  # PGD: 1/1024 of 1/32


@pytest.mark.slow
def test_a_boundary_further_by_logits_is_reached_by_that_confidence(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    victims = {"victim": Linear(-MARGIN - 1.5), "same": Linear(-MARGIN)}
    points = measure_margins(Linear(-MARGIN), victims, *problem, attacks=["cw"], hyperparameters=QUICK_CW)
    found = {(point.victim, point.value): point.rate for point in points}
    for kappa in CURVES["cw"].values:
        assert found["same", kappa] == 1
        assert found["victim", kappa] == (1 if kappa >= 1.5 else 0)


def test_the_control_is_axfpm_and_rates_rise_with_the_margin(tmp_path: Path) -> None:
    images = load()
    exact = load_model("lenet5")
    victims = {name: approximate(exact, design(name)) for name in ("axfpm", "axfpm_tiled")}  # the latter: x w != w x
    victims["control"] = power_of_two_control(exact)
    points = measure_margins(
        exact, victims, images.images[:25], images.labels[:25], attacks=["fgsm", "fgsm"], cache=tmp_path
    )
    assert len(points) == 3 * len(CURVES["fgsm"].values)
    by_victim = {name: [point for point in points if point.victim == name] for name in victims}
    for one, control in zip(by_victim["axfpm"], by_victim["control"], strict=True):
        assert abs(one.fooled - control.fooled) <= 1  # FACTS 3: the same network, but for roundings
    for found in by_victim.values():
        assert (found[0].rate or 0) < 0.8
        assert (found[-1].rate or 0) > 0.8
        assert found[0].interval[0] <= (found[0].rate or 0) <= found[0].interval[1]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1  # one entry serves every factor and design
    (entry,) = tmp_path.glob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-5])
    notes: list[str] = []
    again = measure_margins(
        exact, victims, images.images[:25], images.labels[:25], attacks=["fgsm"], cache=tmp_path, note=notes.append
    )
    assert again == points
    (note,) = notes
    assert str(entry) in note
    assert note.endswith("It was crafted again.")


def test_margins_command_prints_every_value_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "curves.svg"
    arguments = ["margins", "axfpm_tiled", "--samples", "12", "--attacks", "fgsm", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--plot", str(plot), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["value"] for row in result["results"] if row["design"] == CONTROL] == list(CURVES["fgsm"].values)
    assert result["published_percent"]["Ax-FPM"]["fgsm"] == 12  # DA table 2
    assert plot.read_bytes().startswith(b"<?xml")
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for text in ("axfpm_tiled", CONTROL, "rounded up to powers of two", "published (DA tables 2 and 10)"):
        assert text in shown


def test_published_rates_are_those_of_the_paper() -> None:
    """DA tables 2 and 10."""
    assert PUBLISHED["Ax-FPM"] == {"fgsm": 12, "pgd": 28, "cw": 1, "deepfool": 17}
    assert PUBLISHED["HEAP"] == {"fgsm": 16, "pgd": 30, "cw": 6, "deepfool": 18}


@pytest.mark.slow
def test_plot_is_reproducible_and_leaves_out_what_is_not_eligible() -> None:
    points = [
        MarginPoint(attack, value, victim, fooled, eligible, 1.0)
        for attack in ("cw", "pgd", "fgsm")
        for value in CURVES[attack].values
        for victim, fooled, eligible in (("one", 3, 10), ("two", 0, 0), ("control", 10, 10))
    ]
    made = [margins_plot(points, control="control", published=PUBLISHED, title="trial") for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["png"].startswith(b"\x89PNG")
    assert b"<svg" in made[0]["svg"]
    other = margins_plot(points, control=None, published={}, title="trial")
    assert other != made[0]


def test_impossible_problems_and_unknown_attacks_are_refused(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = problem
    source = Linear(-MARGIN)
    with pytest.raises(ValueError, match=r"^unknown attack 'boundary'; available: "):
        measure_margins(source, {}, images, labels, attacks=["boundary"])
    message = (
        "every network must classify some of the 6 images correctly, but victim classifies none; check its "
        "weights and the images."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        measure_margins(source, {"victim": Linear(MARGIN)}, images, labels, attacks=["fgsm"])
    message = (
        "fgsm must fool the exact network at least once, but does on none of 6 images; give other images or a stronger "
        "setting."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        measure_margins(Linear(-1e6), {}, images, labels, attacks=["fgsm"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "curves.pdf"], "--plot must end in .png or .svg, but is curves.pdf; rename it."),
        (["--samples", "2001"], "1 <= samples <= 2000 must hold for the test images, but got 2001; choose fewer."),
    ],
)
def test_mistakes_of_the_margins_command_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["margins", "axfpm", "--cache", str(tmp_path), *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"error: {message}\n")


# ---- the study
